// The counters, gauges and histograms of one process, and the HTTP page from which Prometheus reads
// them. Thread-safe. References to metrics are valid until RemoveLabelled removes them or the
// registry is destroyed.
#ifndef MILLRACE_COMMON_METRICS_METRICS_H_
#define MILLRACE_COMMON_METRICS_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace prometheus {
class Exposer;
}  // namespace prometheus

namespace millrace {

using MetricLabels = std::map<std::string, std::string>;

// Upper bounds for durations in seconds, 1 ms to 60 s: a factor of about two apart, fine enough for
// a p99 at 10 ms batches.
const std::vector<double>& DurationBuckets();

class MetricsRegistry {
 public:
  MetricsRegistry();

  // The metric with that name and these labels; the first call makes it. `help` is one sentence.
  // REQUIRES: one kind of metric per name, Prometheus' naming rules.
  prometheus::Counter& Counter(const std::string& name, const std::string& help,
                               const MetricLabels& labels = {});
  prometheus::Gauge& Gauge(const std::string& name, const std::string& help,
                           const MetricLabels& labels = {});
  prometheus::Histogram& Histogram(const std::string& name, const std::string& help,
                                   const MetricLabels& labels = {},
                                   const std::vector<double>& buckets = DurationBuckets());

  // Removes every metric that has all of these labels, and possibly others: those of a job that is
  // gone. References to them must not be used any more.
  void RemoveLabelled(const MetricLabels& labels);

  const std::shared_ptr<prometheus::Registry>& prometheus_registry() const { return registry_; }

 private:
  struct Entry {
    MetricLabels labels;
    const void* metric;
    std::function<void()> remove;
  };
  template <typename Metric, typename Family, typename... Args>
  Metric& FindOrAdd(Family& family, const MetricLabels& labels, Args&&... args);

  const std::shared_ptr<prometheus::Registry> registry_;
  std::mutex mutex_;
  std::vector<Entry> entries_;
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
