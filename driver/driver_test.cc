// A whole driver, reached as clients and executors reach it, with a source that the test sets and
// executors that only answer.
#include "driver/driver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <stop_token>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/synchronization/notification.h"
#include "common/base/failpoint.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/columnar/batch_codec.h"
#include "common/rpc/rpc.h"
#include "common/storage/file_system.h"
#include "driver/testing/fake_cluster.h"
#include "proto/jobs.grpc.pb.h"

namespace millrace::driver {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kScript[] = R"(
SET batch_duration = '10 ms';
CREATE TABLE lines (value text) WITH (connector = 'fake');
CREATE TABLE counts (word text, count bigint) WITH (connector = 'shown');
INSERT INTO counts SELECT value, count(*) FROM lines GROUP BY value, batch_time();
)";
const std::string& RunningScript() {
  static const auto* const script =
      new std::string(absl::StrReplaceAll(kScript, {{", batch_time()", ""}}));
  return *script;
}

class DriverTest : public ::testing::Test {
 protected:
  DriverTest() : connectors_(FakeConnectors(&world_)) {
    const char* root = std::getenv("TEST_TMPDIR");
    directory_ = absl::StrCat(root == nullptr ? "/tmp" : root, "/",
                              ::testing::UnitTest::GetInstance()->current_test_info()->name());
    world_.SetEnd("p/0", 10);
    world_.SetEnd("p/1", 5);
  }

  DriverOptions Options() {
    DriverOptions options;
    options.connectors = connectors_.get();
    options.functions = &FunctionRegistry::BuiltIn();
    options.heartbeat_interval = absl::Milliseconds(50);
    options.heartbeat_timeout = absl::Milliseconds(400);
    return options;
  }
  void StartDriver(DriverOptions options) {
    auto driver = Driver::Start(std::move(options));
    ASSERT_TRUE(driver.ok()) << driver.status();
    driver_ = *std::move(driver);
    jobs_ = proto::Jobs::NewStub(driver_->InProcessChannel());
  }
  void StartDriver() { StartDriver(Options()); }
  void StartDriverWithJournal() {
    DriverOptions options = Options();
    options.directory = directory_;
    StartDriver(std::move(options));
  }

  // Returns an executor that is registered.
  std::unique_ptr<FakeExecutor> NewExecutor(const std::string& name) {
    auto executor = std::make_unique<FakeExecutor>(driver_->InProcessChannel(), name);
    Until(absl::StrCat(name, " is registered"), [&] {
      const auto all = Call(&proto::Jobs::Stub::Executors, proto::ExecutorsRequest());
      return all.ok() && std::any_of(all->executors().begin(), all->executors().end(),
                                     [&](const auto& e) { return e.name() == name; });
    });
    return executor;
  }

  template <typename Request, typename Response>
  using Method = grpc::Status (proto::Jobs::Stub::*)(grpc::ClientContext*, const Request&,
                                                     Response*);
  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(Method<Request, Response> method, const Request& request) {
    grpc::ClientContext context;
    SetTimeout(&context, absl::Seconds(30));
    Response response;
    RETURN_IF_ERROR(FromGrpc((jobs_.get()->*method)(&context, request, &response)));
    return response;
  }
  absl::StatusOr<proto::SubmitResponse> Submit(const std::string& sql, const std::string& name,
                                               bool once = false) {
    proto::SubmitRequest request;
    request.set_sql(sql);
    request.set_name(name);
    request.set_once(once);
    return Call(&proto::Jobs::Stub::Submit, request);
  }
  proto::JobDetail Show(const std::string& name) {
    proto::JobRequest request;
    request.set_name(name);
    const auto detail = Call(&proto::Jobs::Stub::Show, request);
    EXPECT_TRUE(detail.ok()) << detail.status();
    return detail.value_or(proto::JobDetail());
  }
  absl::StatusOr<proto::StopResponse> Stop(const std::string& name, bool cancel = false) {
    proto::StopRequest request;
    request.set_name(name);
    request.set_cancel(cancel);
    return Call(&proto::Jobs::Stub::Stop, request);
  }

