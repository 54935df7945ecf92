// One driver and one executor that live for long: after thousands of jobs, epochs and batches they
// hold no more memory, threads, files and metrics than after a few hundred.
#include <gtest/gtest.h>
#include <httplib.h>
#include <malloc.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/driver_client.h"
#include "client/local_engine.h"
#include "common/rpc/address.h"
#include "driver/driver.h"
#include "executor/executor.h"
#include "tests/harness/job_results.h"

namespace millrace {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(60);
constexpr int kClients = 4;  // that submit jobs at the same time
// More than the number of ended jobs that are listed, and than stay on the metrics' pages.
constexpr int kWarmUp = 400;
// Pools have as many threads as ever ran at once, which may be more at another time.
constexpr int64_t kPoolThreads = 40;

int Jobs() {
  const char* jobs = std::getenv("MILLRACE_GROWTH_JOBS");
  return jobs == nullptr ? 1200 : std::atoi(jobs);
}

int64_t Entries(const std::string& directory) {
  return std::distance(std::filesystem::directory_iterator(directory),
                       std::filesystem::directory_iterator());
}

struct Held {
  // 0 where the allocator does not say. What threads keep for their next allocations would count
  // too: the rule of this test switches that off.
  int64_t allocated_bytes = 0;
  int64_t threads = 0;
  int64_t files = 0;
  int64_t series = 0;

  bool Within(const Held& most) const {
    return allocated_bytes <= most.allocated_bytes && threads <= most.threads &&
           files <= most.files && series <= most.series;
  }
  std::string ToString() const {
    return absl::StrCat(allocated_bytes, " bytes, ", threads, " threads, ", files, " files, ",
                        series, " series");
  }
};

class GrowthTest : public testing::Test {
 protected:
  GrowthTest() {
    spdlog::set_level(spdlog::level::err);
    driver::DriverOptions driver;
    driver.directory = absl::StrCat(testing::TempDir(), "/",
                                    testing::UnitTest::GetInstance()->current_test_info()->name());
    driver.metrics_address = "127.0.0.1:0";
    driver.results_buffer_bytes = 64 << 10;
    driver.connectors = &client::AllConnectors();
    driver.functions = &FunctionRegistry::BuiltIn();
    auto started = driver::Driver::Start(driver);
    EXPECT_TRUE(started.ok()) << started.status();
    driver_ = *std::move(started);
    executor::ExecutorOptions executor;
    executor.driver_channel = driver_->InProcessChannel();
    executor.slots = 2;
    executor.memory_bytes = 64 << 20;
    executor.metrics_address = "127.0.0.1:0";
    executor.connectors = &client::AllConnectors();
    auto joined = executor::Executor::Start(std::move(executor));
    EXPECT_TRUE(joined.ok()) << joined.status();
    executor_ = *std::move(joined);
    client_ = std::make_unique<client::DriverClient>(driver_->InProcessChannel(), "");
  }
  ~GrowthTest() override {
    executor_->Shutdown();
    driver_->Shutdown();
  }

  static std::string Script(const std::string& rows) {
    return absl::StrCat(
        "SET batch_duration = '10 ms'; SET checkpoint_interval = '1 s';\n"
        "CREATE TABLE numbers (n bigint, w text) WITH (connector = 'generator', ",
        rows,
        ", \"kind.n\" = 'sequence', \"kind.w\" = 'words', \"cardinality.w\" = '5',"
        " \"length.w\" = '1');\n"
        "CREATE TABLE counts (w text, count bigint) WITH (connector = 'print');\n"
        "INSERT INTO counts SELECT w, count(*) FROM numbers GROUP BY w;\n");
  }

  // Runs a job to its end.
  void RunOne(const std::string& name) {
    proto::SubmitRequest request;
    request.set_sql(Script("rows = '200'"));
    request.set_name(name);
    request.set_once(true);
    const auto submitted = client_->Submit(request);
    ASSERT_TRUE(submitted.ok()) << submitted.status();
    proto::ResultsRequest follow;
    follow.set_name(name);
    follow.set_follow(true);
    proto::JobPhase phase = proto::PHASE_UNKNOWN;
    std::string message;
    const absl::Status read = client_->Results(follow, [&](const proto::BatchResults& results) {
      phase = results.phase();
      message = results.message();
      return true;
    });
    ASSERT_TRUE(read.ok()) << read;
    ASSERT_EQ(phase, proto::PHASE_FINISHED) << message;
  }

  void RunJobs(int count) {
    std::atomic<int> left = count;
    std::vector<std::thread> clients;
    for (int client = 0; client < kClients; ++client) {
      clients.emplace_back([&] {
        while (left.fetch_sub(1) > 0 && !HasFailure()) {
          RunOne(absl::StrCat("job-", ++last_job_));
        }
      });
    }
    for (std::thread& client : clients) {
      client.join();
    }
  }

