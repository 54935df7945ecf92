#include "common/metrics/metrics.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/rpc/address.h"

namespace millrace {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Get(const std::string& address) {
  const HostPort parsed = *ParseHostPort(address);
  httplib::Client client(parsed.host, parsed.port);
  const httplib::Result result = client.Get("/metrics");
  return result ? result->body : "no answer";
}

TEST(MetricsTest, ServesWhatWasCounted) {
  MetricsRegistry registry;
  registry.Counter("test_records_total", "Records.", {{"job", "a"}}).Increment(3);
  registry.Counter("test_records_total", "Records.", {{"job", "a"}}).Increment(4);
  registry.Gauge("test_lag", "Lag.", {{"job", "a"}}).Set(5);
  registry.Histogram("test_seconds", "Time.").Observe(0.004);
  auto exposer = MetricsExposer::Start("127.0.0.1:0", registry, "--metrics");
  ASSERT_TRUE(exposer.ok()) << exposer.status();
  const std::string page = Get((*exposer)->address());
  EXPECT_THAT(page, HasSubstr("test_records_total{job=\"a\"} 7"));
  EXPECT_THAT(page, HasSubstr("test_lag{job=\"a\"} 5"));
  EXPECT_THAT(page, HasSubstr("test_seconds_bucket{le=\"0.005\"} 1"));
}

TEST(MetricsTest, RemovesOnlyWhatCarriesTheLabel) {
  MetricsRegistry registry;
  registry.Gauge("test_lag", "Lag.", {{"job", "gone"}}).Set(1);
  registry.Gauge("test_lag", "Lag.", {{"job", "stays"}}).Set(2);
  registry.Gauge("test_lag", "Lag.", {{"job", "stays"}, {"partition", "gone"}}).Set(3);
  registry.RemoveLabelled({{"job", "stays"}, {"partition", "gone"}});
  registry.RemoveLabelled({{"job", "gone"}});
  auto exposer = MetricsExposer::Start("127.0.0.1:0", registry, "--metrics");
  ASSERT_TRUE(exposer.ok()) << exposer.status();
  const std::string page = Get((*exposer)->address());
  EXPECT_THAT(page, Not(HasSubstr("gone")));
  EXPECT_THAT(page, HasSubstr("test_lag{job=\"stays\"} 2"));
}

class SetClock : public Clock {
 public:
  absl::Time Now() override { return absl::FromUnixMicros(us); }
  int64_t MonotonicNs() override { return us * 1000; }
  int64_t us = 1;
};

TEST(MetricsTest, WhatNobodyCountsForLeavesAfterAWhile) {
  SetClock clock;
  MetricsRegistry registry(&clock);
  const MetricLabels job = {{"job", "a"}};
  auto first = std::make_unique<MetricsLease>(&registry, job);
  registry.Counter("test_records_total", "Records.", job).Increment(3);
  registry.Gauge("test_lag", "Lag.", {{"job", "a"}, {"partition", "0"}}).Set(5);
  auto second = std::make_unique<MetricsLease>(&registry, job);
  first.reset();
  clock.us += MetricsRegistry::kAfterglowUs;
  EXPECT_EQ(registry.series(), 2u) << "the second one counts";
  second.reset();
  clock.us += MetricsRegistry::kAfterglowUs - 1;
  EXPECT_EQ(registry.series(), 2u) << "a scrape sees how it ended";
  first = std::make_unique<MetricsLease>(&registry, job);
  clock.us += MetricsRegistry::kAfterglowUs;
  EXPECT_EQ(registry.Counter("test_records_total", "Records.", job).Value(), 3) << "goes on";
  first.reset();
  clock.us += MetricsRegistry::kAfterglowUs;
  EXPECT_EQ(registry.series(), 0u);
}

TEST(MetricsTest, OfManyThatAreOverOnlySomeStay) {
  SetClock clock;
  MetricsRegistry registry(&clock);
  for (int job = 0; job < 1000; ++job) {
    const MetricLabels labels = {{"job", std::to_string(job)}};
    const MetricsLease lease(&registry, labels);
    registry.Counter("test_records_total", "Records.", labels).Increment();
  }
  EXPECT_EQ(registry.series(), MetricsRegistry::kMaxAfterglows);
}

TEST(MetricsTest, ScrapesWhileJobsComeAndGo) {
  MetricsRegistry registry;
  std::atomic<bool> over = false;
  std::thread scraping([&] {
    while (!over) {
      EXPECT_LE(registry.series(), MetricsRegistry::kMaxAfterglows + 4);
    }
  });
  std::vector<std::thread> counting;
  for (int thread = 0; thread < 4; ++thread) {
    counting.emplace_back([&, thread] {
      for (int job = 0; job < 500; ++job) {
        const MetricLabels labels = {{"job", std::to_string(thread * 1000 + job)}};
        const MetricsLease lease(&registry, labels);
        registry.Counter("test_records_total", "Records.", labels).Increment();
      }
    });
  }
  for (std::thread& thread : counting) {
    thread.join();
  }
  over = true;
  scraping.join();
}

// A connection to `address` over which nothing is sent.
int ConnectSilently(const std::string& address) {
  const HostPort parsed = *ParseHostPort(address);
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(parsed.port);
  EXPECT_EQ(inet_pton(AF_INET, parsed.host.c_str(), &to.sin_addr), 1);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0);
  return fd;
}

TEST(MetricsTest, SilentConnectionsDoNotKeepThePageFromOthers) {
  MetricsRegistry registry;
  registry.Gauge("test_lag", "Lag.").Set(5);
  auto exposer = MetricsExposer::Start("127.0.0.1:0", registry, "--metrics");
  ASSERT_TRUE(exposer.ok()) << exposer.status();
  std::vector<int> silent;
  for (int i = 0; i < 4; ++i) {
    silent.push_back(ConnectSilently((*exposer)->address()));
  }
  EXPECT_THAT(Get((*exposer)->address()), HasSubstr("test_lag 5"));  // which waits for 5 s
  for (const int fd : silent) {
    close(fd);
  }
}

TEST(MetricsTest, NamesThePortInUse) {
  MetricsRegistry registry;
  auto first = MetricsExposer::Start("127.0.0.1:0", registry, "--metrics");
  ASSERT_TRUE(first.ok()) << first.status();
  auto second = MetricsExposer::Start((*first)->address(), registry, "--metrics");
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr((*first)->address()));
}

}  // namespace
}  // namespace millrace
