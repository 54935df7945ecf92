// Whether driver and executors see one snapshot directory, and whose fault it is when they do not.
// None of this ends the job: directories are mounted again, and what they held is still there.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "driver/coordinator/job_state.h"

namespace millrace::driver {
namespace {

std::string CauseOf(const absl::Status& status) { return std::string(ToStd(status.message())); }

}  // namespace

std::string JobState::StoreName() const {
  return absl::StrCat("the snapshot directory ", history_.submitted().snapshot_location());
}

void JobState::On(const StoreMarked& event) {
  if (stage_ != Stage::kJournalingEpoch || event.epoch != epoch_ || store_mark_.has_value()) {
    return;
  }
  if (!event.mark.ok()) {
    RetryForStore(
        absl::StrCat("the driver cannot use ", StoreName(), ": ", CauseOf(event.mark.status())));
    return;
  }
  store_mark_ = *event.mark;
  StartEpochIfProven();
}

// Executors hear of an epoch once it is durable in the journal and the driver's mark is written,
// for them to find.
void JobState::StartEpochIfProven() {
  if (stage_ == Stage::kJournalingEpoch && epoch_durable_ &&
      (store_mark_.has_value() || !KeepsSnapshots())) {
    StartEpochOnMembers();
  }
}

// The executor has read the driver's mark; now the driver reads the executor's.
void JobState::CheckStoreOf(size_t member, const proto::EpochReady& ready) {
  if (!store_mark_.has_value()) {
    TakeForReady(member);
  } else if (ready.store_mark_nonce() != store_mark_->nonce() || !ready.has_store_answer()) {
    ExcludeExecutor(
        members_[member].id, members_[member].name,
        absl::StrCat("it has not read in ", StoreName(), " what the driver has written there"));
  } else {
    actions_.push_back(CheckStoreAnswer{epoch_, members_[member].id, ready.store_answer()});
  }
}

void JobState::On(const StoreAnswerChecked& event) {
  const std::optional<size_t> member = MemberIndex(event.from);
  if (stage_ != Stage::kStartingEpoch || event.epoch != epoch_ || !member.has_value()) {
    return;
  }
  if (event.status.ok()) {
    TakeForReady(*member);
  } else {
    ExcludeExecutor(event.from, members_[*member].name,
                    absl::StrCat("the driver does not find in ", StoreName(),
                                 " what it has written there: ", CauseOf(event.status)));
  }
}

// An executor says that it cannot read the snapshot. The driver does not believe that before it has
// checked the files itself.
void JobState::SuspectSnapshot(size_t member, const proto::EpochFailed& failed) {
  restore_failure_ = {
      .by = members_[member].id, .name = members_[member].name, .words = failed.message()};
  AbandonEpoch();
  actions_.push_back(snapshots_.CheckOf(epoch_));
  Enter(Stage::kCheckingSnapshot);
  message_ = absl::StrCat("looks at its snapshot: executor ", restore_failure_.name, ": ",
                          restore_failure_.words);
}

void JobState::On(const SnapshotFilesChecked& event) {
  if (event.epoch != epoch_) {
    return;
  }
  if (stage_ == Stage::kCheckingSnapshot && event.batch == snapshots_.batch()) {
    JudgeSnapshot(event);
  } else if (std::optional<SnapshotFailed> failed = snapshots_.OnChecked(event)) {
    actions_.push_back(std::move(*failed));
  } else {
    FinishSnapshot();
  }
}

void JobState::JudgeSnapshot(const SnapshotFilesChecked& checked) {
  if (checked.status.ok()) {
    ExcludeExecutor(restore_failure_.by, restore_failure_.name,
                    absl::StrCat(restore_failure_.words, "; the driver finds it whole"));
    return;
  }
  const std::string words = absl::StrCat("the snapshot of batch ", checked.batch.value(),
                                         " cannot be read: ", CauseOf(checked.status));
  if (absl::IsDataLoss(checked.status)) {
    // The next epoch restores the older snapshot, or runs everything again from the beginning, or
    // the job ends with the reason that PlanRecovery gives.
    Append(BuildSnapshotDropped(Origin(), checked.batch, CauseOf(checked.status)));
  }
  RetryForStore(words);
}

// The other executors go on without this one. If there is no other, it is tried again soon.
void JobState::ExcludeExecutor(const ExecutorId& id, const std::string& name,
                               const std::string& words) {
  RetryForStore(excluded_.Exclude(id, name, words, now_.mono_us));
}

void JobState::RetryForStore(const std::string& words) {
  AbandonEpoch();
  if (stop_.has_value() && !Settling()) {
    return;
  }
  ++store_failures_;
  store_trouble_ = words;
  Retry(words, 1, backoff_.PauseUs(store_failures_, epoch_));
}

// When an excluded executor may be tried again; kNever = none is excluded.
int64_t JobState::ReadmissionUs() const {
  int64_t earliest_us = kNever;
  for (const auto& [id, excluded] : excluded_.all()) {
    if (excluded.until_us > now_.mono_us && !MemberIndex(id).has_value()) {
      earliest_us = std::min(earliest_us, excluded.until_us);
    }
  }
  return earliest_us;
}

std::string JobState::snapshot_trouble() const {
  if (stage_ != Stage::kRunning && !store_trouble_.empty()) {
    return store_trouble_;
  }
  for (const auto& [id, excluded] : excluded_.all()) {
    if (!MemberIndex(id).has_value()) {
      return absl::StrCat("goes on without ", excluded.why);
    }
  }
  if (history_.submitted().snapshot_location().empty() && !history_.is_rebuildable()) {
    return "the job is too old for its state to be rebuilt if an executor is lost, and there is no "
           "place for snapshots: a driver with --directory, or checkpoint_location, is one";
  }
  return snapshots_.trouble();
}

}  // namespace millrace::driver
