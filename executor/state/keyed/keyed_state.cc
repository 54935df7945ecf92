#include "executor/state/keyed/keyed_state.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "executor/state/keyed/memory_state.h"
#include "executor/state/keyed/stored_state.h"
#include "executor/state/snapshot/held_rows.h"

namespace millrace::executor {

std::unique_ptr<KeyedState> KeyedState::Create(Options options, StateBackend* backend) {
  if (backend == nullptr) {
    return std::make_unique<MemoryState>(std::move(options));
  }
  return std::make_unique<StoredState>(std::move(options), backend->OpenStore());
}

KeyedState::KeyedState(Options options)
    : entries_(std::move(options.key_types), options.payload, options.ttl_us),
      copied_(options.identity.name()),
      identity_(std::move(options.identity)) {}

void KeyedState::BeginSnapshot(bool full) {
  MILLRACE_CHECK(full || taken_) << "the changes of a snapshot that was dropped would be lost";
  copied_.Clear();
  taken_ = false;
  Cut(full);
}

std::vector<StateBlock> KeyedState::TakeSnapshot() {
  MILLRACE_CHECK(!copying()) << "a snapshot was taken before all of it had been copied";
  taken_ = true;
  EndCut();
  return copied_.Take();
}

absl::Status KeyedState::Restore(const StateBlock& block) {
  RETURN_IF_ERROR(entries_.CheckShape(block.rows, identity_.shape()));
  return RestoreEntries(block);
}

int64_t KeyedState::wake_at_us() const { return rows() == 0 ? 0 : entries_.expiry().wake_at_us(); }

std::vector<ColumnPtr> KeyedState::KeysOf(const Batch& entries) const {
  const auto begin = entries.columns().begin();
  return {begin, begin + static_cast<ptrdiff_t>(table().key_count())};
}

absl::Status KeyedState::UnknownRemoval() {
  return absl::DataLossError("the snapshot removes a key that no layer before has put in");
}

absl::Status KeyedState::EqualKeysApart(const std::vector<ColumnPtr>& keys, uint32_t row) {
  return absl::FailedPreconditionError(absl::StrCat(
      "the snapshot was written when jsonb numbers with other zeros behind the point were other "
      "keys, and has ",
      DescribeKey({}, keys, row),
      " beside an equal one: their states cannot be told apart any more; submit the job without "
      "its state (--drop-state), so that it is rebuilt from the source"));
}

}  // namespace millrace::executor
