#include "executor/operators/stage_context.h"

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/base/excerpt.h"
#include "common/base/failure_kind.h"
#include "common/base/status.h"

namespace millrace::executor {

void StageContext::Begin(BatchId batch, int64_t batch_time_us, uint32_t sink_shard,
                         PipelineOutputs* outputs) {
  batch_ = batch;
  batch_time_us_ = batch_time_us;
  sink_shard_ = sink_shard;
  outputs_ = outputs;
  errors_.Clear();
  skipped_ = SkipReport();
  failed_.clear();
}

absl::Status StageContext::DropFailed(const std::string& where, const absl::Status& error) {
  std::string message = Excerpt(absl::StrCat(where, ": ", error.message()));
  if (!settings_.skip_failed_rows) {
    // Certain whatever the code says: the same row fails the same way each time.
    return WithFailureKind(absl::Status(error.code(), message), FailureKind::kCertain);
  }
  ++skipped_.records;
  if (skipped_.first_error.empty()) {
    skipped_.first_error = std::move(message);
  }
  return absl::OkStatus();
}

absl::Status StageContext::DropFailedRowsSlow(Batch* batch) {
  std::vector<RowError> errors = errors_.errors();
  errors_.Clear();
  // Kernels work a column at a time, so errors are not found in order of rows. The error to report
  // is that of the first row.
  std::stable_sort(errors.begin(), errors.end(),
                   [](const RowError& a, const RowError& b) { return a.row < b.row; });
  std::unordered_set<uint32_t> failed;
  for (const RowError& error : errors) {
    uint32_t origin = batch->origin_of(error.row);
    failed.insert(origin);
    if (root_->skipped.insert(origin).second) {
      const std::string where = root_->describe(origin);
      RETURN_IF_ERROR(DropFailed(where, error.status));
      if (settings_.keep_failed_rows) {
        failed_.push_back({origin, Annotate(error.status, where)});
      }
    }
  }
  auto kept = std::make_shared<std::vector<uint32_t>>();
  batch->rows().ForEach([&](uint32_t row) {
    if (failed.count(batch->origin_of(row)) == 0) {
      kept->push_back(row);
    }
  });
  batch->set_selection(std::move(kept));
  return absl::OkStatus();
}

}  // namespace millrace::executor