  // A job that lives as long as the test, stopped and submitted again in between.
  void SubmitLong() {
    proto::SubmitRequest request;
    request.set_sql(Script("rows_per_second = '2000'"));
    request.set_name("long");
    const auto submitted = client_->Submit(request);
    ASSERT_TRUE(submitted.ok()) << submitted.status();
  }
  int64_t BatchesOfLong() {
    const auto job = client_->Show("long");
    return job.ok() ? job->summary().committed_batch() : -1;
  }

  static int64_t SeriesAt(const std::string& address) {
    const HostPort parsed = *ParseHostPort(address);
    httplib::Client client(parsed.host, parsed.port);
    const httplib::Result page = client.Get("/metrics");
    return page ? std::count(page->body.begin(), page->body.end(), '\n') : -1;
  }
  Held Measure() {
    Held held;
    held.series = SeriesAt(driver_->metrics_address()) + SeriesAt(executor_->metrics_address());
    held.threads = Entries("/proc/self/task");
    held.files = Entries("/proc/self/fd");
    const struct mallinfo2 memory = mallinfo2();
    held.allocated_bytes = static_cast<int64_t>(memory.uordblks + memory.hblkhd);
    return held;
  }

  std::unique_ptr<driver::Driver> driver_;
  std::unique_ptr<executor::Executor> executor_;
  std::unique_ptr<client::DriverClient> client_;
  std::atomic<int> last_job_ = 0;
};

TEST_F(GrowthTest, ManyJobsLeaveNothingBehind) {
  const int rounds = 20;
  ASSERT_NO_FATAL_FAILURE(SubmitLong());
  RunJobs(kWarmUp);
  const Held before = Measure();
  for (int round = 0; round < rounds && !HasFailure(); ++round) {
    const int64_t batches = BatchesOfLong();
    RunJobs(Jobs() / rounds);
    const absl::Status runs =
        WaitUntil([&] { return BatchesOfLong() > batches; }, kTimeout, "a batch of the long job");
    ASSERT_TRUE(runs.ok()) << runs;
    ASSERT_TRUE(client_->Stop("long", /*cancel=*/false).ok());
    ASSERT_NO_FATAL_FAILURE(SubmitLong());
  }
  ASSERT_FALSE(HasFailure());
  // Resources of jobs that have just ended may not be free yet. A few hundred bytes of each job may
  // stay for a while: executors remember of the last thousand jobs that they are over.
  const Held most{.allocated_bytes = before.allocated_bytes + (512 << 10) + 300 * int64_t{Jobs()},
                  .threads = before.threads + kPoolThreads,
                  .files = before.files + 8,
                  .series = before.series + 100};
  Held after = Measure();
  const absl::Status flat = WaitUntil([&] { return (after = Measure()).Within(most); },
                                      absl::Seconds(10), "as little held as before");
  EXPECT_TRUE(flat.ok()) << flat << "\nbefore " << before.ToString() << "\nafter "
                         << after.ToString();
  RecordProperty("before", before.ToString());
  RecordProperty("after", after.ToString());
  std::cout << "before " << before.ToString() << "\nafter  " << after.ToString() << std::endl;
  EXPECT_TRUE(client_->Stop("long", /*cancel=*/true).ok());
}

// Stopped jobs are listed, and can go on. That takes the plan and the offsets, twice (for the
// journal, and to show them), but nothing of what they had while they ran.
TEST_F(GrowthTest, StoppedJobsKeepLittle) {
  constexpr int kStopped = 60;
  const auto stop_some = [&](int count) {
    for (int i = 0; i < count && !HasFailure(); ++i) {
      const std::string name = absl::StrCat("stopped-", ++last_job_);
      proto::SubmitRequest request;
      request.set_sql(Script("rows_per_second = '2000'"));
      request.set_name(name);
      ASSERT_TRUE(client_->Submit(request).ok());
      ASSERT_TRUE(WaitUntil([&] { return client_->Show(name)->summary().committed_batch() > 2; },
                            kTimeout, "batches")
                      .ok());
      ASSERT_TRUE(client_->Stop(name, /*cancel=*/false).ok());
    }
  };
  ASSERT_NO_FATAL_FAILURE(stop_some(60));
  const Held before = Measure();
  ASSERT_NO_FATAL_FAILURE(stop_some(kStopped));
  constexpr int64_t kBytes = 36 << 10;  // of each
  const Held most{.allocated_bytes = before.allocated_bytes + kStopped * kBytes,
                  .threads = before.threads + kPoolThreads,
                  .files = before.files + 8,
                  .series = before.series + 100};
  Held after = Measure();
  const absl::Status flat = WaitUntil([&] { return (after = Measure()).Within(most); },
                                      absl::Seconds(10), "as little held as a list needs");
  std::cout << "stopped: " << (after.allocated_bytes - before.allocated_bytes) / kStopped
            << " bytes each\nbefore " << before.ToString() << "\nafter  " << after.ToString()
            << std::endl;
  EXPECT_TRUE(flat.ok()) << flat;
}

}  // namespace
}  // namespace millrace
