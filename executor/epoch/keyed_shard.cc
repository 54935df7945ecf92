#include "executor/epoch/keyed_shard.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status.h"

namespace millrace::executor {

absl::StatusOr<std::unique_ptr<KeyedShard>> KeyedShard::Create(
    TaskHost* host, const EpochLayout& layout, uint32_t stage, uint32_t shard,
    const FunctionRegistry& functions, OutputRouter* router, StateBackend* backend) {
  ASSIGN_OR_RETURN(std::unique_ptr<KeyedPipeline> pipeline,
                   KeyedPipeline::Create(layout.plan, stage, shard, functions, backend));
  ASSIGN_OR_RETURN(BlockShape input, BlockShape::Of(layout.plan, *layout.stages[stage].exchange,
                                                    shard, layout.shard_count()));
  // Without GROUP BY all rows go to key group 0, so that only its shard has output without input.
  const bool every_batch = layout.stages[stage].every_batch && shard == 0;
  return std::unique_ptr<KeyedShard>(
      new KeyedShard(host, stage, std::move(input), every_batch, std::move(pipeline), router));
}

KeyedShard::KeyedShard(TaskHost* host, uint32_t stage, BlockShape input, bool every_batch,
                       std::unique_ptr<KeyedPipeline> pipeline, OutputRouter* router)
    : host_(host),
      stage_(stage),
      shard_(input.shard),
      input_(std::move(input)),
      every_batch_(every_batch),
      pipeline_(std::move(pipeline)),
      identities_(pipeline_->StateIdentities()),
      outputs_(router) {}

void KeyedShard::BeginBatch(std::shared_ptr<BatchRun> run) {
  absl::MutexLock lock(&mutex_);
  MILLRACE_CHECK(queue_.empty() && !scheduled_) << "the batch before is still running";
  run_ = std::move(run);
  touched_ = false;
  input_ended_ = false;
}

void KeyedShard::Deliver(ShuffleBlock block) {
  absl::MutexLock lock(&mutex_);
  if (host_->ended()) {
    return;
  }
  touched_ = true;
  queue_.push_back(std::move(block));
  Schedule();
}

void KeyedShard::EndInput() {
  std::shared_ptr<BatchRun> untouched;
  {
    absl::MutexLock lock(&mutex_);
    if (WantsBatch()) {
      input_ended_ = true;
      Schedule();
      return;
    }
    untouched = run_;
  }
  host_->UnitEnded(untouched, stage_);
}

bool KeyedShard::WantsBatch() const {
  const int64_t wake_at_us = wake_at_us_.load(std::memory_order_relaxed);
  return touched_ || every_batch_ || (wake_at_us != 0 && wake_at_us <= run_->time_us());
}

void KeyedShard::Schedule() {
  if (!scheduled_ && !copying_) {
    scheduled_ = host_->Spawn([this] { Run(); }, QueuePlace::kUrgent);
  }
}

void KeyedShard::ScheduleCopy() {
  if (cut_ == nullptr || scheduled_ || copying_ || !cut_->MayCopy()) {
    return;
  }
  const bool urgent = cut_->IsOverdue();
  bool& queued = urgent ? urgent_copy_queued_ : copy_queued_;
  if (!queued) {
    queued = host_->Spawn([this, urgent] { Copy(urgent); },
                          urgent ? QueuePlace::kUrgent : QueuePlace::kBack);
  }
}

void KeyedShard::Run() {
  bool may_copy = true;
  while (!host_->ended()) {
    Work work;
    if (!TakeWork(may_copy, &work)) {
      return;
    }
    if (work.copy) {
      may_copy = false;  // other tasks want the slot, too
      CopyStep(work.cut);
      continue;
    }
    may_copy = true;
    absl::Status status = ApplyWork(&work);
    if (status.ok() && work.end && !host_->ended()) {
      status = EndBatch(work.run.get());
      if (status.ok()) {
        {
          // Reset before UnitEnded, since the next batch may begin from then on.
          absl::MutexLock lock(&mutex_);
          scheduled_ = false;
          input_ended_ = false;
          ScheduleCopy();
        }
        host_->UnitEnded(work.run, stage_);
        return;
      }
    }
    if (!status.ok()) {
      host_->Fail(work.run->batch(), status);
      return;
    }
  }
}

bool KeyedShard::TakeWork(bool may_copy, Work* work) {
  absl::MutexLock lock(&mutex_);
  work->run = run_;
  work->cut = cut_;
  work->copy = may_copy && cut_ != nullptr && cut_->IsOverdue();
  if (work->copy) {
    return true;
  }
  work->blocks.swap(queue_);
  work->end = input_ended_;
  if (!work->blocks.empty() || work->end) {
    return true;
  }
  work->copy = may_copy && cut_ != nullptr && cut_->MayCopy();
  if (!work->copy) {
    scheduled_ = false;
    ScheduleCopy();
  }
  return work->copy;
}

absl::Status KeyedShard::ApplyWork(Work* work) {
  if (work->cut != nullptr) {
    BeginCut(work->cut);  // before this batch changes the state
  }
  if (!begun_) {
    begun_ = true;
    outputs_.Begin(work->run.get());
    pipeline_->BeginBatch(work->run->batch(), work->run->time_us(), &outputs_);
  }
  while (!work->blocks.empty() && !host_->ended()) {
    RETURN_IF_ERROR(Apply(std::move(work->blocks.front())));
    work->blocks.pop_front();
  }
  return absl::OkStatus();
}

void KeyedShard::Cut(std::shared_ptr<SnapshotCut> cut) {
  absl::MutexLock lock(&mutex_);
  cut_ = std::move(cut);
  ScheduleCopy();
}

void KeyedShard::CopyOn() {
  absl::MutexLock lock(&mutex_);
  ScheduleCopy();
}

void KeyedShard::Copy(bool urgent) {
  std::shared_ptr<SnapshotCut> cut;
  {
    absl::MutexLock lock(&mutex_);
    (urgent ? urgent_copy_queued_ : copy_queued_) = false;
    // If Run is queued, it copies when it has run out of rows. CopyOn is called when the budget
    // grows.
    if (scheduled_ || copying_ || cut_ == nullptr || !cut_->MayCopy()) {
      return;
    }
    copying_ = true;
    cut = cut_;
  }
  if (!host_->ended()) {
    CopyStep(cut);
  }
  absl::MutexLock lock(&mutex_);
  copying_ = false;
  if (!queue_.empty() || input_ended_) {
    Schedule();
  }
  ScheduleCopy();
}

void KeyedShard::BeginCut(const std::shared_ptr<SnapshotCut>& cut) {
  if (begun_cut_ == cut) {
    return;
  }
  begun_cut_ = cut;
  const int64_t start_ns = cut->budget().now_ns();
  pipeline_->BeginSnapshot(cut->full());
  cut->AddMarked(cut->budget().now_ns() - start_ns);
}

void KeyedShard::CopyStep(const std::shared_ptr<SnapshotCut>& cut) {
  BeginCut(cut);
  const int64_t start_ns = cut->budget().now_ns();
  const absl::StatusOr<bool> all = pipeline_->ContinueSnapshot(kStepEntries);
  if (!all.ok()) {
    host_->Fail(BatchId(), all.status());
    return;
  }
  std::vector<StateBlock> blocks;
  if (*all) {
    blocks = pipeline_->TakeSnapshot();
    begun_cut_.reset();
    absl::MutexLock lock(&mutex_);
    if (cut_ == cut) {
      cut_.reset();
    }
  }
  cut->budget().Spend(cut->budget().now_ns() - start_ns);
  if (*all) {
    cut->AddShard(std::move(blocks));
  }
}

absl::Status KeyedShard::Apply(ShuffleBlock block) {
  if (!block.encoded.empty()) {
    ASSIGN_OR_RETURN(block.rows, DecodeBlock(block, input_));
  }
  return pipeline_->Apply(block.rows, block.runs);
}

absl::Status KeyedShard::EndBatch(BatchRun* run) {
  ASSIGN_OR_RETURN(const SkipReport skipped, pipeline_->EndBatch());
  outputs_.Finish();
  begun_ = false;
  run->AddSkipped(skipped);
  UpdateCounts();
  return absl::OkStatus();
}

void KeyedShard::UpdateCounts() {
  state_rows_.store(pipeline_->StateRows(), std::memory_order_relaxed);
  state_bytes_.store(pipeline_->StateBytes(), std::memory_order_relaxed);
  wake_at_us_.store(pipeline_->wake_at_us(), std::memory_order_relaxed);
}

}  // namespace millrace::executor
