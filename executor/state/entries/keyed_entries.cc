#include "executor/state/entries/keyed_entries.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace millrace::executor {
namespace {

std::vector<SqlType> EntryTypes(std::vector<SqlType> types, const EntryPayload& payload) {
  const std::vector<SqlType> of_payload = payload.types();
  types.insert(types.end(), of_payload.begin(), of_payload.end());
  types.push_back(MakeType(TypeId::kTimestampTz));  // touched
  return types;
}

}  // namespace

KeyedEntries::KeyedEntries(std::vector<SqlType> key_types, EntryPayload* payload, int64_t ttl_us)
    : payload_(payload),
      owns_memory_(payload->owns_memory()),
      types_(EntryTypes(key_types, *payload)),
      expiry_(ttl_us),
      table_(std::move(key_types), payload->payload_bytes()) {}

KeyedEntries::~KeyedEntries() {
  if (owns_memory_) {
    payload_->Destroy(table_.Groups(), &table_);
  }
}

const std::vector<GroupTable::Added>& KeyedEntries::FindOrAdd(const std::vector<ColumnPtr>& keys,
                                                              const uint64_t* hashes, RowSet rows,
                                                              int64_t now_us, uint32_t* groups) {
  const std::vector<GroupTable::Added>& added = table_.FindOrAdd(keys, hashes, rows, groups);
  payload_->Init(added, &table_);
  if (touched_at_us_.size() < table_.limit()) {
    touched_at_us_.resize(table_.limit());
    owned_bytes_.resize(owns_memory_ ? table_.limit() : 0);
  }
  for (const GroupTable::Added& group : added) {
    touched_at_us_[group.group] = now_us;
  }
  return added;
}

void KeyedEntries::RenewExpired(std::span<const uint32_t> groups, int64_t now_us) {
  if (!expiry_.expires()) {
    return;
  }
  for (const uint32_t group : groups) {
    if (Expired(group, now_us)) {
      Reset(group);
      touched_at_us_[group] = now_us;
    }
  }
}

void KeyedEntries::Touch(std::span<const uint32_t> groups, int64_t now_us) {
  for (const uint32_t group : groups) {
    touched_at_us_[group] = now_us;
  }
  if (!groups.empty()) {
    expiry_.Touched(now_us);
  }
  CountOwnedBytes(groups);
}

void KeyedEntries::Reset(uint32_t group) {
  if (owns_memory_) {
    payload_->Destroy(std::span(&group, 1), &table_);
  }
  const GroupTable::Added added{group, 0};
  payload_->Init(std::span(&added, 1), &table_);
  CountOwnedBytes(std::span(&group, 1));
}

void KeyedEntries::CountOwnedBytes(std::span<const uint32_t> groups) {
  if (!owns_memory_) {
    return;
  }
  std::array<uint32_t, 256> bytes;
  for (; !groups.empty(); groups = groups.subspan(std::min(bytes.size(), groups.size()))) {
    const std::span<const uint32_t> some = groups.first(std::min(bytes.size(), groups.size()));
    payload_->OwnedBytes(some, &table_, bytes.data());
    for (size_t i = 0; i < some.size(); ++i) {
      total_owned_bytes_ += static_cast<int64_t>(bytes[i]) - owned_bytes_[some[i]];
      owned_bytes_[some[i]] = bytes[i];
    }
  }
}

void KeyedEntries::Erase(uint32_t group) {
  if (owns_memory_) {
    total_owned_bytes_ -= std::exchange(owned_bytes_[group], 0);
    payload_->Destroy(std::span(&group, 1), &table_);
  }
  table_.Erase(group);
}

void KeyedEntries::Clear() {
  if (owns_memory_) {
    payload_->Destroy(table_.Groups(), &table_);
    std::fill(owned_bytes_.begin(), owned_bytes_.end(), 0);
    total_owned_bytes_ = 0;
  }
  table_.Clear();
}

Batch KeyedEntries::Copy(std::span<const uint32_t> groups) {
  std::vector<ColumnPtr> columns;
  columns.reserve(types_.size());
  for (size_t i = 0; i < table_.key_count(); ++i) {
    columns.push_back(table_.KeyColumn(i, groups.data(), groups.size()));
  }
  payload_->Emit(groups, &table_, &columns);
  auto touched = std::make_shared<Column>(MakeType(TypeId::kTimestampTz), groups.size());
  auto hashes = std::make_shared<std::vector<uint64_t>>(groups.size());
  for (size_t i = 0; i < groups.size(); ++i) {
    touched->mutable_values<int64_t>()[i] = touched_at_us_[groups[i]];
    (*hashes)[i] = table_.hash(groups[i]);
  }
  columns.push_back(std::move(touched));
  Batch entries(std::move(columns), groups.size());
  entries.set_hashes(std::move(hashes));
  return entries;
}

absl::Status KeyedEntries::CheckShape(const Batch& rows, const std::string& shape) const {
  bool fits = rows.column_count() == types_.size() && rows.hashes() != nullptr;
  for (size_t i = 0; fits && i < types_.size(); ++i) {
    fits = rows.column(i)->type().id == types_[i].id;
  }
  return fits ? absl::OkStatus()
              : absl::FailedPreconditionError(absl::StrCat(
                    "entries of ", rows.column_count(),
                    " columns in the snapshot do not fit the operator's state: ", shape));
}

absl::Status KeyedEntries::Put(std::span<const ColumnPtr> entries, const std::vector<uint32_t>& put,
                               const std::vector<uint32_t>& groups) {
  const size_t keys = table_.key_count();
  RETURN_IF_ERROR(payload_->Fill(entries.subspan(keys, entries.size() - keys - 1),
                                 {put.data(), put.size()}, groups.data(), &table_));
  const int64_t* touched = entries.back()->values<int64_t>();
  for (size_t i = 0; i < put.size(); ++i) {
    touched_at_us_[groups[i]] = touched[put[i]];
    expiry_.Touched(touched[put[i]]);
  }
  CountOwnedBytes(groups);
  return absl::OkStatus();
}

size_t KeyedEntries::Bytes() const {
  return table_.Bytes() + payload_->Bytes() + touched_at_us_.capacity() * sizeof(int64_t) +
         owned_bytes_.capacity() * sizeof(uint32_t) + static_cast<size_t>(total_owned_bytes_);
}

}  // namespace millrace::executor