  // Polls, since the driver has no way to tell; fails after half a minute.
  static void Until(const std::string& what, const std::function<bool()>& happened) {
    const absl::Time deadline = SteadyNow() + absl::Seconds(30);
    while (!happened()) {
      ASSERT_LT(SteadyNow(), deadline) << "not within 30 s: " << what;
    }
  }
  void UntilPhase(const std::string& name, proto::JobPhase phase) {
    Until(absl::StrCat(name, " is ", proto::JobPhase_Name(phase)),
          [&] { return Show(name).summary().phase() == phase; });
  }
  void UntilRecords(const std::string& name, int64_t records) {
    Until(absl::StrCat(name, " has ", records, " records"),
          [&] { return Show(name).summary().records() == records; });
  }

  // The rows of every batch as "word=count,…", to the end of the job.
  std::vector<std::string> Follow(const std::string& name, proto::JobPhase* phase) {
    proto::ResultsRequest request;
    request.set_name(name);
    request.set_follow(true);
    grpc::ClientContext context;
    SetTimeout(&context, absl::Seconds(30));
    const auto reader = jobs_->Results(&context, request);
    std::vector<std::string> batches;
    proto::BatchResults results;
    while (reader->Read(&results)) {
      *phase = results.phase();
      if (results.batch() > 0) {
        batches.push_back(RowsOf(results));
      }
    }
    const grpc::Status status = reader->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
    return batches;
  }
  static std::string RowsOf(const proto::BatchResults& results) {
    std::string text;
    for (const proto::BatchResults::Table& table : results.tables()) {
      const absl::StatusOr<Batch> rows = DecodeBatch(table.rows());
      EXPECT_TRUE(rows.ok()) << rows.status();
      for (size_t row = 0; rows.ok() && row < rows->physical_rows(); ++row) {
        absl::StrAppend(&text, text.empty() ? "" : ",",
                        ToAbsl(rows->column(0)->value<TextView>(row).view()), "=",
                        rows->column(1)->value<int64_t>(row));
      }
    }
    return text;
  }

  FakeWorld world_;
  std::unique_ptr<ConnectorRegistry> connectors_;
  std::string directory_;
  std::unique_ptr<Driver> driver_;
  std::unique_ptr<proto::Jobs::Stub> jobs_;
};

