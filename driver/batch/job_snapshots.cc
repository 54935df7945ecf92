// Snapshots: when to cut, what to journal of what executors have written.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/base/status.h"
#include "driver/batch/job_state.h"

namespace millrace {
namespace {

// A full snapshot is due when the chain has this many layers, or its increments together are larger
// than its full layer: restoring it would then cost more than a full snapshot costs now.
constexpr int kMaxLayers = 16;

uint64_t BytesOf(const proto::SnapshotLayer& layer) {
  uint64_t bytes = 0;
  for (const proto::SnapshotFile& file : layer.files()) {
    bytes += file.bytes();
  }
  return bytes;
}

}  // namespace

bool JobState::KeepsSnapshots() const {
  return history_.plan().running_state() && !history_.submitted().replay() &&
         !history_.submitted().snapshot_location().empty();
}

void JobState::StartChain(const proto::Snapshot* restored) {
  chain_ = restored == nullptr ? proto::Snapshot() : *restored;
  last_cut_ = BatchId(chain_.batch());
  // Another plan may have written the chain. Operators that have no place in the present plan are
  // left out, and a later snapshot must not bring their state back with the old layers.
  const std::vector<proto::StateIdentity>& wanted = options_.operators;
  google::protobuf::RepeatedPtrField<proto::StateIdentity> fitting;
  for (const proto::StateIdentity& kept : chain_.operators()) {
    const bool fits = std::any_of(wanted.begin(), wanted.end(), [&](const auto& identity) {
      return identity.name() == kept.name() && identity.shape() == kept.shape();
    });
    if (fits) {
      *fitting.Add() = kept;
    }
  }
  chain_of_other_plan_ = fitting.size() != static_cast<int>(wanted.size()) ||
                         fitting.size() != chain_.operators_size();
  *chain_.mutable_operators() = std::move(fitting);
  pending_snapshot_.reset();
}

bool JobState::CanCut() const {
  return KeepsSnapshots() && stage_ == Stage::kRunning && !pending_snapshot_.has_value() &&
         replays_.empty() && last_planned_ > last_cut_ &&
         (in_flight_.empty() || in_flight_.back().step != InFlight::Step::kRunning);
}

void JobState::SnapshotIfDue() {
  if (pending_snapshot_.has_value() && !pending_snapshot_->checked &&
      now_.mono_us >= pending_snapshot_->deadline_us) {
    GiveSnapshotUp(LateForSnapshot());
  }
  if (CanCut() && now_.mono_us >= SnapshotDueUs()) {
    TakeSnapshot();
  }
}

int64_t JobState::SnapshotDueUs() const {
  if (pending_snapshot_.has_value()) {
    return pending_snapshot_->checked ? kNever : pending_snapshot_->deadline_us;
  }
  if (!CanCut()) {
    return kNever;
  }
  const int64_t due_us =
      last_snapshot_us_ + absl::ToInt64Microseconds(settings_.checkpoint_interval);
  return snapshot_requested_ ? now_.mono_us : std::max(now_.mono_us, due_us);
}

// A snapshot that failed is not tried again for the same batch.
bool JobState::SecureState() {
  if (!pending_snapshot_.has_value() && CanCut()) {
    TakeSnapshot();
  }
  return !pending_snapshot_.has_value();
}

bool JobState::WantsFullSnapshot() const {
  if (chain_.layers().empty() || chain_of_other_plan_ || chain_.layers_size() >= kMaxLayers) {
    return true;
  }
  uint64_t increments = 0;
  for (int i = 1; i < chain_.layers_size(); ++i) {
    increments += BytesOf(chain_.layers(i));
  }
  return increments > BytesOf(chain_.layers(0));
}

void JobState::TakeSnapshot() {
  PendingSnapshot pending;
  pending.layer.set_batch(last_planned_.value());
  pending.layer.set_epoch(epoch_.value());
  pending.layer.set_full(WantsFullSnapshot());
  pending.answered.assign(members_.size(), false);
  pending.since_us = now_.mono_us;
  pending.deadline_us = now_.mono_us + options_.snapshot_timeout_us;
  pending_snapshot_ = std::move(pending);
  last_cut_ = last_planned_;
  last_snapshot_us_ = now_.mono_us;
  snapshot_requested_ = false;
  for (size_t m = 0; m < members_.size(); ++m) {
    SendTakeSnapshot(m);
  }
}

void JobState::SendTakeSnapshot(size_t member) {
  proto::DriverMessage message;
  proto::TakeSnapshot* take = message.mutable_take_snapshot();
  take->set_job_id(history_.job_id());
  take->set_epoch(epoch_.value());
  take->set_batch(pending_snapshot_->layer.batch());
  take->set_full(pending_snapshot_->layer.full());
  Send(member, std::move(message));
}

void JobState::OnSnapshotWritten(size_t member, const proto::SnapshotWritten& written) {
  if (!pending_snapshot_.has_value() || pending_snapshot_->layer.batch() != written.batch() ||
      pending_snapshot_->answered[member]) {
    return;
  }
  pending_snapshot_->answered[member] = true;
  ++pending_snapshot_->answers;
  if (written.has_file()) {
    *pending_snapshot_->layer.add_files() = written.file();
    pending_snapshot_->writers.push_back(members_[member].name);
  }
  if (!written.error().empty() && pending_snapshot_->trouble.empty()) {
    pending_snapshot_->trouble =
        absl::StrCat("executor ", members_[member].name, ": ", written.error());
  }
  if (pending_snapshot_->answers < members_.size()) {
    return;
  }
  if (!pending_snapshot_->trouble.empty()) {
    GiveSnapshotUp(pending_snapshot_->trouble);
    return;
  }
  CheckTaken();
}

// The files that executors say they have written count once the driver has found them itself.
void JobState::CheckTaken() {
  pending_snapshot_->checked = pending_snapshot_->layer.files().empty();
  if (pending_snapshot_->checked) {
    FinishSnapshot();
    return;
  }
  pending_snapshot_->deadline_us = now_.mono_us + options_.snapshot_timeout_us;
  const auto& files = pending_snapshot_->layer.files();
  actions_.push_back(CheckSnapshotFiles{
      epoch_, BatchId(pending_snapshot_->layer.batch()), {files.begin(), files.end()}});
}

void JobState::NoteSnapshotChecked(const SnapshotFilesChecked& checked) {
  if (checked.status.ok()) {
    pending_snapshot_->checked = true;
    FinishSnapshot();
    return;
  }
  std::string writer;
  for (int i = 0; i < pending_snapshot_->layer.files_size(); ++i) {
    if (pending_snapshot_->layer.files(i).name() == checked.file) {
      writer = pending_snapshot_->writers[static_cast<size_t>(i)];
    }
  }
  GiveSnapshotUp(absl::StrCat("the driver does not find what executor ", writer,
                              " says to have written: ", ToAbsl(ToStd(checked.status.message()))));
}

// Names the executor that has not written its part by the deadline.
std::string JobState::LateForSnapshot() const {
  const auto late =
      std::find(pending_snapshot_->answered.begin(), pending_snapshot_->answered.end(), false);
  if (late == pending_snapshot_->answered.end()) {
    return "the driver has not read its files in time";
  }
  const auto member = static_cast<size_t>(late - pending_snapshot_->answered.begin());
  return absl::StrCat("executor ", members_[member].name, " has not written its part in time");
}

// Gives up the snapshot. Executors keep track only of changes since the last cut, so the changes
// before this one will be in no layer: the next snapshot must be full.
void JobState::GiveSnapshotUp(const std::string& why) {
  snapshot_trouble_ = absl::StrCat("no snapshot of batch ", pending_snapshot_->layer.batch(),
                                   " could be taken: ", why);
  actions_.push_back(SnapshotFailed{BatchId(pending_snapshot_->layer.batch()), snapshot_trouble_});
  pending_snapshot_.reset();
  chain_.clear_layers();
}

void JobState::FinishSnapshot() {
  if (!pending_snapshot_.has_value() || !pending_snapshot_->checked) {
    return;
  }
  const BatchId batch(pending_snapshot_->layer.batch());
  if (history_.last_snapshot() == batch) {
    actions_.push_back(SnapshotDone{batch, static_cast<int64_t>(BytesOf(pending_snapshot_->layer)),
                                    now_.mono_us - pending_snapshot_->since_us});
    pending_snapshot_.reset();
    return;
  }
  if (pending_snapshot_->journaled || history_.last_committed() < batch) {
    return;
  }
  pending_snapshot_->journaled = true;
  snapshot_trouble_.clear();
  if (pending_snapshot_->layer.full()) {
    chain_.clear_layers();
    chain_of_other_plan_ = false;
  }
  *chain_.add_layers() = pending_snapshot_->layer;
  chain_.set_batch(batch.value());
  chain_.set_engine_version(history_.plan().engine_version());
  chain_.set_key_groups(history_.plan().key_groups());
  chain_.clear_operators();
  chain_.mutable_operators()->Add(options_.operators.begin(), options_.operators.end());
  proto::JournalRecord record;
  record.mutable_snapshot_completed()->set_job_id(history_.job_id());
  record.mutable_snapshot_completed()->set_epoch(epoch_.value());
  *record.mutable_snapshot_completed()->mutable_snapshot() = chain_;
  Append(std::move(record));
}

}  // namespace millrace
