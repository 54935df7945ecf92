// The counters, gauges and histograms of one process, and the HTTP page from which Prometheus reads
// them. Thread-safe. References to metrics are valid until RemoveLabelled removes them, the last
// MetricsLease of their labels is destroyed, or the registry is destroyed.
#ifndef MILLRACE_COMMON_METRICS_METRICS_H_
#define MILLRACE_COMMON_METRICS_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/base/clock.h"

namespace prometheus {
class Collectable;
class Exposer;
}  // namespace prometheus

namespace millrace {

using MetricLabels = std::map<std::string, std::string>;

// Upper bounds for durations in seconds, 1 ms to 60 s: a factor of about two apart, fine enough for
// a p99 at 10 ms batches.
const std::vector<double>& DurationBuckets();

class MetricsRegistry {
 public:
  // Metrics whose last lease has ended stay on the page for this long, so that a scrape still sees
  // their last values. If more sets of labels than this wait to be removed, the oldest is removed
  // at once.
  static constexpr int64_t kAfterglowUs = 300'000'000;
  static constexpr size_t kMaxAfterglows = 50;

  // `clock` outlives the registry.
  explicit MetricsRegistry(Clock* clock = Clock::Real());
  ~MetricsRegistry();

  // The metric with that name and these labels; the first call makes it. `help` is one sentence.
  // REQUIRES: one kind of metric per name, Prometheus' naming rules.
  prometheus::Counter& Counter(const std::string& name, const std::string& help,
                               const MetricLabels& labels = {});
  prometheus::Gauge& Gauge(const std::string& name, const std::string& help,
                           const MetricLabels& labels = {});
  prometheus::Histogram& Histogram(const std::string& name, const std::string& help,
                                   const MetricLabels& labels = {},
                                   const std::vector<double>& buckets = DurationBuckets());

  // Removes every metric that has all of these labels, and possibly others. References to them must
  // not be used any more.
  void RemoveLabelled(const MetricLabels& labels);

  // The metrics that the page shows, for MetricsExposer. Must not be asked once the registry is
  // gone.
  const std::shared_ptr<prometheus::Collectable>& page() const { return page_; }
  // The number of series on the page, a histogram counted as one.
  size_t series() const;

 private:
  friend class MetricsLease;
  class Page;

  struct Entry {
    MetricLabels labels;
    const void* metric;
    std::function<void()> remove;
  };
  template <typename Metric, typename Family, typename... Args>
  Metric& FindOrAdd(Family& family, const MetricLabels& labels, Args&&... args)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Hold(const MetricLabels& labels);
  void Release(const MetricLabels& labels);
  void RemoveReleased() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RemoveWithLock(const MetricLabels& labels) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  struct Afterglow {
    MetricLabels labels;
    int64_t since_us;
  };

  Clock* const clock_;
  const std::shared_ptr<prometheus::Registry> registry_;
  const std::shared_ptr<prometheus::Collectable> page_;
  mutable absl::Mutex mutex_;
  std::vector<Entry> entries_ ABSL_GUARDED_BY(mutex_);
  std::map<MetricLabels, int> leases_ ABSL_GUARDED_BY(mutex_);
  std::deque<Afterglow> afterglows_ ABSL_GUARDED_BY(mutex_);  // oldest first
};

// Keeps the metrics that have these labels, and possibly others. Whoever counts for a job has a
// lease. Once the last lease of the labels has ended, references to these metrics must not be used
// any more, and the metrics leave the registry after a while (kAfterglowUs). If somebody begins to
// count for the job again before that, they go on from their last values.
class MetricsLease {
 public:
  // `registry` outlives the lease.
  MetricsLease(MetricsRegistry* registry, MetricLabels labels);
  ~MetricsLease();
  MetricsLease(const MetricsLease&) = delete;
  MetricsLease& operator=(const MetricsLease&) = delete;

 private:
  MetricsRegistry* const registry_;
  const MetricLabels labels_;
};

// Serves a registry at http://host:port/metrics until destroyed.
class MetricsExposer {
 public:
  // `address`: host:port, port 0 = any free one, loopback when no host is given. Errors name the
  // address; `flag` is the option that chooses another.
  static absl::StatusOr<std::unique_ptr<MetricsExposer>> Start(const std::string& address,
                                                               const MetricsRegistry& registry,
                                                               std::string_view flag);
  ~MetricsExposer();

  // The address, with the port that was bound.
  const std::string& address() const { return address_; }

 private:
  MetricsExposer(std::unique_ptr<prometheus::Exposer> exposer, std::string address);

  std::unique_ptr<prometheus::Exposer> exposer_;
  std::string address_;
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_METRICS_METRICS_H_
