// Runs a plan's pipelines on one thread for tests, as the runtime does: splits in chunks, exchanges
// cut by keyed shard with positions counted, blocks delivered in any order. Rows that reach sinks
// are kept as text.
#ifndef MILLRACE_EXECUTOR_OPERATORS_TESTING_LOCAL_JOB_H_
#define MILLRACE_EXECUTOR_OPERATORS_TESTING_LOCAL_JOB_H_

#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/expr/function_registry.h"
#include "executor/operators/stage_pipeline.h"
#include "executor/state/store/state_store.h"
#include "proto/plan.pb.h"

namespace millrace::executor {

// The aggregates and a few functions: is_even(bigint), checked(bigint) (fails for 13: "unlucky"),
// split_words(text), repeat(bigint) (1…n; fails for n < 0: "negative").
const FunctionRegistry& TestRegistry();

// Rows as text: values in their SQL text form between '|', NULL as "NULL".
Batch MakeRows(const std::vector<SqlType>& types, const std::vector<std::string>& rows);
// The selected rows, each with its weight in front: "+1 a|1".
std::vector<std::string> PrintRows(const Batch& batch);

// Keeps what a pipeline writes.
class RecordedOutputs : public PipelineOutputs {
 public:
  struct Block {
    uint32_t exchange;
    Batch rows;
    std::vector<OutputRun> runs;
  };

  absl::Status ExchangeRows(uint32_t exchange, const Batch& rows,
                            std::span<const OutputRun> runs) override;
  absl::Status SinkRows(uint32_t sink, uint32_t shard, const Batch& rows,
                        RowErrors* refused) override;

  std::set<std::string> refuses;  // rows, in PrintRows' form, that no sink takes
  std::vector<Block> blocks;
  std::map<std::pair<uint32_t, uint32_t>, std::vector<std::string>> sinks;  // by (sink, shard)
  std::map<uint32_t, std::string> sink_text;  // by sink: all shards, as written
};

class LocalJob {
 public:
  // How a run is cut and shuffled, and where its state is. The result must not depend on any of it.
  struct Variation {
    size_t chunk_rows = 1000;
    bool shuffle = false;
    uint32_t seed = 0;
    StateBackend* backend = nullptr;  // outlives the job; null = memory
  };
  struct Split {
    uint32_t stage;
    uint32_t ordinal;
    std::vector<std::string> rows;
    // Rows counted within the split; needs chunk_rows ≥ rows.
    std::vector<RowError> decode_errors = {};
  };

  // The blocks that a snapshot, or a layer of one, has of each stage.
  using StateLayer = std::map<uint32_t, std::vector<StateBlock>>;

  // `next_batch` is the first that RunBatch runs; its time is that many seconds.
  LocalJob(proto::JobPlan plan, Variation variation, int64_t next_batch = 1);

  // Makes all sinks refuse these rows, given in PrintRows' form, from now on.
  void Refuse(std::set<std::string> rows) { refused_ = std::move(rows); }

  // Runs one batch and returns the rows of each (sink, shard) in order.
  absl::StatusOr<std::map<std::pair<uint32_t, uint32_t>, std::vector<std::string>>> RunBatch(
      const std::vector<Split>& splits);

  // What the last batch wrote to each sink, a line per row. Runs that write the same rows in the
  // same order give the same text, whatever shards and batches the rows came in.
  const std::map<uint32_t, std::string>& sink_text() const { return sink_text_; }

  // As in KeyedPipeline, for all shards of all stages.
  void BeginSnapshot(bool full);
  bool ContinueSnapshot(size_t max_entries);
  StateLayer TakeSnapshot();
  // Sets how many entries a shard copies after each block that it applies.
  void set_snapshot_step(size_t max_entries) { snapshot_step_ = max_entries; }
  // Restores the layer by way of its bytes; each shard gets the entries of its key groups.
  absl::Status Restore(const StateLayer& layer);
  int64_t wake_at_us() const;

  const SkipReport& skipped() const { return skipped_; }  // over all batches
  int64_t state_rows() const;

 private:
  struct ShardBlock {
    Batch rows;
    std::vector<InputRun> runs;
  };

  absl::Status RunSplit(const Split& split, RecordedOutputs* outputs);
  absl::Status RunKeyedStage(uint32_t stage, RecordedOutputs* outputs);
  std::vector<ShardBlock> TakeBlocks(uint32_t exchange, uint32_t shard,
                                     const RecordedOutputs& outputs);
  std::vector<uint32_t> RowsOfShard(const Batch& rows, uint32_t shard) const;
  void Count(const SkipReport& report);

  const proto::JobPlan plan_;
  const Variation variation_;
  std::mt19937 random_;
  int64_t next_batch_;
  int64_t batch_ = 0;
  std::map<uint32_t, std::unique_ptr<SourcePipeline>> sources_;  // by stage
  // By (stage, shard).
  std::map<std::pair<uint32_t, uint32_t>, std::unique_ptr<KeyedPipeline>> keyed_;
  size_t snapshot_step_ = 0;
  std::set<std::string> refused_;
  std::map<uint32_t, std::string> sink_text_;
  SkipReport skipped_;
};

// A table to which a sink's changes are applied: each row, and how often it is there. Retracting a
// row that is not there is a test failure.
class ChangedTable {
 public:
  void Apply(const std::map<std::pair<uint32_t, uint32_t>, std::vector<std::string>>& sinks);
  std::vector<std::string> Rows() const;  // ascending, without weights

 private:
  std::map<std::string, int64_t> rows_;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_OPERATORS_TESTING_LOCAL_JOB_H_
