#include "executor/epoch/job_metrics.h"

namespace millrace::executor {

JobMetrics::JobMetrics(MetricsRegistry* registry, const std::string& job)
    : lease(registry, {{"job", job}}),
      records(registry->Counter("millrace_executor_records_total", "Records read from sources.",
                                {{"job", job}})),
      bytes(registry->Counter("millrace_executor_read_bytes_total",
                              "Payload bytes read from sources.", {{"job", job}})),
      skipped(registry->Counter("millrace_executor_skipped_total",
                                "Records and rows left out by on_error = 'skip'.", {{"job", job}})),
      rows_out(registry->Counter("millrace_executor_rows_out_total", "Rows written to sinks.",
                                 {{"job", job}})),
      batches(registry->Counter("millrace_executor_batches_total", "Batches prepared here.",
                                {{"job", job}})),
      epochs(registry->Counter("millrace_executor_epochs_total",
                               "Epochs started here; all but the first are restarts.",
                               {{"job", job}})),
      failures(registry->Counter("millrace_executor_epoch_failures_total",
                                 "Epochs that failed here.", {{"job", job}})),
      shuffled_blocks(registry->Counter("millrace_executor_shuffled_blocks_total",
                                        "Blocks sent to other executors.", {{"job", job}})),
      shuffled_bytes(registry->Counter("millrace_executor_shuffled_bytes_total",
                                       "Bytes of rows sent to other executors.", {{"job", job}})),
      read_seconds(registry->Histogram("millrace_executor_batch_read_seconds",
                                       "From a batch's start to the end of its last split.",
                                       {{"job", job}})),
      process_seconds(registry->Histogram("millrace_executor_batch_process_seconds",
                                          "From a batch's start to the end of its last stage.",
                                          {{"job", job}})),
      prepare_seconds(registry->Histogram(
          "millrace_executor_batch_prepare_seconds",
          "From the end of the last stage to all sink sessions prepared.", {{"job", job}})),
      commit_seconds(registry->Histogram("millrace_executor_batch_commit_seconds",
                                         "From the order to commit to all sink sessions committed.",
                                         {{"job", job}})),
      snapshot_seconds(registry->Histogram("millrace_executor_snapshot_seconds",
                                           "Encoding and writing a snapshot's file.",
                                           {{"job", job}})),
      snapshot_bytes(registry->Counter("millrace_executor_snapshot_bytes_total",
                                       "Bytes of snapshot files written.", {{"job", job}})),
      state_rows(
          registry->Gauge("millrace_executor_state_rows", "Groups kept in state.", {{"job", job}})),
      state_bytes(
          registry->Gauge("millrace_executor_state_bytes", "Bytes of state.", {{"job", job}})) {}

}  // namespace millrace::executor
