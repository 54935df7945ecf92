#include "driver/coordinator/snapshot_chain.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace millrace::driver {
namespace {

uint64_t BytesOf(const proto::SnapshotLayer& layer) {
  uint64_t bytes = 0;
  for (const proto::SnapshotFile& file : layer.files()) {
    bytes += file.bytes();
  }
  return bytes;
}

}  // namespace

SnapshotChain::SnapshotChain(StateOfPlan plan, int64_t interval_us, int64_t step_timeout_us)
    : plan_(std::move(plan)), interval_us_(interval_us), step_timeout_us_(step_timeout_us) {}

void SnapshotChain::Restore(const proto::Snapshot* restored) {
  chain_ = restored == nullptr ? proto::Snapshot() : *restored;
  last_cut_ = BatchId(chain_.batch());
  // Another plan may have written the chain. Operators that have no place in the present plan are
  // left out, and a later snapshot must not bring their state back with the old layers.
  const std::vector<proto::StateIdentity>& wanted = plan_.operators;
  google::protobuf::RepeatedPtrField<proto::StateIdentity> fitting;
  for (const proto::StateIdentity& kept : chain_.operators()) {
    const bool fits = std::any_of(wanted.begin(), wanted.end(), [&](const auto& identity) {
      return identity.name() == kept.name() && identity.shape() == kept.shape();
    });
    if (fits) {
      *fitting.Add() = kept;
    }
  }
  of_other_plan_ = fitting.size() != static_cast<int>(wanted.size()) ||
                   fitting.size() != chain_.operators_size();
  *chain_.mutable_operators() = std::move(fitting);
  taking_.reset();
}

const proto::Snapshot* SnapshotChain::restored() const {
  return HasLayers() && chain_.operators_size() > 0 ? &chain_ : nullptr;
}

CheckSnapshotFiles SnapshotChain::CheckOf(Epoch epoch) const {
  CheckSnapshotFiles check{.epoch = epoch, .batch = batch(), .files = {}};
  for (const proto::SnapshotLayer& layer : chain_.layers()) {
    check.files.insert(check.files.end(), layer.files().begin(), layer.files().end());
  }
  return check;
}

int64_t SnapshotChain::CutDueUs(int64_t now_us) const {
  return requested_ ? now_us : std::max(now_us, interval_began_us_ + interval_us_);
}

// A full snapshot is due when the chain is as long as it may be, or when its increments together
// are larger than its full layer.
bool SnapshotChain::WantsFull() const {
  if (!HasLayers() || of_other_plan_ || chain_.layers_size() >= kMaxLayers) {
    return true;
  }
  uint64_t increments = 0;
  for (int i = 1; i < chain_.layers_size(); ++i) {
    increments += BytesOf(chain_.layers(i));
  }
  return increments > BytesOf(chain_.layers(0));
}

void SnapshotChain::Cut(BatchId batch, Epoch epoch, std::vector<std::string> members,
                        int64_t now_us) {
  Taking taking;
  taking.layer.set_batch(batch.value());
  taking.layer.set_epoch(epoch.value());
  taking.layer.set_full(WantsFull());
  taking.answered = MemberAnswers(members.size());
  taking.members = std::move(members);
  taking.since_us = now_us;
  taking.deadline_us = now_us + step_timeout_us_;
  taking_ = std::move(taking);
  last_cut_ = batch;
  interval_began_us_ = now_us;
  requested_ = false;
}

int64_t SnapshotChain::DeadlineUs() const {
  return IsTaking() && !taking_->checked ? taking_->deadline_us : kNeverUs;
}

std::optional<JobAction> SnapshotChain::OnWritten(size_t member,
                                                  const proto::SnapshotWritten& written,
                                                  int64_t now_us) {
  if (!IsTaking() || taking_->layer.batch() != written.batch() || !taking_->answered.Add(member)) {
    return std::nullopt;
  }
  if (written.has_file()) {
    *taking_->layer.add_files() = written.file();
    taking_->writers.push_back(taking_->members[member]);
  }
  if (!written.error().empty() && taking_->trouble.empty()) {
    taking_->trouble = absl::StrCat("executor ", taking_->members[member], ": ", written.error());
  }
  if (!taking_->answered.AreComplete()) {
    return std::nullopt;
  }
  if (!taking_->trouble.empty()) {
    return GiveUp(taking_->trouble);
  }
  // The files that executors say they have written count once the driver has found them itself.
  const auto& files = taking_->layer.files();
  taking_->checked = files.empty();
  if (taking_->checked) {
    return std::nullopt;
  }
  taking_->deadline_us = now_us + step_timeout_us_;
  return CheckSnapshotFiles{
      Epoch(taking_->layer.epoch()), BatchId(taking_->layer.batch()), {files.begin(), files.end()}};
}

std::optional<SnapshotFailed> SnapshotChain::OnChecked(const SnapshotFilesChecked& checked) {
  if (!IsTaking() || checked.batch != BatchId(taking_->layer.batch())) {
    return std::nullopt;
  }
  if (checked.status.ok()) {
    taking_->checked = true;
    return std::nullopt;
  }
  std::string writer;
  for (int i = 0; i < taking_->layer.files_size(); ++i) {
    if (taking_->layer.files(i).name() == checked.file) {
      writer = taking_->writers[static_cast<size_t>(i)];
    }
  }
  return GiveUp(absl::StrCat("the driver does not find what executor ", writer,
                             " says to have written: ", ToAbsl(ToStd(checked.status.message()))));
}

SnapshotFailed SnapshotChain::GiveUpLate() {
  const std::optional<size_t> late = taking_->answered.Missing();
  return GiveUp(late.has_value() ? absl::StrCat("executor ", taking_->members[*late],
                                                " has not written its part in time")
                                 : "the driver has not read its files in time");
}

SnapshotFailed SnapshotChain::GiveUp(const std::string& why) {
  const BatchId batch(taking_->layer.batch());
  trouble_ = absl::StrCat("no snapshot of batch ", batch.value(), " could be taken: ", why);
  taking_.reset();
  chain_.clear_layers();
  return SnapshotFailed{batch, trouble_};
}

const proto::Snapshot* SnapshotChain::Complete(BatchId last_committed) {
  if (!IsTaking() || !taking_->checked || taking_->journaled ||
      last_committed < BatchId(taking_->layer.batch())) {
    return nullptr;
  }
  taking_->journaled = true;
  trouble_.clear();
  if (taking_->layer.full()) {
    chain_.clear_layers();
    of_other_plan_ = false;
  }
  *chain_.add_layers() = taking_->layer;
  chain_.set_batch(taking_->layer.batch());
  chain_.set_engine_version(plan_.engine_version);
  chain_.set_key_groups(plan_.key_groups);
  chain_.clear_operators();
  chain_.mutable_operators()->Add(plan_.operators.begin(), plan_.operators.end());
  return &chain_;
}

std::optional<SnapshotDone> SnapshotChain::TakeDone(BatchId last_snapshot, int64_t now_us) {
  if (!IsTaking() || !taking_->checked || last_snapshot != BatchId(taking_->layer.batch())) {
    return std::nullopt;
  }
  const SnapshotDone done{last_snapshot, static_cast<int64_t>(BytesOf(taking_->layer)),
                          now_us - taking_->since_us};
  taking_.reset();
  return done;
}

}  // namespace millrace::driver
