// Snapshots: at which point of the pipeline one is cut, and what the journal and the driver are
// told of it.
#include <utility>

#include "driver/coordinator/job_state.h"

namespace millrace::driver {

bool JobState::KeepsSnapshots() const {
  return history_.plan().running_state() && !history_.submitted().replay() &&
         !history_.submitted().snapshot_location().empty();
}

bool JobState::CanCut() const {
  return KeepsSnapshots() && stage_ == Stage::kRunning && !snapshots_.IsTaking() &&
         !pipeline_.IsReplaying() && snapshots_.IsUncut(pipeline_.last_planned()) &&
         !pipeline_.IsRunning();
}

void JobState::SnapshotIfDue() {
  if (now_.mono_us >= snapshots_.DeadlineUs()) {
    actions_.push_back(snapshots_.GiveUpLate());
  }
  if (CanCut() && now_.mono_us >= snapshots_.CutDueUs(now_.mono_us)) {
    TakeSnapshot();
  }
}

int64_t JobState::SnapshotDueUs() const {
  if (snapshots_.IsTaking()) {
    return snapshots_.DeadlineUs();
  }
  return CanCut() ? snapshots_.CutDueUs(now_.mono_us) : kNever;
}

// A snapshot that failed is not tried again for the same batch.
bool JobState::SecureState() {
  if (CanCut()) {
    TakeSnapshot();
  }
  return !snapshots_.IsTaking();
}

void JobState::TakeSnapshot() {
  std::vector<std::string> names;
  names.reserve(members_.size());
  for (const Member& member : members_) {
    names.push_back(member.name);
  }
  snapshots_.Cut(pipeline_.last_planned(), epoch_, std::move(names), now_.mono_us);
  for (size_t m = 0; m < members_.size(); ++m) {
    SendTakeSnapshot(m);
  }
}

void JobState::SendTakeSnapshot(size_t member) {
  proto::DriverMessage message;
  proto::TakeSnapshot* take = message.mutable_take_snapshot();
  take->set_job_id(history_.job_id());
  take->set_epoch(epoch_.value());
  take->set_batch(snapshots_.layer().batch());
  take->set_full(snapshots_.layer().full());
  Send(member, std::move(message));
}

void JobState::OnSnapshotWritten(size_t member, const proto::SnapshotWritten& written) {
  if (std::optional<JobAction> next = snapshots_.OnWritten(member, written, now_.mono_us)) {
    actions_.push_back(std::move(*next));
  }
  FinishSnapshot();
}

void JobState::FinishSnapshot() {
  if (const std::optional<SnapshotDone> done =
          snapshots_.TakeDone(history_.last_snapshot(), now_.mono_us)) {
    actions_.push_back(*done);
  } else if (const proto::Snapshot* complete = snapshots_.Complete(history_.last_committed())) {
    Append(BuildSnapshotCompleted(Origin(), *complete));
  }
}

}  // namespace millrace::driver