TEST_F(DriverTest, AFileUrlOfTheJournalIsThePathInIt) {
  DriverOptions options = Options();
  options.directory = absl::StrCat("file://", directory_);
  StartDriver(options);
  const absl::StatusOr<std::vector<std::string>> kept = FileSystem::Real()->List(directory_);
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_THAT(*kept, Contains("journal-000001.log"));
  options.directory = "s3://bucket/journal";
  const absl::Status refused = Driver::Start(options).status();
  EXPECT_TRUE(absl::IsInvalidArgument(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("there is no scheme s3"));
}

TEST_F(DriverTest, RunsABoundedJobToItsEndAndShowsItsRowsInOrder) {
  StartDriver();
  const auto executor = NewExecutor("e");
  const auto submitted = Submit(kScript, "words", /*once=*/true);
  ASSERT_TRUE(submitted.ok()) << submitted.status();
  EXPECT_EQ(submitted->name(), "words");
  EXPECT_FALSE(submitted->resumed());
  ASSERT_EQ(submitted->notices_size(), 1);
  EXPECT_THAT(submitted->notices(0), HasSubstr("keeps no journal"));
  proto::JobPhase phase;
  EXPECT_THAT(Follow("words", &phase), ElementsAre("p/0=10,p/1=5"));
  EXPECT_EQ(phase, proto::PHASE_FINISHED);
  EXPECT_THAT(executor->commits(), ElementsAre(1));
  EXPECT_EQ(world_.published()["p/0"], 10) << "published before the follower hears of the end";
  EXPECT_EQ(world_.published()["p/1"], 5);
}

TEST_F(DriverTest, BoundedSourcesMakeABoundedJob) {
  world_.SetBounded(true);
  StartDriver();
  const auto executor = NewExecutor("e");
  ASSERT_TRUE(Submit(kScript, "words").ok());
  UntilPhase("words", proto::PHASE_FINISHED);
  EXPECT_EQ(Show("words").summary().records(), 15);
}

TEST_F(DriverTest, FollowsItsSourceNewPartitionsIncluded) {
  StartDriver();
  const auto executor = NewExecutor("e");
  ASSERT_TRUE(Submit(kScript, "words").ok());
  UntilRecords("words", 15);
  world_.SetEnd("p/0", 20);
  UntilRecords("words", 25);
  world_.SetEnd("p/2", 3);
  UntilRecords("words", 28);
  const proto::JobDetail detail = Show("words");
  EXPECT_EQ(detail.partitions_size(), 3);
  EXPECT_EQ(detail.summary().lag_records(), 0);
  EXPECT_EQ(detail.partitions(0).executor(), "e");
  EXPECT_THAT(detail.plan_text(), HasSubstr("counts"));
  EXPECT_GE(detail.recent_size(), 3);
}

TEST_F(DriverTest, WaitsForExecutors) {
  StartDriver();
  ASSERT_TRUE(Submit(kScript, "words").ok());
  EXPECT_EQ(Show("words").summary().phase(), proto::PHASE_WAITING);
  EXPECT_THAT(Show("words").summary().message(), HasSubstr("millrace-executor --driver"));
  const auto executor = NewExecutor("e");
  UntilRecords("words", 15);
}

TEST_F(DriverTest, StopsAndGoesOnWhereItStopped) {
  StartDriver();
  const auto executor = NewExecutor("e");
  const auto first = Submit(kScript, "words");
  ASSERT_TRUE(first.ok()) << first.status();
  UntilRecords("words", 15);
  const auto again = Submit(kScript, "words");
  EXPECT_EQ(again.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(again.status().message()), HasSubstr("job 'words' is running"));

  const auto stopped = Stop("words");
  ASSERT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_EQ(stopped->phase(), proto::PHASE_STOPPED);
  world_.SetEnd("p/1", 9);

  const auto other = Submit(absl::StrReplaceAll(kScript, {{"TABLE lines", "TABLE others"},
                                                          {"FROM lines", "FROM others"}}),
                            "words");
  EXPECT_EQ(other.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(other.status().message()),
              HasSubstr("job 'words' exists with source table \"lines\""));

  const auto resumed = Submit(absl::StrReplaceAll(kScript, {{"10 ms", "20 ms"}}), "words");
  ASSERT_TRUE(resumed.ok()) << resumed.status();
  EXPECT_TRUE(resumed->resumed());
  EXPECT_EQ(resumed->incarnation(), first->incarnation());
  UntilRecords("words", 4);
  EXPECT_EQ(executor->runs().back().splits(0).begin(), 5);
  EXPECT_EQ(Show("words").settings().at("batch_duration"), "20 ms");
}

TEST_F(DriverTest, AChangedScriptGoesOnWhereTheJobStopped) {
  StartDriver();
  const auto executor = NewExecutor("e");
  const auto first = Submit(kScript, "words");
  ASSERT_TRUE(first.ok()) << first.status();
  UntilRecords("words", 15);
  ASSERT_TRUE(Stop("words").ok());
  world_.SetEnd("p/1", 9);
  const auto changed =
      Submit(absl::StrReplaceAll(kScript, {{"SELECT value", "SELECT upper(value)"}}), "words");
  ASSERT_TRUE(changed.ok()) << changed.status();
  EXPECT_TRUE(changed->resumed());
  UntilRecords("words", 4);
  EXPECT_EQ(executor->runs().back().splits(0).begin(), 5);
}

TEST_F(DriverTest, WhatAChangedScriptDoesNotSelectIsRetiredAndSaid) {
  world_.SetEnd("q/0", 7);
  const auto reading = [](const std::string& prefix) {
    return absl::StrReplaceAll(kScript,
                               {{"'fake'", absl::StrCat("'fake', prefix = '", prefix, "'")}});
  };
  StartDriverWithJournal();
  auto executor = NewExecutor("e");
  ASSERT_TRUE(Submit(reading("p/"), "words").ok());
  UntilRecords("words", 15);
  ASSERT_TRUE(Stop("words").ok());
  const auto changed = Submit(reading("q/"), "words");
  ASSERT_TRUE(changed.ok()) << changed.status();
  ASSERT_EQ(changed->notices_size(), 2);
  EXPECT_EQ(changed->notices(0),
            "partition p/0 of source table \"lines\" is retired at offset 10: the script does not "
            "select it any more");
  UntilRecords("words", 7);
  world_.SetEnd("p/0", 20);  // the partition is retired, so nothing asks for its end
  world_.SetEnd("q/0", 9);
  UntilRecords("words", 9);
  EXPECT_EQ(Show("words").summary().retired_partitions(), 2);
  EXPECT_EQ(executor->starts().back().assignment().partitions_size(), 1);
  // The next driver knows the retired partition from the journal; once the script selects it again,
  // reading goes on where it was left.
  ASSERT_TRUE(Stop("words").ok());
  executor.reset();
  driver_.reset();
  StartDriverWithJournal();
  executor = NewExecutor("e2");
  const auto back = Submit(reading(""), "words");
  ASSERT_TRUE(back.ok()) << back.status();
  UntilRecords("words", 10);
  EXPECT_EQ(executor->runs().back().splits(0).begin(), 10);
  EXPECT_EQ(Show("words").summary().retired_partitions(), 0);
}

TEST_F(DriverTest, APartitionThatIsGoneIsRetiredRunningOrStopped) {
  StartDriver();
  const auto executor = NewExecutor("e");
  ASSERT_TRUE(Submit(kScript, "words").ok());
  UntilRecords("words", 15);
  world_.Remove("p/0");
  Until("p/0 is retired", [&] { return Show("words").summary().retired_partitions() == 1; });
  EXPECT_THAT(Show("words").partitions(1).retired(), HasSubstr("it was deleted"));
  world_.SetEnd("p/1", 6);
  UntilRecords("words", 16);
  ASSERT_TRUE(Stop("words").ok());
  world_.Remove("p/1");
  world_.SetEnd("p/2", 3);
  const auto again = Submit(kScript, "words");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_THAT(again->notices(), Contains(HasSubstr("p/1")));
  UntilRecords("words", 3);
}

TEST_F(DriverTest, CancelledNameBeginsAnew) {
  StartDriver();
  const auto executor = NewExecutor("e");
  const auto first = Submit(kScript, "words");
  ASSERT_TRUE(first.ok());
  UntilRecords("words", 15);
  EXPECT_EQ(Stop("words", /*cancel=*/true)->phase(), proto::PHASE_CANCELLED);
  const auto second = Submit(kScript, "words");
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_FALSE(second->resumed());
  EXPECT_NE(second->incarnation(), first->incarnation());
  UntilRecords("words", 15);
}

TEST_F(DriverTest, JournalBringsJobsBack) {
  StartDriverWithJournal();
  auto executor = NewExecutor("e");
  ASSERT_TRUE(Submit(RunningScript(), "words").ok());
  UntilRecords("words", 15);
  executor.reset();
  driver_->Shutdown();  // no drain, so the directory is as after a crash
  world_.SetEnd("p/0", 12);

  StartDriverWithJournal();
  executor = NewExecutor("e");
  UntilRecords("words", 2);
  const proto::StartEpoch start = executor->starts().back();
  EXPECT_GE(start.epoch(), 2);
  EXPECT_EQ(start.first_batch(), 1) << "its state is rebuilt from the first batch";
  EXPECT_GE(start.suppress_until(), 1);
  EXPECT_EQ(executor->runs()[0].splits(0).begin(), 0);
}

TEST_F(DriverTest, LocalModeLeavesJobsUntilTheyAreSubmittedAgain) {
  DriverOptions options = Options();
  options.directory = directory_;
  options.resume_jobs = false;
  StartDriver(options);
  auto executor = NewExecutor("e");
  const auto first = Submit(kScript, "", /*once=*/true);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->name(), "counts") << "made up from the sink";
  UntilPhase("counts", proto::PHASE_FINISHED);
  executor.reset();
  driver_->Shutdown();
  world_.SetEnd("p/0", 13);
  world_.SetEnd("p/7", 2);

  StartDriver(options);
  executor = NewExecutor("e");
  EXPECT_EQ(Show("counts").summary().phase(), proto::PHASE_FINISHED);
  const auto second = Submit(kScript, "", /*once=*/true);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_TRUE(second->resumed());
  proto::JobPhase phase;
  EXPECT_THAT(Follow("counts", &phase), ElementsAre("p/0=3,p/7=2"));
}

