#include "cli/job_follower.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "client/driver_client.h"
#include "common/base/steady_time.h"
#include "common/columnar/batch_codec.h"
#include "common/rpc/rpc.h"
#include "common/types/sql_type.h"
#include "proto/jobs.grpc.pb.h"

namespace millrace::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A driver that plays a prepared stream of results and remembers what it was asked to stop.
class FakeJobs : public proto::Jobs::Service {
 public:
  grpc::Status Results(grpc::ServerContext*, const proto::ResultsRequest* request,
                       grpc::ServerWriter<proto::BatchResults>* writer) override {
    if (request->name() != "words") {
      return {grpc::StatusCode::NOT_FOUND, "no job " + request->name()};
    }
    for (const proto::BatchResults& batch : batches) {
      writer->Write(batch);
    }
    return grpc::Status::OK;
  }
  grpc::Status Stop(grpc::ServerContext*, const proto::StopRequest* request,
                    proto::StopResponse* response) override {
    absl::MutexLock lock(&mutex_);
    stopped_.push_back(request->name() + (request->cancel() ? " cancelled" : " drained"));
    response->set_phase(proto::PHASE_DRAINING);
    return grpc::Status::OK;
  }
  grpc::Status Show(grpc::ServerContext*, const proto::JobRequest*,
                    proto::JobDetail* detail) override {
    *detail = shown;
    return grpc::Status::OK;
  }
  std::vector<std::string> stopped() {
    absl::MutexLock lock(&mutex_);
    return stopped_;
  }

  std::vector<proto::BatchResults> batches;
  proto::JobDetail shown;

 private:
  absl::Mutex mutex_;
  std::vector<std::string> stopped_ ABSL_GUARDED_BY(mutex_);
};

proto::BatchResults BatchOf(int64_t number, const std::string& word) {
  auto column = std::make_shared<Column>(MakeType(TypeId::kText), 1);
  column->SetTextCopy(0, word);
  proto::BatchResults results;
  results.set_batch(number);
  results.set_records(1);
  results.set_total_records(number);
  results.add_tables()->add_columns("word");
  EncodeBatch(Batch({column}, 1), results.mutable_tables(0)->mutable_rows());
  return results;
}

proto::BatchResults EndOf(proto::JobPhase phase, const std::string& message) {
  proto::BatchResults results;
  results.set_phase(phase);
  results.set_message(message);
  return results;
}

class JobFollowerTest : public testing::Test {
 protected:
  JobFollowerTest() {
    grpc::ServerBuilder builder;
    builder.RegisterService(&jobs_);
    server_ = builder.BuildAndStart();
    client_ = std::make_unique<client::DriverClient>(
        server_->InProcessChannel(grpc::ChannelArguments()), "");
  }
  void TearDown() override { server_->Shutdown(); }

  FakeJobs jobs_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<client::DriverClient> client_;
  std::ostringstream out_;
  std::ostringstream err_;
  Console console_{.out = out_, .err = err_};
};

TEST_F(JobFollowerTest, PrintsBatchesUntilTheJobHasFinished) {
  jobs_.batches = {BatchOf(1, "a"), BatchOf(2, "b"), EndOf(proto::PHASE_FINISHED, "")};
  EXPECT_EQ(FollowJob(*client_, "words", {.summary = true}, console_), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("-- batch 1, "));
  EXPECT_THAT(out_.str(), HasSubstr("\nb\n"));
  EXPECT_THAT(err_.str(), HasSubstr("finished: 2 records in "));
}

TEST_F(JobFollowerTest, RecordsThatWereLeftOutAreSaidThoughNobodyAsks) {
  jobs_.batches = {BatchOf(1, "a"), EndOf(proto::PHASE_FINISHED, "")};
  FollowJob(*client_, "words", {}, console_);
  EXPECT_EQ(err_.str(), "") << "nothing was left out";
  jobs_.shown.mutable_summary()->set_skipped_records(1234);
  jobs_.shown.set_first_skipped("offset 7: not JSON");
  FollowJob(*client_, "words", {}, console_);
  EXPECT_EQ(err_.str(), "left out by on_error: 1,234 records; the first: offset 7: not JSON\n");
}

TEST_F(JobFollowerTest, AFailedJobIsAnError) {
  jobs_.batches = {EndOf(proto::PHASE_FAILED, "topic test, partition 0, offset 7: not JSON")};
  EXPECT_EQ(FollowJob(*client_, "words", {}, console_), kExitFailed);
  EXPECT_EQ(err_.str(),
            "millrace: job words failed: topic test, partition 0, offset 7: not JSON\n");
}

TEST_F(JobFollowerTest, ADrainedJobIsNone) {
  jobs_.batches = {BatchOf(1, "a"), EndOf(proto::PHASE_STOPPED, "")};
  EXPECT_EQ(FollowJob(*client_, "words", {}, console_), kExitOk);
}

TEST_F(JobFollowerTest, AnUnknownJobIsNamed) {
  EXPECT_EQ(FollowJob(*client_, "other", {}, console_), kExitFailed);
  EXPECT_THAT(err_.str(), HasSubstr("no job other"));
}

