// The metrics of one job on an executor, for one of its epochs. References into the process's
// registry, where the numbers go on in the job's next epoch, and from which they leave some time
// after its last one (MetricsLease). Thread-safe.
#ifndef MILLRACE_EXECUTOR_EPOCH_JOB_METRICS_H_
#define MILLRACE_EXECUTOR_EPOCH_JOB_METRICS_H_

#include <string>

#include "common/metrics/metrics.h"

namespace millrace::executor {

struct JobMetrics {
  JobMetrics(MetricsRegistry* registry, const std::string& job);

  const MetricsLease lease;
  prometheus::Counter& records;
  prometheus::Counter& bytes;
  prometheus::Counter& skipped;
  prometheus::Counter& rows_out;
  prometheus::Counter& batches;
  prometheus::Counter& epochs;
  prometheus::Counter& failures;
  prometheus::Counter& shuffled_blocks;
  prometheus::Counter& shuffled_bytes;
  prometheus::Histogram& read_seconds;
  prometheus::Histogram& process_seconds;
  prometheus::Histogram& prepare_seconds;
  prometheus::Histogram& commit_seconds;
  prometheus::Histogram& snapshot_seconds;
  prometheus::Counter& snapshot_bytes;
  prometheus::Gauge& state_rows;
  prometheus::Gauge& state_bytes;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_EPOCH_JOB_METRICS_H_
