// Sends a stage's rows to exchanges and sinks: OutputRouter knows the destinations for the whole
// epoch, TaskOutputs is one task's side of it.
#ifndef MILLRACE_EXECUTOR_EPOCH_TASK_OUTPUTS_H_
#define MILLRACE_EXECUTOR_EPOCH_TASK_OUTPUTS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "executor/epoch/batch_run.h"
#include "executor/epoch/epoch_layout.h"
#include "executor/epoch/job_metrics.h"
#include "executor/epoch/sink_set.h"
#include "executor/operators/stage_pipeline.h"
#include "executor/shuffle/exchange_writer.h"
#include "executor/shuffle/flow_gate.h"
#include "executor/shuffle/peer_link.h"
#include "executor/shuffle/shuffle_block.h"

namespace millrace::executor {

// Thread-safe once the epoch runs.
class OutputRouter {
 public:
  using DeliverLocally = std::function<void(ShuffleBlock)>;

  OutputRouter(const EpochLayout* layout, SinkSet* sinks, FlowGate* gate, JobMetrics* metrics,
               DeliverLocally deliver)
      : layout_(*layout),
        sinks_(*sinks),
        gate_(gate),
        metrics_(metrics),
        deliver_(std::move(deliver)) {}

  // By member; null for this executor. REQUIRES: before the first batch.
  void SetLinks(std::vector<std::shared_ptr<PeerLink>> links) { links_ = std::move(links); }

  void SendToShard(BatchRun* run, uint32_t exchange, uint32_t shard, const Batch& rows, bool owned,
                   std::vector<InputRun> runs);
  // Tells the other members that no more blocks come from here.
  void EndExchange(const BatchRun& run, uint32_t exchange);

  // See PipelineOutputs::SinkRows.
  absl::Status WriteSink(BatchRun* run, uint32_t sink, uint32_t shard, const Batch& rows,
                         RowErrors* refused);

  const EpochLayout& layout() const { return layout_; }

 private:
  const EpochLayout& layout_;
  SinkSet& sinks_;
  FlowGate* const gate_;
  JobMetrics* const metrics_;
  const DeliverLocally deliver_;
  std::vector<std::shared_ptr<PeerLink>> links_;
};

// Thread-compatible; belongs to the task of a split or to a keyed shard, and is used again for the
// next batch.
class TaskOutputs : public PipelineOutputs, private ShardTarget {
 public:
  explicit TaskOutputs(OutputRouter* router);

  void Begin(BatchRun* run) { run_ = run; }
  // Sends the rows that are held back for exchanges.
  void Finish();

  absl::Status ExchangeRows(uint32_t exchange, const Batch& rows,
                            std::span<const OutputRun> runs) override;
  absl::Status SinkRows(uint32_t sink, uint32_t shard, const Batch& rows,
                        RowErrors* refused) override;

  // The memory of the rows that have passed since the last call.
  int64_t TakeBytes() { return std::exchange(bytes_, 0); }

 private:
  void SendToShard(uint32_t exchange, uint32_t shard, const Batch& rows, bool owned,
                   std::vector<InputRun> runs) override;

  OutputRouter* const router_;
  BatchRun* run_ = nullptr;
  int64_t bytes_ = 0;
  std::vector<std::unique_ptr<ExchangeWriter>> writers_;  // by exchange, made when first written to
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_EPOCH_TASK_OUTPUTS_H_