TEST_F(DriverTest, LostExecutorIsReplacedByTheOthers) {
  StartDriver();
  auto first = NewExecutor("first");
  const auto second = NewExecutor("second");
  ASSERT_TRUE(Submit(kScript, "words").ok());
  UntilRecords("words", 15);
  first->Kill();
  Until("the loss is noticed", [&] { return Show("words").summary().restarts() == 1; });
  world_.SetEnd("p/0", 30);
  UntilRecords("words", 35);
  EXPECT_EQ(second->starts().back().assignment().members_size(), 1);
}

TEST_F(DriverTest, LeavingExecutorCostsNoRestart) {
  StartDriver();
  const auto first = NewExecutor("first");
  const auto second = NewExecutor("second");
  ASSERT_TRUE(Submit(kScript, "words").ok());
  UntilRecords("words", 15);
  first->Leave();
  Until("the other one has the job", [&] {
    const auto starts = second->starts();
    return !starts.empty() && starts.back().assignment().members_size() == 1;
  });
  world_.SetEnd("p/0", 30);
  UntilRecords("words", 35);
  EXPECT_EQ(Show("words").summary().restarts(), 0);
}

TEST_F(DriverTest, AnExecutorThatDoesNotSeeTheSnapshotsIsNamedAndCostsNoJob) {
  StartDriverWithJournal();
  const auto blind = NewExecutor("blind");
  blind->SeeStoreAt(directory_ + "-of-another-machine");
  ASSERT_TRUE(Submit(RunningScript(), "job").ok());
  Until("the job says whom it cannot use", [&] {
    return absl::StrContains(Show("job").summary().message(), "executor blind: no such file");
  });
  const auto sees = NewExecutor("sees");
  Until("the other one works alone", [&] { return Show("job").summary().records() == 15; });
  EXPECT_TRUE(blind->runs().empty());
  EXPECT_THAT(Show("job").summary().message(), HasSubstr("goes on without executor blind"));
  EXPECT_EQ(Show("job").summary().phase(), proto::PHASE_RUNNING);
}

