#include "driver/jobs/job_metrics.h"

#include <utility>

namespace millrace::driver {
namespace {

constexpr char kStageHelp[] =
    "Time of batches by stage: run (planned to prepared), commit (prepared to committed by all "
    "sinks), journal (to durable), "
    "total (from the tick).";

double Seconds(int64_t from_us, int64_t to_us) {
  return static_cast<double>(to_us - from_us) * 1e-6;
}

}  // namespace

JobMetrics::JobMetrics(MetricsRegistry* registry, std::string job)
    : registry_(registry),
      job_(std::move(job)),
      lease_(registry, {{"job", job_}}),
      records_(registry->Counter("millrace_job_records_total",
                                 "Source records in committed batches.", {{"job", job_}})),
      bytes_(registry->Counter("millrace_job_bytes_total",
                               "Source payload bytes in committed batches.", {{"job", job_}})),
      skipped_(registry->Counter("millrace_job_skipped_records_total",
                                 "Records left out by on_error = 'skip' or 'table:…'.",
                                 {{"job", job_}})),
      lost_(registry->Counter("millrace_job_lost_records_total",
                              "Offsets that on_data_loss = 'skip' went past.", {{"job", job_}})),
      batches_(
          registry->Counter("millrace_job_batches_total", "Committed batches.", {{"job", job_}})),
      restarts_(registry->Counter("millrace_job_restarts_total", "Epochs started after a failure.",
                                  {{"job", job_}})),
      state_rows_(
          registry->Gauge("millrace_job_state_rows", "Rows of keyed state.", {{"job", job_}})),
      state_bytes_(
          registry->Gauge("millrace_job_state_bytes", "Bytes of keyed state.", {{"job", job_}})),
      run_seconds_(registry->Histogram("millrace_job_batch_seconds", kStageHelp,
                                       {{"job", job_}, {"stage", "run"}})),
      commit_seconds_(registry->Histogram("millrace_job_batch_seconds", kStageHelp,
                                          {{"job", job_}, {"stage", "commit"}})),
      journal_seconds_(registry->Histogram("millrace_job_batch_seconds", kStageHelp,
                                           {{"job", job_}, {"stage", "journal"}})),
      total_seconds_(registry->Histogram("millrace_job_batch_seconds", kStageHelp,
                                         {{"job", job_}, {"stage", "total"}})),
      snapshots_(registry->Counter("millrace_job_snapshots_total", "Complete snapshots.",
                                   {{"job", job_}})),
      snapshot_bytes_(registry->Counter("millrace_job_snapshot_bytes_total",
                                        "Bytes written for complete snapshots.", {{"job", job_}})),
      snapshot_seconds_(registry->Histogram("millrace_job_snapshot_seconds",
                                            "From the cut to the journal's record.",
                                            {{"job", job_}})) {}

// Removes the lag: nobody knows how far behind a job is that does not run.
JobMetrics::~JobMetrics() {
  for (const auto& [place, gauge] : lag_) {
    registry_->RemoveLabelled({{"job", job_}, {"table", place.first}, {"partition", place.second}});
  }
  state_rows_.Set(0);
  state_bytes_.Set(0);
}

void JobMetrics::OnBatch(const BatchDone& done) {
  records_.Increment(static_cast<double>(done.records));
  bytes_.Increment(static_cast<double>(done.bytes));
  skipped_.Increment(static_cast<double>(done.skipped));
  lost_.Increment(static_cast<double>(done.lost));
  batches_.Increment();
  state_rows_.Set(static_cast<double>(done.state_rows));
  state_bytes_.Set(static_cast<double>(done.state_bytes));
  run_seconds_.Observe(Seconds(done.planned_us, done.prepared_us));
  commit_seconds_.Observe(Seconds(done.prepared_us, done.committed_us));
  journal_seconds_.Observe(Seconds(done.committed_us, done.done_us));
  total_seconds_.Observe(Seconds(done.tick_us, done.done_us));
}

void JobMetrics::OnRetired(const std::string& table, const std::string& partition, int64_t lost) {
  lost_.Increment(static_cast<double>(lost));
  if (lag_.erase({table, partition}) > 0) {
    registry_->RemoveLabelled({{"job", job_}, {"table", table}, {"partition", partition}});
  }
}

void JobMetrics::OnSnapshot(const SnapshotDone& done) {
  snapshots_.Increment();
  snapshot_bytes_.Increment(static_cast<double>(done.bytes));
  snapshot_seconds_.Observe(Seconds(0, done.took_us));
}

void JobMetrics::SetLag(const std::string& table, const std::string& partition, int64_t records) {
  prometheus::Gauge*& gauge = lag_[{table, partition}];
  if (gauge == nullptr) {
    gauge = &registry_->Gauge("millrace_job_lag_records",
                              "Stable end of a partition minus what is committed of it.",
                              {{"job", job_}, {"table", table}, {"partition", partition}});
  }
  gauge->Set(static_cast<double>(records));
}

}  // namespace millrace::driver
