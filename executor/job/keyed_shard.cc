#include "executor/job/keyed_shard.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/columnar/batch_codec.h"

namespace millrace {

absl::StatusOr<std::unique_ptr<KeyedShard>> KeyedShard::Create(TaskHost* host,
                                                               const EpochLayout& layout,
                                                               uint32_t stage, uint32_t shard,
                                                               const FunctionRegistry& functions,
                                                               OutputRouter* router) {
  ASSIGN_OR_RETURN(std::unique_ptr<KeyedPipeline> pipeline,
                   KeyedPipeline::Create(layout.plan, stage, shard, functions));
  // Without GROUP BY all rows go to key group 0, so that only its shard has output without input.
  const bool every_batch = layout.stages[stage].every_batch && shard == 0;
  return std::unique_ptr<KeyedShard>(
      new KeyedShard(host, stage, every_batch, std::move(pipeline), router));
}

KeyedShard::KeyedShard(TaskHost* host, uint32_t stage, bool every_batch,
                       std::unique_ptr<KeyedPipeline> pipeline, OutputRouter* router)
    : host_(host),
      stage_(stage),
      every_batch_(every_batch),
      pipeline_(std::move(pipeline)),
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
    if (touched_ || every_batch_) {
      input_ended_ = true;
      Schedule();
      return;
    }
    untouched = run_;
  }
  host_->UnitEnded(untouched, stage_);
}

void KeyedShard::Schedule() {
  if (!scheduled_) {
    scheduled_ = host_->Spawn([this] { Run(); }, QueuePlace::kUrgent);
  }
}

void KeyedShard::Run() {
  while (!host_->ended()) {
    std::deque<ShuffleBlock> blocks;
    std::shared_ptr<BatchRun> run;
    bool end = false;
    {
      absl::MutexLock lock(&mutex_);
      run = run_;
      blocks.swap(queue_);
      end = input_ended_;
      if (blocks.empty() && !end) {
        scheduled_ = false;
        return;
      }
    }
    absl::Status status;
    if (!begun_) {
      begun_ = true;
      outputs_.Begin(run.get());
      pipeline_->BeginBatch(run->batch(), run->time_us(), &outputs_);
    }
    while (!blocks.empty() && status.ok() && !host_->ended()) {
      status = Apply(std::move(blocks.front()));
      blocks.pop_front();
    }
    if (status.ok() && end && !host_->ended()) {
      status = EndBatch(run.get());
      if (status.ok()) {
        {
          // Before the batch can end: the next one may begin from then on.
          absl::MutexLock lock(&mutex_);
          scheduled_ = false;
          input_ended_ = false;
        }
        host_->UnitEnded(run, stage_);
        return;
      }
    }
    if (!status.ok()) {
      host_->Fail(run->batch(), status);
      return;
    }
  }
}

absl::Status KeyedShard::Apply(ShuffleBlock block) {
  if (!block.encoded.empty()) {
    ASSIGN_OR_RETURN(block.rows, DecodeBatch(block.encoded));
  }
  return pipeline_->Apply(block.rows, block.runs);
}

absl::Status KeyedShard::EndBatch(BatchRun* run) {
  ASSIGN_OR_RETURN(const SkipReport skipped, pipeline_->EndBatch());
  outputs_.Finish();
  begun_ = false;
  run->AddSkipped(skipped);
  state_rows_.store(pipeline_->StateRows(), std::memory_order_relaxed);
  state_bytes_.store(pipeline_->StateBytes(), std::memory_order_relaxed);
  return absl::OkStatus();
}

}  // namespace millrace