TEST_F(DriverTest, ADirectoryThatIsMountedLateIsWaitedFor) {
  StartDriverWithJournal();
  const auto executor = NewExecutor("a");
  executor->SeeStoreAt(directory_ + "-not-yet-mounted");
  ASSERT_TRUE(Submit(RunningScript(), "job").ok());
  Until("several epochs have failed for it", [&] { return Show("job").summary().restarts() > 3; });
  executor->SeeStoreAt("");
  Until("the job works", [&] { return Show("job").summary().records() == 15; });
  EXPECT_EQ(Show("job").summary().message(), "");
}

TEST_F(DriverTest, FailureNamesItsCause) {
  StartDriver();
  const auto executor = NewExecutor("e");
  executor->FailBatches(absl::InvalidArgumentError("p/0 offset 3: \"x\" is not a number"),
                        /*retryable=*/false);
  ASSERT_TRUE(Submit(kScript, "words").ok());
  UntilPhase("words", proto::PHASE_FAILED);
  EXPECT_EQ(Show("words").summary().message(), "p/0 offset 3: \"x\" is not a number");
  proto::JobPhase phase;
  EXPECT_THAT(Follow("words", &phase), ElementsAre());
  EXPECT_EQ(phase, proto::PHASE_FAILED);
}

TEST_F(DriverTest, UnreachableSourceIsSaidAtSubmissionAndOutlivedLater) {
  StartDriver();
  const auto executor = NewExecutor("e");
  world_.SetTrouble(absl::UnavailableError("no broker answers at localhost:1"));
  const auto refused = Submit(kScript, "words");
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(std::string(refused.status().message()),
            "source table \"lines\": no broker answers at localhost:1");
  world_.SetTrouble(absl::OkStatus());
  ASSERT_TRUE(Submit(kScript, "words").ok()) << "the name is free again";
  UntilRecords("words", 15);
  world_.SetTrouble(absl::UnavailableError("no broker answers at localhost:1"));
  Until("the trouble shows", [&] { return !Show("words").summary().message().empty(); });
  EXPECT_EQ(Show("words").summary().phase(), proto::PHASE_RUNNING);
  world_.SetTrouble(absl::OkStatus());
  world_.SetEnd("p/0", 11);
  UntilRecords("words", 16);
  EXPECT_EQ(Show("words").summary().message(), "");
}

