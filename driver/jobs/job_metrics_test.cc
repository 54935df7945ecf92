#include "driver/jobs/job_metrics.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <memory>

namespace millrace::driver {
namespace {

// The last values of counters are worth a scrape; a lag that nobody measures any more says what is
// not so.
TEST(JobMetricsTest, LagLeavesThePageWithTheJobAndTheRestStaysForAWhile) {
  MetricsRegistry registry;
  auto metrics = std::make_unique<JobMetrics>(&registry, "words");
  const size_t without_lag = registry.series();
  ASSERT_GT(without_lag, 0u);
  metrics->SetLag("lines", "p/0", 7);
  metrics->SetLag("lines", "p/1", 7);
  ASSERT_EQ(registry.series(), without_lag + 2);
  metrics.reset();
  EXPECT_EQ(registry.series(), without_lag);
}

}  // namespace
}  // namespace millrace::driver
