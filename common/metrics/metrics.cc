#include "common/metrics/metrics.h"

#include <prometheus/collectable.h>
#include <prometheus/exposer.h>
#include <prometheus/metric_family.h>

#include <algorithm>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/rpc/address.h"

namespace millrace {

namespace {

// How long a connection may be silent. Each holds one of a few threads meanwhile, so some that send
// nothing (a port scan, a health check, a scraper whose machine is gone) would keep the page from
// all others; the default is 30 s.
constexpr char kRequestTimeoutMs[] = "2000";

}  // namespace

const std::vector<double>& DurationBuckets() {
  static const auto* const buckets =
      new std::vector<double>{0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075,
                              0.1,   0.2,   0.5,   1,    2,     5,    10,   30,   60};
  return *buckets;
}

// Removes the metrics whose afterglow has ended, then shows the others.
class MetricsRegistry::Page : public prometheus::Collectable {
 public:
  explicit Page(MetricsRegistry* owner) : owner_(owner) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    {
      absl::MutexLock lock(&owner_->mutex_);
      owner_->RemoveReleased();
    }
    return owner_->registry_->Collect();
  }

 private:
  MetricsRegistry* const owner_;
};

MetricsRegistry::MetricsRegistry(Clock* clock)
    : clock_(clock),
      registry_(std::make_shared<prometheus::Registry>()),
      page_(std::make_shared<Page>(this)) {}

MetricsRegistry::~MetricsRegistry() = default;

size_t MetricsRegistry::series() const {
  size_t series = 0;
  for (const prometheus::MetricFamily& family : page_->Collect()) {
    series += family.metric.size();
  }
  return series;
}

template <typename Metric, typename Family, typename... Args>
Metric& MetricsRegistry::FindOrAdd(Family& family, const MetricLabels& labels, Args&&... args) {
  Metric& metric = family.Add(labels, std::forward<Args>(args)...);
  const bool known = std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.metric == static_cast<const void*>(&metric);
  });
  if (!known && !labels.empty()) {
    entries_.push_back({labels, &metric, [&family, &metric] { family.Remove(&metric); }});
  }
  return metric;
}

prometheus::Counter& MetricsRegistry::Counter(const std::string& name, const std::string& help,
                                              const MetricLabels& labels) {
  absl::MutexLock lock(&mutex_);
  auto& family = prometheus::BuildCounter().Name(name).Help(help).Register(*registry_);
  return FindOrAdd<prometheus::Counter>(family, labels);
}

prometheus::Gauge& MetricsRegistry::Gauge(const std::string& name, const std::string& help,
                                          const MetricLabels& labels) {
  absl::MutexLock lock(&mutex_);
  auto& family = prometheus::BuildGauge().Name(name).Help(help).Register(*registry_);
  return FindOrAdd<prometheus::Gauge>(family, labels);
}

prometheus::Histogram& MetricsRegistry::Histogram(const std::string& name, const std::string& help,
                                                  const MetricLabels& labels,
                                                  const std::vector<double>& buckets) {
  absl::MutexLock lock(&mutex_);
  auto& family = prometheus::BuildHistogram().Name(name).Help(help).Register(*registry_);
  return FindOrAdd<prometheus::Histogram>(family, labels, buckets);
}

void MetricsRegistry::RemoveLabelled(const MetricLabels& labels) {
  absl::MutexLock lock(&mutex_);
  RemoveWithLock(labels);
}

void MetricsRegistry::RemoveWithLock(const MetricLabels& labels) {
  const auto gone = [&](const Entry& entry) {
    return std::includes(entry.labels.begin(), entry.labels.end(), labels.begin(), labels.end());
  };
  for (const Entry& entry : entries_) {
    if (gone(entry)) {
      entry.remove();
    }
  }
  entries_.erase(std::remove_if(entries_.begin(), entries_.end(), gone), entries_.end());
}

void MetricsRegistry::Hold(const MetricLabels& labels) {
  absl::MutexLock lock(&mutex_);
  if (++leases_[labels] == 1) {
    std::erase_if(afterglows_, [&](const Afterglow& one) { return one.labels == labels; });
  }
}

void MetricsRegistry::Release(const MetricLabels& labels) {
  absl::MutexLock lock(&mutex_);
  const auto lease = leases_.find(labels);
  if (--lease->second == 0) {
    leases_.erase(lease);
    afterglows_.push_back({.labels = labels, .since_us = clock_->MonotonicNs() / 1000});
  }
  RemoveReleased();
}

void MetricsRegistry::RemoveReleased() {
  const int64_t now_us = clock_->MonotonicNs() / 1000;
  while (!afterglows_.empty() && (afterglows_.size() > kMaxAfterglows ||
                                  now_us - afterglows_.front().since_us >= kAfterglowUs)) {
    RemoveWithLock(afterglows_.front().labels);
    afterglows_.pop_front();
  }
}

MetricsLease::MetricsLease(MetricsRegistry* registry, MetricLabels labels)
    : registry_(registry), labels_(std::move(labels)) {
  registry_->Hold(labels_);
}

MetricsLease::~MetricsLease() { registry_->Release(labels_); }

MetricsExposer::MetricsExposer(std::unique_ptr<prometheus::Exposer> exposer, std::string address)
    : exposer_(std::move(exposer)), address_(std::move(address)) {}

MetricsExposer::~MetricsExposer() = default;

absl::StatusOr<std::unique_ptr<MetricsExposer>> MetricsExposer::Start(
    const std::string& address, const MetricsRegistry& registry, std::string_view flag) {
  ASSIGN_OR_RETURN(HostPort parsed, ParseHostPort(address));
  RETURN_IF_ERROR(CheckCanListen(parsed, "metrics", flag));
  try {
    auto exposer = std::make_unique<prometheus::Exposer>(
        std::vector<std::string>{"listening_ports", parsed.ToString(), "num_threads", "4",
                                 "request_timeout_ms", kRequestTimeoutMs});
    exposer->RegisterCollectable(registry.page());
    const std::vector<int> ports = exposer->GetListeningPorts();
    if (!ports.empty()) {
      parsed.port = static_cast<uint16_t>(ports.front());
    }
    return std::unique_ptr<MetricsExposer>(
        new MetricsExposer(std::move(exposer), parsed.ToString()));
  } catch (const std::exception& error) {
    return absl::UnavailableError(absl::StrCat("cannot serve metrics on ", parsed.ToString(), ": ",
                                               error.what(), "; choose another address with ",
                                               ToAbsl(flag)));
  }
}

}  // namespace millrace