TEST_F(DriverTest, DeletedSourceFailsTheJob) {
  StartDriver();
  const auto executor = NewExecutor("e");
  ASSERT_TRUE(Submit(kScript, "words").ok());
  UntilRecords("words", 15);
  world_.SetTrouble(absl::NotFoundError("topic 'p' does not exist"));
  UntilPhase("words", proto::PHASE_FAILED);
  EXPECT_EQ(Show("words").summary().message(), "source table \"lines\": topic 'p' does not exist");
}

TEST_F(DriverTest, DrainLeavesJobsResumable) {
  StartDriverWithJournal();
  auto executor = NewExecutor("e");
  ASSERT_TRUE(Submit(kScript, "words").ok());
  UntilRecords("words", 15);
  ASSERT_TRUE(driver_->Drain(SteadyNow() + absl::Seconds(30)).ok());
  EXPECT_EQ(Show("words").summary().phase(), proto::PHASE_STOPPED);
  EXPECT_EQ(Submit(kScript, "more").status().code(), absl::StatusCode::kUnavailable);
  executor.reset();
  driver_->Shutdown();
  world_.SetEnd("p/0", 11);
  StartDriverWithJournal();
  executor = NewExecutor("e");
  UntilRecords("words", 1);
}

TEST_F(DriverTest, GoingDownDoesNotWaitForWhatNobodyFinishes) {
  StartDriverWithJournal();
  auto executor = NewExecutor("e");
  executor->IgnoreBatches();
  ASSERT_TRUE(Submit(kScript, "words").ok());
  Until("the batch is under way", [&] { return !executor->runs().empty(); });
  absl::Status stopped;
  std::thread client([&] { stopped = Stop("words").status(); });
  UntilPhase("words", proto::PHASE_DRAINING);
  const absl::Time asked = SteadyNow();
  const absl::Status drained = driver_->Drain(asked + absl::Minutes(1));
  EXPECT_TRUE(absl::IsDeadlineExceeded(drained));
  EXPECT_THAT(std::string(drained.message()), HasSubstr("words"));
  driver_->Shutdown();
  EXPECT_LT(SteadyNow() - asked, absl::Seconds(9));
  client.join();
  EXPECT_FALSE(stopped.ok()) << "whoever waits for the job is told that it did not stop";
}

TEST_F(DriverTest, SaysWhatIsWrong) {
  StartDriver();
  EXPECT_EQ(Submit("SELECT", "x").status().code(), absl::StatusCode::kInvalidArgument);
  // Names become parts of paths.
  for (const std::string& name :
       {std::string("../x"), std::string("a/b"), std::string(".."), std::string("a\\b"),
        std::string("a\nb"), std::string(201, 'x')}) {
    const absl::Status refused = Submit(kScript, name).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << refused;
    EXPECT_THAT(std::string(refused.message()), HasSubstr("cannot name a job"));
  }
  proto::JobRequest request;
  request.set_name("nothing");
  const auto missing = Call(&proto::Jobs::Stub::Show, request);
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.status().message()),
              HasSubstr("there is no job 'nothing'; this driver has none"));
  EXPECT_EQ(Stop("nothing").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(DriverTest, ListsExecutors) {
  StartDriver();
  const auto executor = NewExecutor("e");
  ASSERT_TRUE(Submit(kScript, "words").ok());
  UntilRecords("words", 15);
  Until("a heartbeat has come", [&] {
    return Call(&proto::Jobs::Stub::Executors, proto::ExecutorsRequest())
               ->executors(0)
               .resident_bytes() == 1234;
  });
  const auto executors = Call(&proto::Jobs::Stub::Executors, proto::ExecutorsRequest());
  ASSERT_EQ(executors->executors_size(), 1);
  EXPECT_EQ(executors->executors(0).name(), "e");
  EXPECT_EQ(executors->executors(0).partitions(), 2u);
  EXPECT_EQ(executors->executors(0).shards(), 8u) << "4 shards per slot, 2 slots";
}

TEST_F(DriverTest, AddressInUseAndDirectoryInUseAreNamed) {
  DriverOptions options = Options();
  options.listen_address = "127.0.0.1:0";
  options.directory = directory_;
  StartDriver(options);
  EXPECT_THAT(driver_->address(), Not(HasSubstr(":0")));

  DriverOptions same_port = Options();
  same_port.listen_address = driver_->address();
  const auto refused = Driver::Start(same_port);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr(driver_->address()));
  options.listen_address = "";
  const auto locked = Driver::Start(options);
  EXPECT_THAT(std::string(locked.status().message()), HasSubstr(directory_));
}

