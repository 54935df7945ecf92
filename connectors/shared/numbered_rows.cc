#include "connectors/shared/numbered_rows.h"

#include <algorithm>
#include <memory>
#include <numeric>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/columnar/column.h"

namespace millrace {
namespace {

constexpr char kPartition[] = "_partition";
constexpr char kOffset[] = "_offset";

PartitionName NameOf(std::string_view connector, size_t number) {
  return absl::StrCat(ToAbsl(connector), "/", number);
}

}  // namespace

absl::StatusOr<uint32_t> PartitionNumber(const PartitionName& name, std::string_view connector,
                                         size_t partitions) {
  uint32_t number = 0;
  const std::string prefix = absl::StrCat(ToAbsl(connector), "/");
  if (!absl::StartsWith(name, prefix) || !absl::SimpleAtoi(name.substr(prefix.size()), &number) ||
      number >= partitions) {
    const std::string count =
        partitions == SIZE_MAX ? "" : absl::StrCat("there are ", partitions, "; ");
    return absl::NotFoundError(absl::StrCat("there is no partition \"", name, "\"; ", count,
                                            "the first is ", NameOf(connector, 0)));
  }
  return number;
}

MetadataColumnList NumberedRowsMetadata() {
  return {{kPartition, MakeType(TypeId::kInt32)}, {kOffset, MakeType(TypeId::kInt64)}};
}

ColumnPtr NumberedRowsColumn(std::string_view name, uint32_t partition, int64_t begin,
                             size_t count) {
  if (name == kOffset) {
    auto offsets = std::make_shared<Column>(MakeType(TypeId::kInt64), count);
    std::iota(offsets->mutable_values<int64_t>(), offsets->mutable_values<int64_t>() + count,
              begin);
    return offsets;
  }
  auto partitions = std::make_shared<Column>(MakeType(TypeId::kInt32), count);
  std::fill_n(partitions->mutable_values<int32_t>(), count, static_cast<int32_t>(partition));
  return partitions;
}

absl::StatusOr<std::vector<PartitionName>> NumberedRowsEnumerator::Discover(absl::Duration) {
  ASSIGN_OR_RETURN(const std::vector<int64_t> counts, RowCounts());
  std::vector<PartitionName> names;
  names.reserve(counts.size());
  for (size_t i = 0; i < counts.size(); ++i) {
    names.push_back(NameOf(connector_, i));
  }
  return names;
}

absl::StatusOr<std::vector<PartitionOffset>> NumberedRowsEnumerator::ResolveStart(
    const std::vector<PartitionName>& partitions, absl::Duration timeout) {
  return ResolveEarliest(partitions, timeout);
}

absl::StatusOr<std::vector<PartitionOffset>> NumberedRowsEnumerator::ResolveEarliest(
    const std::vector<PartitionName>& partitions, absl::Duration) {
  std::vector<PartitionOffset> starts;
  starts.reserve(partitions.size());
  for (const PartitionName& partition : partitions) {
    RETURN_IF_ERROR(PartitionNumber(partition, connector_).status());
    starts.push_back({partition, Offset(0)});
  }
  return starts;
}

absl::StatusOr<std::vector<PartitionEnd>> NumberedRowsEnumerator::Ends(
    const std::vector<PartitionName>& partitions, absl::Duration) {
  ASSIGN_OR_RETURN(const std::vector<int64_t> counts, RowCounts());
  std::vector<PartitionEnd> ends;
  ends.reserve(partitions.size());
  for (const PartitionName& partition : partitions) {
    ASSIGN_OR_RETURN(const uint32_t number, PartitionNumber(partition, connector_, counts.size()));
    const Offset end(counts[number]);
    ends.push_back({partition, end, end});
  }
  return ends;
}

absl::Status NumberedRowsEnumerator::PublishOffsets(const std::vector<PartitionOffset>&,
                                                    absl::Duration) {
  return absl::OkStatus();
}

void ReadPositions::Assign(const KnownPartition& partition) {
  absl::MutexLock lock(&mutex_);
  next_[partition.name] = partition.next;
}

void ReadPositions::Unassign(const PartitionName& partition) {
  absl::MutexLock lock(&mutex_);
  next_.erase(partition);
}

absl::StatusOr<int64_t> ReadPositions::Get(const PartitionName& partition) const {
  absl::MutexLock lock(&mutex_);
  const auto found = next_.find(partition);
  if (found == next_.end()) {
    return absl::FailedPreconditionError(absl::StrCat("partition ", partition, " is not assigned"));
  }
  return found->second.value();
}

void ReadPositions::Set(const PartitionName& partition, Offset next) {
  absl::MutexLock lock(&mutex_);
  const auto found = next_.find(partition);
  if (found != next_.end()) {
    found->second = next;
  }
}

std::vector<PartitionOffset> ReadPositions::All() const {
  absl::MutexLock lock(&mutex_);
  std::vector<PartitionOffset> all;
  all.reserve(next_.size());
  for (const auto& [partition, next] : next_) {
    all.push_back({partition, next});
  }
  return all;
}

}  // namespace millrace
