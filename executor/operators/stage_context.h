// What the operators of one pipeline share while a split or batch runs: its time, its outputs, and
// the handling of rows that cannot be evaluated. Thread-compatible; owned by the pipeline.
#ifndef MILLRACE_EXECUTOR_OPERATORS_STAGE_CONTEXT_H_
#define MILLRACE_EXECUTOR_OPERATORS_STAGE_CONTEXT_H_

#include <cstdint>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "common/base/ids.h"
#include "common/columnar/batch.h"
#include "common/expr/expr_evaluator.h"
#include "common/expr/row_errors.h"
#include "executor/operators/operator.h"
#include "executor/operators/skip_report.h"

namespace millrace::executor {

class StateBackend;

// The rows that Batch::origin refers to: a chunk of a source, or what a stateful operator emits at
// a time.
struct RootRows {
  // Describes a row for messages: "record test/3@1234 of table \"lines\"", "the row of key (word =
  // a)".
  absl::FunctionRef<std::string(uint32_t)> describe;
  // The ordinal of each row; null: all have `ordinal`.
  const uint32_t* ordinals = nullptr;
  uint32_t ordinal = 0;
  // Rows skipped so far, so that a record that fails in two branches counts once.
  std::unordered_set<uint32_t> skipped = {};
};

class StageContext {
 public:
  // The settings of the pipeline, which do not change.
  struct Settings {
    bool skip_failed_rows = false;  // on_error = 'skip' or 'table:…'
    bool keep_failed_rows = false;  // on_error = 'table:…': TakeFailed tells which
    uint32_t key_groups = 1;
    uint32_t shard = 0;  // the keyed shard, in a keyed stage
    bool keyed = false;
    int64_t state_ttl_us = 0;               // 0 = state does not expire
    StateBackend* state_backend = nullptr;  // null = state is in memory
  };

  explicit StageContext(const Settings& settings) : settings_(settings) {}
  StageContext(const StageContext&) = delete;
  StageContext& operator=(const StageContext&) = delete;

  void Begin(BatchId batch, int64_t batch_time_us, uint32_t sink_shard, PipelineOutputs* outputs);

  const Settings& settings() const { return settings_; }
  BatchId batch() const { return batch_; }
  uint32_t sink_shard() const { return sink_shard_; }
  PipelineOutputs& outputs() const { return *outputs_; }
  int64_t batch_time_us() const { return batch_time_us_; }

  // For ExprEvaluator::Evaluate, which must be followed by DropFailedRows.
  EvalContext eval() { return {batch_time_us_, &errors_}; }
  RowErrors& errors() { return errors_; }

  // Applies on_error to errors(), which name physical rows of `batch`, and clears them. Either
  // fails with the first error, or removes all rows with the same origins from the batch and counts
  // the origins.
  absl::Status DropFailedRows(Batch* batch) {
    return errors_.empty() ? absl::OkStatus() : DropFailedRowsSlow(batch);
  }

  // The same for a failure that belongs to no row of a batch: a group's result. OK = leave the
  // result out.
  absl::Status DropFailed(const std::string& where, const absl::Status& error);

  // The ordinal of a batch's physical row. REQUIRES: a root.
  uint32_t OrdinalOf(const Batch& batch, uint32_t row) const {
    return root_->ordinals == nullptr ? root_->ordinal : root_->ordinals[batch.origin_of(row)];
  }
  bool has_single_ordinal() const { return root_->ordinals == nullptr; }
  uint32_t single_ordinal() const { return root_->ordinal; }

  const SkipReport& skipped() const { return skipped_; }

  // The origins that were left out since the last call, each once, with a message for people.
  std::vector<RowError> TakeFailed() { return std::exchange(failed_, {}); }

  // Makes `root` the current one until the end of the scope. `root` outlives the scope.
  class RootScope {
   public:
    RootScope(StageContext* context, RootRows* root) : context_(context), outer_(context->root_) {
      context->root_ = root;
    }
    RootScope(const RootScope&) = delete;
    RootScope& operator=(const RootScope&) = delete;
    ~RootScope() { context_->root_ = outer_; }

   private:
    StageContext* const context_;
    RootRows* const outer_;
  };

 private:
  absl::Status DropFailedRowsSlow(Batch* batch);

  const Settings settings_;
  BatchId batch_;
  int64_t batch_time_us_ = 0;
  uint32_t sink_shard_ = 0;
  PipelineOutputs* outputs_ = nullptr;
  RootRows* root_ = nullptr;
  RowErrors errors_;
  SkipReport skipped_;
  std::vector<RowError> failed_;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_OPERATORS_STAGE_CONTEXT_H_
