// A job's rows for a person: kept until their batch is committed, then merged and shown.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/units.h"
#include "driver/jobs/job.h"
#include "driver/results/result_rows.h"

namespace millrace::driver {

void Job::KeepRows(const ExecutorId& from, proto::ResultRows rows) {
  if (Epoch(rows.epoch()) != state_->epoch() ||
      rows.sink() >= static_cast<uint32_t>(history().plan().sinks_size())) {
    return;
  }
  PendingRows& pending = pending_rows_[BatchId(rows.batch())][from];
  if (pending.complete) {
    return;  // the executor sends them again after it has reconnected
  }
  pending_bytes_ += static_cast<int64_t>(rows.rows().size());
  if (pending_bytes_ > context_->results_buffer_bytes) {
    Handle(JobBroken{absl::ResourceExhaustedError(absl::StrCat(
        "sink table \"", history().plan().sinks(static_cast<int>(rows.sink())).table(),
        "\": batch ", rows.batch(), " has more than ", FormatBytes(context_->results_buffer_bytes),
        " of rows, too many for a person; aggregate or filter further, or write to another "
        "connector"))});
    return;
  }
  pending.pieces.emplace_back(rows.sink(), std::move(*rows.mutable_rows()));
}

void Job::ShowResults(const BatchDone& done) {
  auto pieces = std::make_shared<std::map<uint32_t, std::vector<std::string>>>();
  if (const auto found = pending_rows_.find(done.batch); found != pending_rows_.end()) {
    for (auto& [executor, pending] : found->second) {
      for (auto& [sink, bytes] : pending.pieces) {
        pending_bytes_ -= static_cast<int64_t>(bytes.size());
        (*pieces)[sink].push_back(std::move(bytes));
      }
    }
  }
  pending_rows_.erase(pending_rows_.begin(), pending_rows_.upper_bound(done.batch));

  proto::BatchResults results;
  results.set_batch(done.batch.value());
  results.set_batch_time_us(done.batch_time_us);
  results.set_epoch(done.epoch.value());
  results.set_records(done.records);
  const int64_t span_us = last_tick_us_ > 0 ? done.tick_us - last_tick_us_
                                            : absl::ToInt64Microseconds(settings_.batch_duration);
  // The time that the batch stands for: from tick to tick, or the time that it ran if that is
  // longer, as for a batch that began late.
  const int64_t covered_us = std::max({span_us, done.prepared_us - done.planned_us, int64_t{1}});
  results.set_records_per_second(static_cast<int64_t>(static_cast<double>(done.records) * 1e6 /
                                                      static_cast<double>(covered_us)));
  last_tick_us_ = done.tick_us;
  results.set_total_records(records_);
  results.set_lag_records(state_->LagRecords());
  context_->merging->Post(
      [results, pieces, tables = result_tables_, buffer = results_, name = name()]() mutable {
        for (const auto& [sink, parts] : *pieces) {
          const ResultTable& shown = (*tables)[sink];
          absl::StatusOr<std::string> merged = MergeResultRows(shown.shape, shown.keys, parts);
          if (!merged.ok()) {
            spdlog::error("job {}: rows of batch {} cannot be shown: {}", name, results.batch(),
                          ToStd(merged.status().message()));
            continue;
          }
          proto::BatchResults::Table* table = results.add_tables();
          *table = shown.header;
          table->set_rows(*std::move(merged));
        }
        buffer->Add(std::move(results));
      });
}

}  // namespace millrace::driver