// Two drivers on one directory.
class StandbyTest : public DriverTest {
 protected:
  ~StandbyTest() override { SetFailpointHandler(nullptr); }

  DriverOptions StandbyOptions() {
    DriverOptions options = Options();
    options.directory = directory_;
    options.standby = true;
    options.lease_time = absl::Milliseconds(300);
    return options;
  }
  // Clients speak to this one from now on.
  void Use(std::unique_ptr<Driver> driver) {
    driver_ = std::move(driver);
    jobs_ = proto::Jobs::NewStub(driver_->InProcessChannel());
  }
};

TEST_F(StandbyTest, TakesOverWhenTheDriverEndsAndItsJobsGoOn) {
  StartDriver(StandbyOptions());
  auto executor = NewExecutor("e");
  ASSERT_TRUE(Submit(kScript, "words").ok());
  UntilRecords("words", 15);

  absl::StatusOr<std::unique_ptr<Driver>> standby = absl::UnknownError("waits");
  std::thread waiting([&] { standby = Driver::Start(StandbyOptions()); });
  executor.reset();
  driver_->Shutdown();
  waiting.join();
  ASSERT_TRUE(standby.ok()) << standby.status();
  world_.SetEnd("p/0", 12);
  Use(*std::move(standby));
  executor = NewExecutor("e");
  UntilRecords("words", 2);
}

TEST_F(StandbyTest, WaitingCanBeStopped) {
  StartDriver(StandbyOptions());
  std::stop_source stop;
  DriverOptions options = StandbyOptions();
  options.stop = stop.get_token();
  std::thread stopper([&] { stop.request_stop(); });
  const auto standby = Driver::Start(options);
  stopper.join();
  EXPECT_EQ(standby.status().code(), absl::StatusCode::kCancelled);
  ASSERT_TRUE(Submit(kScript, "words").ok()) << "the first one still drives";
}

TEST_F(StandbyTest, DriverThatHangsIsReplacedAndDoesNoHarmWhenItWakes) {
  // The thread that renews the lease is to hang: it is the first one that comes here.
  absl::Notification asleep;
  absl::Notification wake;
  std::atomic<bool> first = true;
  SetFailpointHandler([&](const char* name) {
    if (std::string(name) == "lease.before_renewed" && first.exchange(false)) {
      asleep.Notify();
      wake.WaitForNotification();
    }
  });
  DriverOptions options = StandbyOptions();
  absl::Notification lost;
  options.on_lost = [&](const absl::Status& why) {
    EXPECT_EQ(why.code(), absl::StatusCode::kAborted);
    lost.Notify();
  };
  StartDriver(options);
  auto executor = NewExecutor("e");
  ASSERT_TRUE(Submit(kScript, "words").ok());
  UntilRecords("words", 15);
  asleep.WaitForNotification();

  auto standby = Driver::Start(StandbyOptions());
  ASSERT_TRUE(standby.ok()) << standby.status();
  const auto refused = Submit(kScript, "more");
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kAborted) << refused.status();
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr(absl::StrCat("has taken over directory ", directory_)));
  EXPECT_TRUE(lost.WaitForNotificationWithTimeout(absl::Seconds(30)));
  wake.Notify();
  Until("its executor is let go", [&] {
    const auto all = Call(&proto::Jobs::Stub::Executors, proto::ExecutorsRequest());
    return all.ok() && all->executors().empty();
  });
  executor.reset();
  driver_->Shutdown();

  world_.SetEnd("p/0", 12);
  Use(*std::move(standby));
  executor = NewExecutor("e");
  UntilRecords("words", 2);
  EXPECT_EQ(Call(&proto::Jobs::Stub::List, proto::ListRequest())->jobs_size(), 1)
      << "what was refused did not happen";
}

}  // namespace
}  // namespace millrace::driver
