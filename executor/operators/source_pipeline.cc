#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "executor/operators/compiled_stage.h"
#include "executor/operators/stage_context.h"
#include "executor/operators/stage_pipeline.h"

namespace millrace::executor {

struct SourcePipeline::Impl {
  explicit Impl(const StageContext::Settings& settings) : context(settings) {}

  StageContext context;
  CompiledStage stage;
  std::string table;
};

SourcePipeline::SourcePipeline(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SourcePipeline::~SourcePipeline() = default;

absl::StatusOr<std::unique_ptr<SourcePipeline>> SourcePipeline::Create(
    const proto::JobPlan& plan, uint32_t stage_id, const FunctionRegistry& registry) {
  if (stage_id >= static_cast<uint32_t>(plan.stages_size())) {
    return absl::InternalError(absl::StrCat("the plan has no stage ", stage_id));
  }
  const proto::Stage& stage = plan.stages(static_cast<int>(stage_id));
  if (!stage.has_source() || stage.source() >= static_cast<uint32_t>(plan.sources_size())) {
    return absl::InternalError(absl::StrCat("stage ", stage_id, " does not read a source"));
  }
  ASSIGN_OR_RETURN(const StageContext::Settings settings, StageSettings(plan, stage_id, 0));
  auto impl = std::make_unique<Impl>(settings);
  impl->table = plan.sources(static_cast<int>(stage.source())).table();
  ASSIGN_OR_RETURN(impl->stage, CompiledStage::Create(plan, stage_id, &impl->context, registry));
  return std::unique_ptr<SourcePipeline>(new SourcePipeline(std::move(impl)));
}

void SourcePipeline::BeginSplit(uint32_t ordinal, BatchId batch, int64_t batch_time_us,
                                PipelineOutputs* outputs) {
  for (const auto& op : impl_->stage.operators) {
    op->Reset();
  }
  impl_->context.Begin(batch, batch_time_us, ordinal, outputs);
}

absl::Status SourcePipeline::Push(const Batch& chunk, const std::vector<RowError>& decode_errors,
                                  DescribeRecord describe) {
  auto describe_row = [&](uint32_t row) {
    return absl::StrCat("table \"", impl_->table, "\", record ", describe(row));
  };
  RootRows root{.describe = describe_row, .ordinal = impl_->context.sink_shard()};
  StageContext::RootScope scope(&impl_->context, &root);
  Batch batch = chunk;
  batch.set_hashes(nullptr);
  batch.set_origin(nullptr);
  for (const RowError& error : decode_errors) {
    impl_->context.errors().Add(error.row, error.status);
  }
  RETURN_IF_ERROR(impl_->context.DropFailedRows(&batch));
  for (Operator* op : impl_->stage.roots) {
    RETURN_IF_ERROR(op->Push(batch));
  }
  return absl::OkStatus();
}

std::vector<RowError> SourcePipeline::TakeFailed() { return impl_->context.TakeFailed(); }

absl::StatusOr<SkipReport> SourcePipeline::EndSplit() {
  for (const auto& op : impl_->stage.operators) {
    RETURN_IF_ERROR(op->Flush());
  }
  return impl_->context.skipped();
}

int64_t SourcePipeline::MemoryBytes() const {
  int64_t bytes = 0;
  for (const OperatorStats& stats : Stats()) {
    bytes += stats.state_bytes;
  }
  return bytes;
}

std::vector<OperatorStats> SourcePipeline::Stats() const { return impl_->stage.Stats(); }

}  // namespace millrace::executor
