#include "driver/coordinator/batch_pipeline.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "driver/coordinator/plan_folding.h"

namespace millrace::driver {
namespace {

// How many batches there may be, including those whose commit is not durable yet.
constexpr size_t kMaxBatches = 64;

}  // namespace

void BatchPipeline::Batch::Add(uint32_t ordinal, const proto::SplitReport& report) {
  reports[ordinal] = report;
  done.records += report.records();
  done.bytes += report.bytes();
  done.skipped += report.skipped();
  done.lost += report.lost_end() - report.lost_begin();
  if (done.first_error.empty()) {
    done.first_error = report.first_error();
  }
}

void BatchPipeline::Batch::Add(const proto::BatchPrepared& report) {
  // Rows behind exchanges, which belong to no split.
  done.skipped += report.skipped();
  if (done.first_error.empty()) {
    done.first_error = report.first_error();
  }
  claimed.insert(claimed.end(), report.claimed().begin(), report.claimed().end());
  done.state_rows += report.state_rows();
  done.state_bytes += report.state_bytes();
  done.held_bytes += report.batch_held_bytes();
}

void BatchPipeline::BeginEpoch(Epoch epoch, size_t members, std::deque<PlannedBatch> replays,
                               BatchId suppress_until) {
  epoch_ = epoch;
  members_ = members;
  replays_ = std::move(replays);
  suppress_until_ = suppress_until;
}

void BatchPipeline::Withdraw(BatchId first) {
  std::erase_if(replays_, [first](const PlannedBatch& batch) { return batch.batch >= first; });
}

void BatchPipeline::EndEpoch() {
  in_flight_.clear();
  replays_.clear();
  wave_.reset();
  finish_batch_ = BatchId(0);
  finish_committed_ = false;
}

void BatchPipeline::Discard() {
  EndEpoch();
  journaling_.clear();
}

BatchPipeline::Batch BatchPipeline::TakeReplay() {
  Batch batch;
  batch.plan = std::move(replays_.front());
  replays_.pop_front();
  batch.suppressed = batch.plan.batch <= suppress_until_;
  return batch;
}

bool BatchPipeline::HasRoom(size_t uncommitted) const {
  return in_flight_.size() < uncommitted && in_flight_.size() + journaling_.size() < kMaxBatches &&
         !IsRunning();
}

const BatchPipeline::Batch& BatchPipeline::Launch(Batch batch, int64_t now_us) {
  last_planned_ = std::max(last_planned_, batch.plan.batch);
  batch.step_since_us = now_us;
  batch.prepared = MemberAnswers(members_);
  batch.done.batch = batch.plan.batch;
  batch.done.epoch = epoch_;
  batch.done.batch_time_us = batch.plan.batch_time_us;
  batch.done.planned_us = now_us;
  return in_flight_.emplace_back(std::move(batch));
}

BatchPipeline::Batch* BatchPipeline::OnPrepared(size_t member, BatchId batch) {
  if (!IsRunning() || in_flight_.back().plan.batch != batch ||
      !in_flight_.back().prepared.Add(member)) {
    return nullptr;
  }
  return &in_flight_.back();
}

void BatchPipeline::FinishPreparing(Batch* batch, int64_t now_us) {
  batch->step = Batch::Step::kPrepared;
  batch->done.prepared_us = now_us;
}

const BatchPipeline::Batch* BatchPipeline::rebuilt() const {
  const bool is_rebuilt = !in_flight_.empty() && in_flight_.front().suppressed &&
                          in_flight_.front().step == Batch::Step::kPrepared;
  return is_rebuilt ? &in_flight_.front() : nullptr;
}

const BatchPipeline::Wave* BatchPipeline::BeginWave(BatchId durably_planned, int64_t durable_record,
                                                    bool input_ends, int64_t now_us) {
  if (wave_.has_value() || now_us - times_.wave_interval_us < wave_since_us_) {
    return nullptr;
  }
  Wave wave;
  for (Batch& batch : in_flight_) {
    if (batch.step != Batch::Step::kPrepared || durably_planned < batch.plan.batch ||
        durable_record < batch.claims_record) {
      break;
    }
    batch.step = Batch::Step::kCommitting;
    batch.step_since_us = now_us;
    wave.through = batch.plan.batch;
  }
  if (wave.through == BatchId(0)) {
    return nullptr;
  }
  wave.finish = IsFinish(wave.through) || (input_ends && wave.through == last_planned_);
  wave.committed = MemberAnswers(members_);
  wave_since_us_ = now_us;
  return &wave_.emplace(std::move(wave));
}

int64_t BatchPipeline::NextWaveUs(int64_t now_us) const {
  const int64_t next_us = wave_since_us_ + times_.wave_interval_us;
  const bool waits = !wave_.has_value() && !in_flight_.empty() &&
                     in_flight_.front().step == Batch::Step::kPrepared && next_us > now_us;
  return waits ? next_us : kNeverUs;
}

bool BatchPipeline::OnCommitted(size_t member, const proto::BatchCommitted& committed) {
  if (!wave_.has_value() || wave_->through != BatchId(committed.batch()) ||
      !wave_->committed.Add(member)) {
    return false;
  }
  CommitMarks& marks = wave_->marks;
  marks.shards.insert(marks.shards.end(), committed.markers().begin(), committed.markers().end());
  marks.sessions.insert(marks.sessions.end(), committed.sessions().begin(),
                        committed.sessions().end());
  return true;
}

std::optional<BatchPipeline::Wave> BatchPipeline::TakeCommittedWave() {
  if (!wave_.has_value() || !wave_->committed.AreComplete()) {
    return std::nullopt;
  }
  finish_committed_ = wave_->finish;
  return std::exchange(wave_, std::nullopt);
}

const BatchDone* BatchPipeline::MoveToJournal(BatchId through, int64_t now_us) {
  if (in_flight_.empty() || in_flight_.front().plan.batch > through) {
    return nullptr;
  }
  Batch& batch = in_flight_.front();
  BatchDone& done = journaling_.emplace_back(std::move(batch.done));
  done.committed_us = now_us;
  done.splits.reserve(batch.reports.size());
  for (auto& [ordinal, report] : batch.reports) {
    done.splits.push_back(std::move(report));
  }
  in_flight_.pop_front();
  return &done;
}

std::optional<BatchDone> BatchPipeline::TakeDone(BatchId last_committed, int64_t now_us) {
  if (journaling_.empty() || last_committed < journaling_.front().batch) {
    return std::nullopt;
  }
  BatchDone done = std::move(journaling_.front());
  journaling_.pop_front();
  done.done_us = now_us;
  return done;
}

const BatchPipeline::Batch* BatchPipeline::Find(BatchId batch) const {
  const auto found = std::find_if(in_flight_.begin(), in_flight_.end(),
                                  [&](const Batch& one) { return one.plan.batch == batch; });
  return found == in_flight_.end() ? nullptr : &*found;
}

bool BatchPipeline::HasUnsuppressed() const {
  return std::any_of(in_flight_.begin(), in_flight_.end(),
                     [](const Batch& batch) { return !batch.suppressed; });
}

bool BatchPipeline::IsRebuilding() const {
  return (!in_flight_.empty() && in_flight_.back().suppressed) ||
         (!replays_.empty() && replays_.front().batch <= suppress_until_);
}

// A plan that was folded has the work of several batches.
int64_t BatchPipeline::PrepareTimeoutUs(const PlannedBatch& plan) const {
  return times_.prepare_us * std::min(plan.stands_for, kMaxFold);
}

int64_t BatchPipeline::DeadlineUs() const {
  if (in_flight_.empty() || in_flight_.front().step == Batch::Step::kPrepared) {
    return kNeverUs;
  }
  const Batch& batch = in_flight_.front();
  return batch.step_since_us +
         (batch.step == Batch::Step::kRunning ? PrepareTimeoutUs(batch.plan) : times_.commit_us);
}

absl::Status BatchPipeline::CheckDeadline(int64_t now_us) const {
  if (now_us < DeadlineUs()) {
    return absl::OkStatus();
  }
  const Batch& batch = in_flight_.front();
  return absl::DeadlineExceededError(
      absl::StrCat(batch.step == Batch::Step::kRunning ? "not done" : "not committed", " after ",
                   (now_us - batch.step_since_us) / 1'000'000, " s"));
}

}  // namespace millrace::driver
