#include "common/metrics/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

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
