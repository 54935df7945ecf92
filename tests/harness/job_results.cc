#include "tests/harness/job_results.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/columnar/batch_codec.h"
#include "common/types/text_format.h"

namespace millrace {
namespace {

std::string CopyText(const Column& column, size_t row) {
  if (column.IsNull(row)) {
    return "\\N";
  }
  return absl::StrReplaceAll(ValueToString(column, row),
                             {{"\\", "\\\\"}, {"\n", "\\n"}, {"\t", "\\t"}, {"\r", "\\r"}});
}

}  // namespace

void AddBatch(const Batch& batch, WeightedRows* rows) {
  batch.rows().ForEach([&](uint32_t row) {
    std::string text;
    for (size_t c = 0; c < batch.column_count(); ++c) {
      absl::StrAppend(&text, c == 0 ? "" : "\t", CopyText(*batch.column(c), row));
    }
    if (((*rows)[text] += batch.weight(row)) == 0) {
      rows->erase(text);
    }
  });
}

absl::Status AddRows(const proto::BatchResults& results, WeightedRows* rows) {
  for (const auto& table : results.tables()) {
    ASSIGN_OR_RETURN(const Batch batch, DecodeBatch(table.rows()));
    // Behind the table's columns may stand what is for people (driver/results/result_rows.h).
    std::vector<ColumnPtr> columns;
    for (int c = 0; c < table.columns_size() && c < static_cast<int>(batch.column_count()); ++c) {
      columns.push_back(batch.column(static_cast<size_t>(c)));
    }
    Batch shown(std::move(columns), batch.physical_rows());
    shown.set_weights(batch.weight_column());
    AddBatch(shown, rows);
  }
  return absl::OkStatus();
}

absl::StatusOr<WeightedRows> RunJob(client::LocalEngine& engine, const std::string& script) {
  proto::SubmitRequest request;
  request.set_sql(script);
  request.set_once(true);
  ASSIGN_OR_RETURN(const proto::SubmitResponse job, engine.client().Submit(request));
  proto::ResultsRequest follow;
  follow.set_name(job.name());
  follow.set_follow(true);
  WeightedRows rows;
  absl::Status outcome = absl::UnknownError("the results ended before the job did");
  absl::Status read;
  RETURN_IF_ERROR(engine.client().Results(follow, [&](const proto::BatchResults& results) {
    read = AddRows(results, &rows);
    if (results.phase() == proto::PHASE_FINISHED) {
      outcome = absl::OkStatus();
    } else if (results.phase() > proto::PHASE_DRAINING) {
      outcome = absl::AbortedError(results.message());
    }
    return read.ok();
  }));
  RETURN_IF_ERROR(read);
  RETURN_IF_ERROR(outcome);
  return rows;
}

absl::Status WaitUntil(const std::function<bool()>& condition, absl::Duration timeout,
                       const std::string& what) {
  const absl::Time deadline = SteadyNow() + timeout;
  while (!condition()) {
    if (SteadyNow() > deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat("not within ", absl::FormatDuration(timeout), ": ", what));
    }
    absl::SleepFor(absl::Milliseconds(5));
  }
  return absl::OkStatus();
}

}  // namespace millrace