TEST_F(JobFollowerTest, StopsAfterTheBatchesThatWereAskedFor) {
  jobs_.batches = {BatchOf(1, "a"), BatchOf(2, "b"), BatchOf(3, "c"),
                   EndOf(proto::PHASE_STOPPED, "")};
  EXPECT_EQ(FollowJob(*client_, "words", {.max_batches = 2}, console_), kExitOk);
  EXPECT_THAT(jobs_.stopped(), ElementsAre("words drained"));
  EXPECT_THAT(out_.str(), HasSubstr("-- batch 2, "));
  EXPECT_THAT(out_.str(), testing::Not(HasSubstr("-- batch 3, ")));
}

TEST_F(JobFollowerTest, AnInterruptDrainsTheJob) {
  DrainOnInterrupt on_interrupt(console_);
  int drains = 0;
  const DrainOnInterrupt::Scope scope(on_interrupt, [&] {
    ++drains;
    return absl::OkStatus();
  });
  on_interrupt.OnInterrupt();
  EXPECT_EQ(drains, 1);
  EXPECT_THAT(err_.str(), HasSubstr("draining"));
  EXPECT_EQ(on_interrupt.EndWith(kExitOk), kExitOk);
}

TEST_F(JobFollowerTest, AnInterruptAfterTheJobHasEndedDoesNothing) {
  DrainOnInterrupt on_interrupt(console_);
  int drains = 0;
  {
    const DrainOnInterrupt::Scope scope(on_interrupt, [&] {
      ++drains;
      return absl::OkStatus();
    });
  }
  on_interrupt.OnInterrupt();
  EXPECT_EQ(drains, 0);
}

// Kafka is away: the job would wait for it for a minute.
TEST_F(JobFollowerTest, AnInterruptEndsTheProcessWhenTheJobCannotBeDrained) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const Console console{.out = std::cout, .err = std::cerr};
  EXPECT_EXIT(
      {
        DrainOnInterrupt on_interrupt(console);
        const DrainOnInterrupt::Scope scope(on_interrupt, [] {
          return absl::DeadlineExceededError("not at a batch boundary yet: words");
        });
        on_interrupt.OnInterrupt();
      },
      testing::ExitedWithCode(kExitFailed), "ends without draining: not at a batch boundary");
}

// Destructors may wait for Kafka too.
TEST_F(JobFollowerTest, AnInterruptedProcessEndsThoughDestructorsWait) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        DrainOnInterrupt on_interrupt(console_);
        const DrainOnInterrupt::Scope scope(on_interrupt, [] { return absl::OkStatus(); });
        on_interrupt.OnInterrupt();
        on_interrupt.EndWith(kExitOk);
        absl::Notification never;
        never.WaitForNotification();
      },
      testing::ExitedWithCode(kExitOk), "");
}

TEST_F(JobFollowerTest, AnInterruptBeforeThereIsAJobEndsTheProcess) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(DrainOnInterrupt(console_).OnInterrupt(), testing::ExitedWithCode(kExitFailed), "");
}

TEST_F(JobFollowerTest, ClosedStandardOutputIsAnError) {
  jobs_.batches = {BatchOf(1, "a"), BatchOf(2, "b"), EndOf(proto::PHASE_FINISHED, "")};
  out_.setstate(std::ios::badbit);
  EXPECT_EQ(FollowJob(*client_, "words", {}, console_), kExitFailed);
  EXPECT_THAT(err_.str(), HasSubstr("standard output"));
}

// gRPC would fail without a word.
TEST_F(JobFollowerTest, ANameThatIsNotUtf8IsRefusedAndShown) {
  const std::string name = "w\xF6rds";
  for (const absl::Status& status :
       {client_->Show(name).status(), client_->Stop(name, false).status()}) {
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("name 'w\\xf6rds' is not UTF-8"));
  }
  EXPECT_EQ(FollowJob(*client_, name, {}, console_), kExitFailed);
  EXPECT_THAT(err_.str(), HasSubstr("is not UTF-8"));
}

TEST(DriverClientTest, NoDriverSaysWhereAndWhatToDo) {
  // Port 1 of the loopback interface: reserved, nobody listens there.
  const auto jobs = client::DriverClient::ForAddress("127.0.0.1:1")->List();
  ASSERT_FALSE(jobs.ok());
  EXPECT_THAT(std::string(jobs.status().message()),
              testing::AllOf(HasSubstr("127.0.0.1:1"), HasSubstr("--driver"),
                             HasSubstr("MILLRACE_DRIVER")));
}

// A process that was stopped: its kernel accepts connections, and nobody ever answers.
TEST(DriverClientTest, PassesOverAHungAndARefusingAddress) {
  const int hung = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in any = {};
  any.sin_family = AF_INET;
  any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(any);
  ASSERT_EQ(bind(hung, reinterpret_cast<sockaddr*>(&any), length), 0);
  ASSERT_EQ(listen(hung, 16), 0);
  ASSERT_EQ(getsockname(hung, reinterpret_cast<sockaddr*>(&any), &length), 0);

  FakeJobs jobs;
  const auto server = RpcServer::Start("127.0.0.1:0", {&jobs}, "a test", "nothing");
  ASSERT_TRUE(server.ok()) << server.status();
  const auto client = client::DriverClient::ForAddress(
      absl::StrCat("127.0.0.1:", ntohs(any.sin_port), ", 127.0.0.1:1,", (*server)->address()));
  const absl::Time start = SteadyNow();
  const auto stopped = client->Stop("words", /*cancel=*/false);
  EXPECT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_LT(SteadyNow() - start, absl::Seconds(2.5)) << "less than it waits for a single address";
  close(hung);
}

}  // namespace
}  // namespace millrace::cli
