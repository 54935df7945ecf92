#include "executor/epoch/source_task.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/excerpt.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "executor/epoch/failed_records.h"

namespace millrace::executor {
namespace {

// How long a split without data keeps its slot when others want it.
constexpr absl::Duration kPatience = absl::Milliseconds(5);
constexpr absl::Duration kPatienceWhenWanted = absl::Milliseconds(1);

}  // namespace

SourceWorkers::SourceWorkers(const EpochLayout* layout, const FunctionRegistry* functions,
                             OutputRouter* router)
    : layout_(*layout),
      functions_(*functions),
      router_(router),
      free_(layout->stages_of_source.size()) {}

absl::StatusOr<std::unique_ptr<SourceWorker>> SourceWorkers::Take(uint32_t source) {
  {
    absl::MutexLock lock(&mutex_);
    if (!free_[source].empty()) {
      std::unique_ptr<SourceWorker> worker = std::move(free_[source].back());
      free_[source].pop_back();
      return worker;
    }
  }
  auto worker = std::make_unique<SourceWorker>();
  for (const uint32_t stage : layout_.stages_of_source[source]) {
    ASSIGN_OR_RETURN(worker->pipelines.emplace_back(),
                     SourcePipeline::Create(layout_.plan, stage, functions_));
  }
  worker->outputs = std::make_unique<TaskOutputs>(router_);
  return worker;
}

void SourceWorkers::Return(uint32_t source, std::unique_ptr<SourceWorker> worker) {
  absl::MutexLock lock(&mutex_);
  free_[source].push_back(std::move(worker));
}

SourceTask::SourceTask(std::shared_ptr<TaskHost> host, const SourceTaskContext* context,
                       std::shared_ptr<BatchRun> run, proto::Split split)
    : host_(std::move(host)), context_(*context), run_(std::move(run)), split_(std::move(split)) {
  *report_.mutable_key() = split_.key();
  report_.set_begin(split_.begin());
  report_.set_end(split_.end());
  report_.set_max_timestamp_us(INT64_MIN);
  read_all_ = split_.begin() >= split_.end();
}

void SourceTask::Start() { Submit(QueuePlace::kBack); }

void SourceTask::Submit(QueuePlace place) {
  host_->Spawn([self = shared_from_this()] { self->Run(); }, place);
}

void SourceTask::Run() {
  while (!host_->ended()) {
    absl::StatusOr<Step> step = ReadAndPush();
    if (!step.ok()) {
      host_->Fail(run_->batch(), step.status());
      return;
    }
    switch (*step) {
      case Step::kAgain:
        break;
      case Step::kAside:
        Submit(QueuePlace::kFront);
        return;
      case Step::kYield:
        Submit(QueuePlace::kBack);
        return;
      case Step::kParked:
        if (host_->ended()) {
          context_.gate->Cancel(
              host_.get());  // the epoch may have ended just before this task entered the gate
        }
        return;
      case Step::kEnd:
        for (const uint32_t stage : context_.layout->stages_of_source[split_.key().source()]) {
          host_->UnitEnded(run_, stage);
        }
        return;
    }
  }
}

absl::StatusOr<SourceTask::Step> SourceTask::ReadAndPush() {
  if (read_all_) {
    RETURN_IF_ERROR(End());
    return Step::kEnd;
  }
  if (!context_.gate->Pass(host_.get(),
                           [self = shared_from_this()] { self->Submit(QueuePlace::kFront); })) {
    return Step::kParked;
  }
  const size_t rows = worker_ == nullptr ? ChunkSizer::kFirstRows : worker_->chunk_sizer.rows();
  const absl::Duration patience = context_.slots->queued() > 0 ? kPatienceWhenWanted : kPatience;
  absl::StatusOr<SourceChunk> chunk =
      context_.sources->reader(split_.key().source())
          ->Read(split_.key().partition(), Offset(split_.end()), rows, report_.input_hash(),
                 SteadyNow() + patience);
  if (absl::IsDeadlineExceeded(chunk.status())) {
    return context_.slots->queued() > 0 ? Step::kYield : Step::kAgain;
  }
  if (!chunk.ok()) {
    const proto::Source& source =
        context_.layout->plan.sources(static_cast<int>(split_.key().source()));
    return Annotate(chunk.status(), absl::StrCat("table ", source.table()));
  }
  RETURN_IF_ERROR(NoteLost(*chunk));
  if (!chunk->offsets.empty()) {
    RETURN_IF_ERROR(Push(*chunk));
  }
  read_all_ = chunk->next.value() >= split_.end();
  return context_.slots->urgent() > 0 ? Step::kAside : Step::kAgain;
}

absl::Status SourceTask::EnsureWorker() {
  if (worker_ != nullptr) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(worker_, context_.workers->Take(split_.key().source()));
  worker_->outputs->Begin(run_.get());
  for (std::unique_ptr<SourcePipeline>& pipeline : worker_->pipelines) {
    pipeline->BeginSplit(split_.ordinal(), run_->batch(), run_->time_us(), worker_->outputs.get());
  }
  return absl::OkStatus();
}

absl::Status SourceTask::NoteLost(const SourceChunk& chunk) {
  if (chunk.lost_begin == chunk.lost_end) {
    return absl::OkStatus();
  }
  if (report_.lost_end() == chunk.lost_begin.value() && report_.lost_end() > 0) {
    report_.set_lost_end(chunk.lost_end.value());
    return absl::OkStatus();
  }
  if (report_.lost_end() > 0) {
    // A report holds one lost range. In the next run of the batch, all that is lost is passed over
    // at once.
    return absl::UnavailableError(absl::StrCat(
        "partition ", split_.key().partition(), " lost offsets [", report_.lost_begin(), ", ",
        report_.lost_end(), "), and then up to ", chunk.lost_end.value(), ", while it was read"));
  }
  report_.set_lost_begin(chunk.lost_begin.value());
  report_.set_lost_end(chunk.lost_end.value());
  return absl::OkStatus();
}

absl::Status SourceTask::Push(const SourceChunk& chunk) {
  RETURN_IF_ERROR(EnsureWorker());
  const auto describe = [&](uint32_t row) {
    return absl::StrCat("at offset ", row < chunk.offsets.size() ? chunk.offsets[row] : -1,
                        " of partition ", split_.key().partition());
  };
  std::map<uint32_t, absl::Status> failed;  // a record that fails in several stages counts once
  for (std::unique_ptr<SourcePipeline>& pipeline : worker_->pipelines) {
    RETURN_IF_ERROR(pipeline->Push(chunk.batch, chunk.errors, describe));
    for (RowError& error : pipeline->TakeFailed()) {
      failed.emplace(error.row, std::move(error.status));
    }
  }
  if (!failed.empty()) {
    RETURN_IF_ERROR(WriteFailed(chunk, failed));
  }
  worker_->chunk_sizer.OnChunk(chunk.offsets.size(), worker_->outputs->TakeBytes());
  report_.set_records(report_.records() + static_cast<int64_t>(chunk.offsets.size()));
  report_.set_bytes(report_.bytes() + chunk.bytes);
  report_.set_input_hash(chunk.input_hash);
  report_.set_max_timestamp_us(std::max(report_.max_timestamp_us(), chunk.max_timestamp_us));
  context_.metrics->records.Increment(static_cast<double>(chunk.offsets.size()));
  context_.metrics->bytes.Increment(static_cast<double>(chunk.bytes));
  return absl::OkStatus();
}

absl::Status SourceTask::WriteFailed(const SourceChunk& chunk,
                                     const std::map<uint32_t, absl::Status>& failed) {
  const proto::JobPlan& plan = context_.layout->plan;
  const uint32_t sink = plan.sources(static_cast<int>(split_.key().source())).error_sink();
  failed_records_ += static_cast<int64_t>(failed.size());
  const proto::Sink& table = plan.sinks(static_cast<int>(sink));
  RowErrors refused;
  RETURN_IF_ERROR(worker_->outputs->SinkRows(sink, split_.ordinal(),
                                             FailedRecords(table, chunk, failed), &refused));
  if (refused.empty()) {
    return absl::OkStatus();
  }
  const RowError& first = refused.errors().front();
  const auto record = std::next(failed.begin(), first.row);
  return WithExcerpt(absl::InvalidArgumentError(absl::StrCat(
      "the table of failed records, \"", table.table(),
      "\", cannot take one either: ", first.status.message(),
      "; leave out its column value. The record had failed: ", record->second.message())));
}

absl::Status SourceTask::End() {
  if (worker_ != nullptr) {
    for (std::unique_ptr<SourcePipeline>& pipeline : worker_->pipelines) {
      ASSIGN_OR_RETURN(const SkipReport skipped, pipeline->EndSplit());
      // Several stages that read one table skip the same records: they count once.
      report_.set_skipped(std::max(report_.skipped(), skipped.records));
      if (report_.first_error().empty()) {
        report_.set_first_error(skipped.first_error);
      }
    }
    report_.set_skipped(std::max(report_.skipped(), failed_records_));
    worker_->outputs->Finish();
    context_.workers->Return(split_.key().source(), std::move(worker_));
  }
  context_.metrics->skipped.Increment(static_cast<double>(report_.skipped()));
  context_.sources->SetPosition(split_);
  run_->AddReport(std::move(report_));
  return absl::OkStatus();
}

}  // namespace millrace::executor
