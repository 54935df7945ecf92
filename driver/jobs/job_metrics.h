// The metrics of one job while it runs. The lag goes away with the object, the other metrics some
// time later (MetricsLease). Thread-compatible.
#ifndef MILLRACE_DRIVER_JOBS_JOB_METRICS_H_
#define MILLRACE_DRIVER_JOBS_JOB_METRICS_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "common/metrics/metrics.h"
#include "driver/coordinator/job_event.h"

namespace millrace::driver {

class JobMetrics {
 public:
  JobMetrics(MetricsRegistry* registry, std::string job);
  ~JobMetrics();

  JobMetrics(const JobMetrics&) = delete;
  JobMetrics& operator=(const JobMetrics&) = delete;

  void OnBatch(const BatchDone& done);
  // The partition is retired: its lag is no longer shown. `lost`: its offsets that will not be
  // read.
  void OnRetired(const std::string& table, const std::string& partition, int64_t lost);
  void OnSnapshot(const SnapshotDone& done);
  void OnRestart() { restarts_.Increment(); }
  void SetLag(const std::string& table, const std::string& partition, int64_t records);

 private:
  MetricsRegistry* const registry_;
  const std::string job_;
  const MetricsLease lease_;
  prometheus::Counter& records_;
  prometheus::Counter& bytes_;
  prometheus::Counter& skipped_;
  prometheus::Counter& lost_;
  prometheus::Counter& batches_;
  prometheus::Counter& restarts_;
  prometheus::Gauge& state_rows_;
  prometheus::Gauge& state_bytes_;
  prometheus::Histogram& run_seconds_;
  prometheus::Histogram& commit_seconds_;
  prometheus::Histogram& journal_seconds_;
  prometheus::Histogram& total_seconds_;
  prometheus::Counter& snapshots_;
  prometheus::Counter& snapshot_bytes_;
  prometheus::Histogram& snapshot_seconds_;
  std::map<std::pair<std::string, std::string>, prometheus::Gauge*> lag_;
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_JOBS_JOB_METRICS_H_
