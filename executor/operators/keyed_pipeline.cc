#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/columnar/row_hash.h"
#include "executor/operators/compiled_stage.h"
#include "executor/operators/held_blocks.h"
#include "executor/operators/stage_context.h"
#include "executor/operators/stage_pipeline.h"
#include "executor/state/snapshot/held_rows.h"

namespace millrace::executor {

struct KeyedPipeline::Impl {
  explicit Impl(const StageContext::Settings& settings) : context(settings) {}

  void SortRoots();
  absl::Status ApplyOrdered(uint64_t ordinal);
  absl::Status PushHeld();

  StageContext context;
  CompiledStage stage;
  std::vector<KeyedOperator*> any_order;  // take blocks as they arrive
  std::vector<KeyedOperator*> ordered;    // take blocks in order of origins
  std::vector<Operator*> plain;           // take all rows at the end of the batch
  HeldBlocks held_for_ordered;
  HeldBlocks held_for_plain;
  bool begun = false;  // a batch has ever begun
  bool in_batch = false;
};

void KeyedPipeline::Impl::SortRoots() {
  for (KeyedOperator* op : stage.keyed_roots) {
    (op->accepts_any_order() ? any_order : ordered).push_back(op);
  }
  for (Operator* op : stage.roots) {
    if (std::find(stage.keyed_roots.begin(), stage.keyed_roots.end(), op) ==
        stage.keyed_roots.end()) {
      plain.push_back(op);
    }
  }
}

absl::Status KeyedPipeline::Impl::ApplyOrdered(uint64_t ordinal) {
  return held_for_ordered.Release(ordinal, [&](const Batch& rows, const InputRun& run) {
    for (KeyedOperator* op : ordered) {
      RETURN_IF_ERROR(op->ApplyBlock(rows, std::span(&run, 1)));
    }
    return absl::OkStatus();
  });
}

// Gives operators without state, at the head of the stage, one batch of all rows, in the order that
// all output has.
absl::Status KeyedPipeline::Impl::PushHeld() {
  if (held_for_plain.empty()) {
    return absl::OkStatus();
  }
  uint32_t key_groups = context.settings().key_groups;
  Batch batch = held_for_plain.TakeByKeyGroup(key_groups);
  std::vector<uint32_t> ordinals;
  for (uint64_t hash : *batch.hashes()) {
    ordinals.push_back(KeyGroupOf(hash, key_groups));
  }
  std::vector<ColumnPtr> keys;
  keys.reserve(stage.input_keys.size());
  for (uint32_t key : stage.input_keys) {
    keys.push_back(batch.column(key));
  }
  auto describe = [&](uint32_t row) { return DescribeKey(stage.input_key_names, keys, row); };
  RootRows root{.describe = describe, .ordinals = ordinals.data()};
  StageContext::RootScope scope(&context, &root);
  for (Operator* op : plain) {
    RETURN_IF_ERROR(op->Push(batch));
  }
  return absl::OkStatus();
}

KeyedPipeline::KeyedPipeline(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
KeyedPipeline::~KeyedPipeline() = default;

absl::StatusOr<std::unique_ptr<KeyedPipeline>> KeyedPipeline::Create(
    const proto::JobPlan& plan, uint32_t stage_id, uint32_t shard, const FunctionRegistry& registry,
    StateBackend* backend) {
  if (stage_id >= static_cast<uint32_t>(plan.stages_size()) ||
      !plan.stages(static_cast<int>(stage_id)).has_exchange()) {
    return absl::InternalError(
        absl::StrCat("the plan has no stage ", stage_id, " that reads an exchange"));
  }
  ASSIGN_OR_RETURN(StageContext::Settings settings, StageSettings(plan, stage_id, shard));
  settings.state_backend = backend;
  auto impl = std::make_unique<Impl>(settings);
  ASSIGN_OR_RETURN(impl->stage, CompiledStage::Create(plan, stage_id, &impl->context, registry));
  impl->SortRoots();
  return std::unique_ptr<KeyedPipeline>(new KeyedPipeline(std::move(impl)));
}

void KeyedPipeline::BeginBatch(BatchId batch, int64_t batch_time_us, PipelineOutputs* outputs) {
  impl_->begun = true;
  impl_->in_batch = true;
  impl_->context.Begin(batch, batch_time_us, impl_->context.settings().shard, outputs);
}

absl::Status KeyedPipeline::Apply(const Batch& block, std::span<const InputRun> runs) {
  if (block.empty()) {
    return absl::OkStatus();
  }
  MILLRACE_CHECK(block.hashes() != nullptr) << "a block came through an exchange without hashes";
  for (KeyedOperator* op : impl_->any_order) {
    RETURN_IF_ERROR(op->ApplyBlock(block, runs));
  }
  if (!impl_->ordered.empty()) {
    impl_->held_for_ordered.Add(block, runs);
  }
  if (!impl_->plain.empty()) {
    impl_->held_for_plain.Add(block, runs);
  }
  return absl::OkStatus();
}

absl::Status KeyedPipeline::OriginsDone(uint32_t ordinal) { return impl_->ApplyOrdered(ordinal); }

absl::StatusOr<SkipReport> KeyedPipeline::EndBatch() {
  RETURN_IF_ERROR(impl_->ApplyOrdered(UINT64_MAX));
  RETURN_IF_ERROR(impl_->PushHeld());
  for (const auto& op : impl_->stage.operators) {
    RETURN_IF_ERROR(op->Flush());
  }
  impl_->in_batch = false;
  return impl_->context.skipped();
}

void KeyedPipeline::BeginSnapshot(bool full) {
  MILLRACE_CHECK(!impl_->in_batch) << "a snapshot was cut within a batch";
  for (OperatorState* state : impl_->stage.states) {
    state->BeginSnapshot(full);
  }
}

absl::StatusOr<bool> KeyedPipeline::ContinueSnapshot(size_t max_entries) {
  for (OperatorState* state : impl_->stage.states) {
    ASSIGN_OR_RETURN(const bool all, state->ContinueSnapshot(&max_entries));
    if (!all) {
      return false;
    }
  }
  return true;
}

std::vector<StateBlock> KeyedPipeline::TakeSnapshot() {
  std::vector<StateBlock> blocks;
  for (OperatorState* state : impl_->stage.states) {
    std::vector<StateBlock> taken = state->TakeSnapshot();
    std::move(taken.begin(), taken.end(), std::back_inserter(blocks));
  }
  return blocks;
}

absl::Status KeyedPipeline::Restore(const StateBlock& block) {
  MILLRACE_CHECK(!impl_->begun) << "state was restored over that of a running shard";
  for (OperatorState* state : impl_->stage.states) {
    if (state->identity().name() == block.operator_name) {
      return Annotate(state->Restore(block),
                      absl::StrCat("state of operator \"", block.operator_name, "\""));
    }
  }
  return absl::FailedPreconditionError(
      absl::StrCat("the snapshot has state of operator \"", block.operator_name,
                   "\", which this stage of the plan does not have"));
}

std::vector<proto::StateIdentity> KeyedPipeline::StateIdentities() const {
  std::vector<proto::StateIdentity> identities;
  for (const OperatorState* state : impl_->stage.states) {
    identities.push_back(state->identity());
  }
  return identities;
}

int64_t KeyedPipeline::wake_at_us() const {
  int64_t earliest = 0;
  for (const OperatorState* state : impl_->stage.states) {
    int64_t wake = state->wake_at_us();
    if (wake != 0 && (earliest == 0 || wake < earliest)) {
      earliest = wake;
    }
  }
  return earliest;
}

int64_t KeyedPipeline::HeldBytes() const {
  return impl_->held_for_ordered.bytes() + impl_->held_for_plain.bytes();
}

int64_t KeyedPipeline::StateRows() const {
  int64_t rows = 0;
  for (const OperatorStats& stats : Stats()) {
    rows += stats.state_rows;
  }
  return rows;
}

int64_t KeyedPipeline::StateBytes() const {
  int64_t bytes = 0;
  for (const OperatorStats& stats : Stats()) {
    bytes += stats.state_bytes;
  }
  return bytes;
}

std::vector<OperatorStats> KeyedPipeline::Stats() const { return impl_->stage.Stats(); }

}  // namespace millrace::executor
