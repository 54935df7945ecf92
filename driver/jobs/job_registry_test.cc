// Jobs and their journal: requests that come while the journal is slow, refuses a record, or does
// not add up.
#include "driver/jobs/job_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <xxhash.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <future>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "common/base/clock.h"
#include "common/base/failpoint.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/base/uuid.h"
#include "common/storage/checkpoint_store.h"
#include "driver/testing/fake_cluster.h"

namespace millrace::driver {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kRunningScript[] = R"(
CREATE TABLE lines (value text) WITH (connector = 'fake');
CREATE TABLE counts (word text, count bigint) WITH (connector = 'shown');
INSERT INTO counts SELECT value, count(*) FROM lines GROUP BY value;
)";
std::string StatelessScript() {
  return absl::StrReplaceAll(kRunningScript, {{"BY value", "BY value, batch_time()"}});
}

// A journal that holds appends back until it is told to go on; from then on it acknowledges them.
class SlowJournal : public Journal {
 public:
  explicit SlowJournal(JournalState* state) : taken_(NewMemoryJournal(state)) {}

  void Append(std::vector<proto::JournalRecord> records, Done done) override {
    absl::MutexLock lock(&mutex_);
    records_.insert(records_.end(), records.begin(), records.end());
    waiting_.emplace_back(std::move(records), std::move(done));
    PassOn();
  }
  absl::Status Reopen() override { return absl::OkStatus(); }

  void Hold() {
    absl::MutexLock lock(&mutex_);
    appends_held_ = true;
  }
  void GoOn() {
    absl::MutexLock lock(&mutex_);
    appends_held_ = false;
    PassOn();
  }
  std::vector<proto::JournalRecord> records() const {
    absl::MutexLock lock(&mutex_);
    return records_;
  }

 private:
  void PassOn() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    while (!appends_held_ && !waiting_.empty()) {
      taken_->Append(std::move(waiting_.front().first), std::move(waiting_.front().second));
      waiting_.pop_front();
    }
  }

  std::unique_ptr<Journal> taken_;
  mutable absl::Mutex mutex_;
  bool appends_held_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<proto::JournalRecord> records_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::pair<std::vector<proto::JournalRecord>, Done>> waiting_ ABSL_GUARDED_BY(mutex_);
};

// The machine's clock, which can be set forward, and which counts how often it is asked for the
// wall time: a job asks once for each event.
class ForwardClock : public Clock {
 public:
  absl::Time Now() override {
    ++wall_reads_;
    return Clock::Real()->Now() + absl::Nanoseconds(forward_ns_.load());
  }
  int64_t MonotonicNs() override { return Clock::Real()->MonotonicNs() + forward_ns_.load(); }

  void SetForward(absl::Duration by) { forward_ns_ += absl::ToInt64Nanoseconds(by); }
  int wall_reads() const { return wall_reads_.load(); }

 private:
  std::atomic<int64_t> forward_ns_ = 0;
  std::atomic<int> wall_reads_ = 0;
};

// Keeps what the driver sends to an executor.
class KeptLink : public ExecutorLink {
 public:
  explicit KeptLink(std::vector<proto::DriverMessage>* sent) : sent_(*sent) {}
  void Send(proto::DriverMessage message) override { sent_.push_back(std::move(message)); }
  void Close() override {}
  int64_t last_heard_us() const override { return INT64_MAX; }

 private:
  std::vector<proto::DriverMessage>& sent_;
};

// A driver without its services. Nobody runs its jobs: they wait for executors.
class JobRegistryTest : public ::testing::Test {
 protected:
  JobRegistryTest() : connectors_(FakeConnectors(&world_)) {
    world_.SetEnd("p/0", 10);
    context_.loop = &loop_;
    context_.merging = &merging_;
    context_.closing = &closing_;
    context_.releasing = &releasing_;
    context_.executors = &executors_;
    context_.journal = &journal_;
    context_.connectors = connectors_.get();
    context_.functions = &FunctionRegistry::BuiltIn();
    context_.metrics = &metrics_;
    context_.clock = &clock_;
  }
  ~JobRegistryTest() override {
    journal_.GoOn();
    loop_.Stop();
    jobs_.reset();
    closing_.Stop();
    releasing_.Stop();
    merging_.Stop();
  }

  void Start(absl::Duration journal_timeout = absl::Seconds(30)) {
    jobs_ = std::make_unique<JobRegistry>(&context_,
                                          JobRegistry::Options{.functions = context_.functions,
                                                               .directory = ::testing::TempDir(),
                                                               .journal_timeout = journal_timeout});
    jobs_->Start(journaled_);
  }
  // Replays the records as a driver does at its start.
  void Replay(const std::vector<proto::JournalRecord>& records) {
    for (const proto::JournalRecord& record : records) {
      ASSERT_TRUE(journaled_.Replay(record).ok());
    }
  }
  absl::Status Submit(const std::string& sql, const std::string& name, bool drop_state = false) {
    proto::SubmitRequest request;
    request.set_sql(sql);
    request.set_name(name);
    request.set_drop_state(drop_state);
    return jobs_->Submit(request).status();
  }
  absl::Status Stop(const std::string& name, bool cancel = false) {
    proto::StopRequest request;
    request.set_name(name);
    request.set_cancel(cancel);
    return jobs_->Stop(request).status();
  }
  // The record that a driver without earlier jobs journals for a submission.
  proto::JobSubmitted Submitted(const std::string& sql, const std::string& id) {
    JournaledJobs journaled;
    SlowJournal journal(&journaled);
    context_.journal = &journal;
    {
      JobRegistry jobs(&context_, JobRegistry::Options{.functions = context_.functions,
                                                       .directory = ::testing::TempDir()});
      jobs.Start(journaled);
      proto::SubmitRequest request;
      request.set_sql(sql);
      request.set_name("words");
      EXPECT_TRUE(jobs.Submit(request).ok());
      proto::StopRequest stop;
      stop.set_name("words");
      EXPECT_TRUE(jobs.Stop(stop).ok());
      loop_.Call([] { return true; });  // wait until nothing is on its way to the loop any more
    }
    context_.journal = &journal_;
    proto::JobSubmitted submitted = journal.records().front().job_submitted();
    submitted.set_job_id(id);
    return submitted;
  }
  static proto::JournalRecord RecordOf(const proto::JobSubmitted& submitted) {
    proto::JournalRecord record;
    *record.mutable_job_submitted() = submitted;
    return record;
  }
  // The records of a job that commits one batch, takes a snapshot if it has state, and stops.
  static std::vector<proto::JournalRecord> OneBatch(const std::string& id, bool snapshot) {
    std::vector<proto::JournalRecord> records(2);
    proto::BatchPlanned* planned = records[0].mutable_batch_planned();
    planned->set_job_id(id);
    planned->set_batch(1);
    planned->set_batch_time_us(1);
    planned->add_splits()->set_end(10);
    records[1].mutable_batch_committed()->set_job_id(id);
    records[1].mutable_batch_committed()->set_batch(1);
    if (snapshot) {
      proto::SnapshotCompleted* completed = records.emplace_back().mutable_snapshot_completed();
      completed->set_job_id(id);
      completed->mutable_snapshot()->set_batch(1);
    }
    records.emplace_back().mutable_job_ended()->set_job_id(id);
    records.back().mutable_job_ended()->set_how(proto::JobEnded::STOPPED);
    return records;
  }
  std::vector<std::string> Phases() {
    std::vector<std::string> phases;
    const auto list = jobs_->List();
    EXPECT_TRUE(list.ok()) << list.status();
    for (const proto::JobSummary& job : list->jobs()) {
      phases.push_back(absl::StrCat(job.name(), " ", proto::JobPhase_Name(job.phase())));
    }
    return phases;
  }
  template <typename Condition>
  static void Until(Condition condition) {
    const absl::Time deadline = SteadyNow() + absl::Seconds(30);
    while (!condition()) {
      ASSERT_LT(SteadyNow(), deadline);
    }
  }

  FakeWorld world_;
  std::unique_ptr<ConnectorRegistry> connectors_;
  MetricsRegistry metrics_;
  ForwardClock clock_;
  EventLoop loop_{&clock_};
  EventLoop merging_{Clock::Real()};
  EventLoop closing_{Clock::Real()};
  EventLoop releasing_{Clock::Real()};
  ExecutorDirectory executors_{
      "driver", absl::Seconds(1), absl::Seconds(4), {[] {}, [](const ExecutorId&) {}}};
  JobContext context_;
  JournaledJobs journaled_;
  SlowJournal journal_{&journaled_};
  std::unique_ptr<JobRegistry> jobs_;
};

// Jobs on executors that do nothing but what the test says.
class JobOnExecutorsTest : public JobRegistryTest {
 protected:
  ~JobOnExecutorsTest() override { loop_.Stop(); }  // sends nothing to sent_ any more

  void Join(const std::vector<std::string>& names) {
    loop_.Call([&] {
      for (const std::string& name : names) {
        proto::Register registration;
        registration.set_executor_id(absl::StrCat("id of ", name));
        registration.set_name(name);
        registration.set_slots(1);
        registration.set_protocol(1);
        executors_.Connected(registration, std::make_shared<KeptLink>(&sent_));
      }
      return true;
    });
  }
  static bool IsStart(const proto::DriverMessage& message) { return message.has_start_epoch(); }
  // Waits until so many executors have been told to start an epoch, counted over all epochs.
  void WaitForStarts(int64_t count) {
    Until([&] {
      return loop_.Call([&] { return std::count_if(sent_.begin(), sent_.end(), IsStart); }) >=
             count;
    });
  }
  // The executor reports the failure of the newest epoch.
  void Fail(const std::string& name, proto::EpochFailed failed) {
    loop_.Call([&] {
      const auto start = std::find_if(sent_.rbegin(), sent_.rend(), IsStart);
      failed.set_job_id(start->start_epoch().job_id());
      failed.set_epoch(start->start_epoch().epoch());
      proto::ExecutorMessage message;
      *message.mutable_epoch_failed() = failed;
      jobs_->OnExecutorMessage(ExecutorId(absl::StrCat("id of ", name)), std::move(message));
      return true;
    });
  }

  std::vector<proto::DriverMessage> sent_;  // to all executors; on the loop
};

TEST_F(JobRegistryTest, StateThatWasDroppedDoesNotKeepTheJobFromBeginningItAgain) {
  Replay({RecordOf(Submitted(kRunningScript, "a"))});
  Replay(OneBatch("a", /*snapshot=*/true));
  Start();
  ASSERT_EQ(Submit(StatelessScript(), "words", /*drop_state=*/true), absl::OkStatus());
  ASSERT_EQ(Stop("words"), absl::OkStatus());
  EXPECT_EQ(Submit(kRunningScript, "words"), absl::OkStatus());
  EXPECT_THAT(Phases(), ElementsAre("words PHASE_WAITING"));
  EXPECT_EQ(journaled_.jobs().at("a").history.PlanRecovery()->snapshot->layers_size(), 0);
}

TEST_F(JobRegistryTest, NameStaysTakenWhileTheJournalHasNotAnswered) {
  Start(/*journal_timeout=*/absl::Milliseconds(20));
  journal_.Hold();
  EXPECT_EQ(Submit(kRunningScript, "words").code(), absl::StatusCode::kDeadlineExceeded);
  const absl::Status again = Submit(kRunningScript, "words");
  EXPECT_EQ(again.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(again.message()), HasSubstr("which the journal has not taken yet"));
  EXPECT_EQ(journal_.records().size(), 1u);
  journal_.GoOn();
  Until([&] { return Phases() == std::vector<std::string>{"words PHASE_WAITING"}; });
  EXPECT_THAT(std::string(Submit(kRunningScript, "words").message()), HasSubstr("is running"));
}

TEST_F(JobRegistryTest, StoppedJobStaysTakenToo) {
  Replay({RecordOf(Submitted(kRunningScript, "a"))});
  Replay(OneBatch("a", /*snapshot=*/true));
  Start(/*journal_timeout=*/absl::Milliseconds(20));
  journal_.Hold();
  EXPECT_EQ(Submit(kRunningScript, "words").code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(Submit(kRunningScript, "words").code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Stop("words", /*cancel=*/true).code(), absl::StatusCode::kAlreadyExists)
      << "else it would be cancelled in the journal and run here";
  journal_.GoOn();
  Until([&] { return Phases() == std::vector<std::string>{"words PHASE_WAITING"}; });
}

TEST_F(JobRegistryTest, CancellationIsAnsweredOnceItIsDurable) {
  Replay({RecordOf(Submitted(kRunningScript, "a"))});
  Replay(OneBatch("a", /*snapshot=*/true));
  Start();
  journal_.Hold();
  std::future<absl::Status> cancelled =
      std::async(std::launch::async, [&] { return Stop("words", /*cancel=*/true); });
  Until([&] { return journal_.records().size() == 1; });
  EXPECT_EQ(Submit(kRunningScript, "words").code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(Phases(), ElementsAre("words PHASE_STOPPED"));
  journal_.GoOn();
  EXPECT_EQ(cancelled.get(), absl::OkStatus());
  EXPECT_THAT(Phases(), ElementsAre("words PHASE_CANCELLED"));
}

TEST_F(JobRegistryTest, JobThatDoesNotAddUpIsShownAndTheOthersRun) {
  proto::JobSubmitted other = Submitted(kRunningScript, "b");
  other.set_name("other");
  Replay({RecordOf(Submitted(kRunningScript, "a")), RecordOf(other)});
  std::vector<proto::JournalRecord> torn = OneBatch("a", /*snapshot=*/true);
  torn.erase(torn.begin());  // removes the plan
  Replay(torn);
  Start();
  const auto list = jobs_->List();
  ASSERT_THAT(list->jobs(), SizeIs(2));
  for (const proto::JobSummary& job : list->jobs()) {
    EXPECT_EQ(job.phase(), job.name() == "words" ? proto::PHASE_QUARANTINED : proto::PHASE_WAITING);
  }
  const auto detail = jobs_->Show("words");
  ASSERT_TRUE(detail.ok());
  EXPECT_THAT(detail->summary().message(),
              HasSubstr("quarantined: journal of job 'words': batch 1 committed after batch 0"));
  EXPECT_THAT(detail->summary().message(), HasSubstr("millrace jobs cancel a"));
  EXPECT_TRUE(jobs_->Lag("words").ok());
  const absl::Status submitted = Submit(kRunningScript, "words");
  EXPECT_EQ(submitted.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(submitted.message()), HasSubstr("quarantined"));
  EXPECT_EQ(Stop("words", /*cancel=*/true), absl::OkStatus());
  EXPECT_EQ(Submit(kRunningScript, "words"), absl::OkStatus());
}

TEST_F(JobRegistryTest, OfTwoJobsOfOneNameTheLaterOneIsTakenUp) {
  proto::JobSubmitted first = Submitted(kRunningScript, "a");
  proto::JobSubmitted second = Submitted(kRunningScript, "b");
  second.set_submitted_at_us(first.submitted_at_us() + 1);
  Replay({RecordOf(first), RecordOf(second)});
  Start();
  EXPECT_THAT(Phases(), ElementsAre("words PHASE_QUARANTINED", "words PHASE_WAITING"));
  EXPECT_EQ(Stop("a", /*cancel=*/true), absl::OkStatus());
  EXPECT_THAT(Phases(), ElementsAre("words PHASE_CANCELLED", "words PHASE_WAITING"));
}

TEST_F(JobRegistryTest, JobsThatHaveEndedLeaveTheMetrics) {
  Start();
  for (size_t i = 0; i < 2 * MetricsRegistry::kMaxAfterglows; ++i) {
    const std::string name = absl::StrCat("words", i);
    ASSERT_EQ(Submit(kRunningScript, name), absl::OkStatus());
    ASSERT_EQ(Stop(name), absl::OkStatus());
  }
  loop_.Call([] { return true; });
  const size_t series = metrics_.series();
  ASSERT_EQ(Submit(kRunningScript, "one"), absl::OkStatus());
  ASSERT_EQ(Stop("one"), absl::OkStatus());
  loop_.Call([] { return true; });
  EXPECT_EQ(metrics_.series(), series);
  EXPECT_LE(series, MetricsRegistry::kMaxAfterglows * 20);
}

TEST_F(JobRegistryTest, EndedJobsThatNobodyCanResumeAreForgotten) {
  Start();
  for (int i = 0; i < 210; ++i) {
    const std::string name = absl::StrCat("words", i);
    ASSERT_EQ(Submit(kRunningScript, name), absl::OkStatus());
    ASSERT_EQ(Stop(name), absl::OkStatus());
  }
  EXPECT_THAT(jobs_->List()->jobs(), SizeIs(210)) << "each can go on";
  for (int i = 0; i < 210; ++i) {
    ASSERT_EQ(Stop(absl::StrCat("words", i), /*cancel=*/true), absl::OkStatus());
  }
  EXPECT_THAT(jobs_->List()->jobs(), SizeIs(200));
  EXPECT_THAT(journaled_.jobs(), SizeIs(200));
}

TEST_F(JobRegistryTest, FilesOfASavepointStayWhileTheyAreCopied) {
  const std::string file = absl::StrCat("words-", NewUuid(), "/e1-b1-a-1.state");
  proto::JobSubmitted submitted = Submitted(kRunningScript, "a");
  submitted.set_snapshot_location(absl::StrCat(::testing::TempDir(), "/snapshots"));
  Replay({RecordOf(submitted)});
  std::vector<proto::JournalRecord> records = OneBatch("a", /*snapshot=*/true);
  proto::SnapshotFile* written =
      records[2].mutable_snapshot_completed()->mutable_snapshot()->add_layers()->add_files();
  written->set_name(file);
  written->set_bytes(5);
  written->set_checksum(XXH3_64bits("state", 5));
  Replay(records);
  ASSERT_TRUE((*CheckpointStore::Open(submitted.snapshot_location(), FileSystem::Real()))
                  ->Write(file, "state")
                  .ok());
  Start();
  std::set<std::string> pinned;
  SetFailpointHandler([&](const std::string& name) {
    if (name == "savepoint.copied") {
      pinned = context_.pinned->names();
    }
  });
  proto::SavepointRequest request;
  request.set_name("words");
  request.set_location(absl::StrCat(::testing::TempDir(), "/savepoint-", NewUuid()));
  const auto savepoint = jobs_->Savepoint(request);
  SetFailpointHandler(nullptr);
  ASSERT_TRUE(savepoint.ok()) << savepoint.status();
  EXPECT_THAT(pinned, ElementsAre(file));
  EXPECT_THAT(context_.pinned->names(), IsEmpty());
}

TEST_F(JobRegistryTest, ExecutorThatComesAndGoesIsShownWithTheTimeAndTheReason) {
  Start();
  std::vector<proto::DriverMessage> sent;
  loop_.Call([&] {
    int64_t now_us = loop_.NowUs();
    executors_.CheckTimeouts(now_us);
    proto::Register registration;
    registration.set_name("flapping");
    registration.set_protocol(1);
    for (int i = 0; i <= FlapRecord::kTimes; ++i) {
      registration.set_executor_id(absl::StrCat("e", i));
      const auto link = std::make_shared<KeptLink>(&sent);
      executors_.Connected(registration, link);
      if (i < FlapRecord::kTimes) {
        executors_.Disconnected(ExecutorId(registration.executor_id()), link.get(), now_us);
        executors_.CheckTimeouts(now_us += 1'000'000);
      }
    }
    return true;
  });
  const auto executors = jobs_->Executors();
  ASSERT_TRUE(executors.ok());
  ASSERT_THAT(executors->executors(), SizeIs(1));
  ASSERT_THAT(executors->executors(0).left_out(), SizeIs(1));
  const auto& left_out = executors->executors(0).left_out(0);
  EXPECT_EQ(left_out.job(), "");
  EXPECT_THAT(left_out.why(), HasSubstr("3 times"));
  EXPECT_GT(absl::FromUnixMicros(left_out.until_us()), absl::Now());
}

TEST_F(JobOnExecutorsTest, ExecutorThatAJobGoesOnWithoutIsShownWithTheTimeAndTheReason) {
  Start();
  Join({"a", "b"});
  ASSERT_EQ(Submit(kRunningScript, "words"), absl::OkStatus());
  WaitForStarts(2);
  proto::EpochFailed unseen;
  unseen.set_store_unseen(true);
  unseen.set_message("not mounted");
  Fail("b", unseen);
  const auto executors = jobs_->Executors();
  ASSERT_TRUE(executors.ok());
  ASSERT_THAT(executors->executors(), SizeIs(2));
  EXPECT_THAT(executors->executors(0).left_out(), IsEmpty());
  EXPECT_EQ(executors->executors(1).name(), "b");
  ASSERT_THAT(executors->executors(1).left_out(), SizeIs(1));
  const auto& left_out = executors->executors(1).left_out(0);
  EXPECT_EQ(left_out.job(), "words");
  EXPECT_EQ(left_out.why(), "executor b: not mounted");
  EXPECT_GT(absl::FromUnixMicros(left_out.until_us()), absl::Now());
  EXPECT_LT(absl::FromUnixMicros(left_out.until_us()), absl::Now() + absl::Minutes(1));
}

TEST_F(JobOnExecutorsTest, AJobThatWaitsForTheJournalSaysSoAndHoldsUpNoDrain) {
  Start();
  ASSERT_EQ(Submit(kRunningScript, "words"), absl::OkStatus());
  journal_.Hold();
  loop_.Call([&] {
    context_.journal_trouble = "no space left on device writing /j";
    return true;
  });
  Join({"a"});  // the epoch's record waits from here on
  loop_.Call([&] {
    jobs_->OnMembersChanged();
    return true;
  });
  const absl::StatusOr<proto::JobDetail> shown = jobs_->Show("words");
  ASSERT_TRUE(shown.ok()) << shown.status();
  EXPECT_THAT(shown->summary().message(), HasSubstr("cannot be written: no space left on device"));
  EXPECT_NE(shown->summary().phase(), proto::PHASE_FAILED);
  const absl::Time asked = SteadyNow();
  const absl::Status drained = jobs_->Drain(asked + absl::Minutes(1));
  EXPECT_TRUE(absl::IsDeadlineExceeded(drained)) << drained;
  EXPECT_LT(SteadyNow() - asked, absl::Seconds(10));
}

TEST_F(JobRegistryTest, EpochThatNobodyNeedsIsEndedWhenItsExecutorIsBack) {
  Start();
  ASSERT_EQ(Submit(kRunningScript, "over"), absl::OkStatus());
  ASSERT_EQ(Stop("over"), absl::OkStatus());
  const std::string over = jobs_->Show("over")->summary().job_id();
  std::vector<proto::DriverMessage> sent;
  loop_.Call([&] {
    proto::Register registration;
    registration.set_executor_id("back");
    registration.set_protocol(1);
    executors_.Connected(registration, std::make_shared<KeptLink>(&sent));
    for (const std::string& job : {over, std::string("forgotten")}) {
      proto::ExecutorMessage here;
      here.mutable_source_progress()->set_job_id(job);
      here.mutable_source_progress()->set_epoch(7);
      jobs_->OnExecutorMessage(ExecutorId("back"), here);
      proto::ExecutorMessage stopped;
      stopped.mutable_epoch_stopped()->set_job_id(job);
      stopped.mutable_epoch_stopped()->set_epoch(7);
      jobs_->OnExecutorMessage(ExecutorId("back"), stopped);
    }
    return true;
  });
  ASSERT_THAT(sent, SizeIs(3));
  EXPECT_EQ(sent[1].stop_epoch().job_id(), over);
  EXPECT_EQ(sent[2].stop_epoch().job_id(), "forgotten");
  EXPECT_EQ(sent[2].stop_epoch().epoch(), 7);
}

TEST_F(JobRegistryTest, EpochThatItsJobHasGivenUpIsEndedWhenItsExecutorIsBack) {
  proto::JournalRecord began;
  began.mutable_epoch_started()->set_job_id("a");
  began.mutable_epoch_started()->set_epoch(7);
  Replay({RecordOf(Submitted(kRunningScript, "a")), began});
  Start();
  Until([&] { return Phases() == std::vector<std::string>{"words PHASE_WAITING"}; });
  std::vector<proto::DriverMessage> sent;
  loop_.Call([&] {
    proto::Register registration;
    registration.set_executor_id("back");
    registration.set_protocol(1);
    executors_.Connected(registration, std::make_shared<KeptLink>(&sent));
    sent.clear();
    proto::ExecutorMessage here;
    here.mutable_source_progress()->set_job_id("a");
    here.mutable_source_progress()->set_epoch(7);
    jobs_->OnExecutorMessage(ExecutorId("back"), here);
    return true;
  });
  ASSERT_THAT(sent, SizeIs(1));
  EXPECT_EQ(sent[0].stop_epoch().job_id(), "a");
  EXPECT_EQ(sent[0].stop_epoch().epoch(), 7);
}

// Timers of jobs with fast batches were left in the loop by the thousand.
TEST_F(JobOnExecutorsTest, JobThatIsToBeWokenEarlierLeavesNoLaterTimerBehind) {
  Replay({RecordOf(Submitted(StatelessScript(), "a"))});
  world_.SetTrouble(absl::UnavailableError("away"));  // so the source brings the job no events
  Join({"a"});
  Start();
  WaitForStarts(1);  // an epoch has a minute to become ready
  proto::EpochFailed away;
  away.set_retryable(true);
  away.set_code(static_cast<int>(absl::StatusCode::kUnavailable));
  Fail("a", away);  // the next epoch begins at once
  WaitForStarts(2);
  journal_.Hold();
  const int before = clock_.wall_reads();
  Fail("a", away);  // the next epoch begins after a pause, and ends at the journal
  clock_.SetForward(absl::Hours(1));
  loop_.Call([] { return true; });  // behind it, the loop runs the timers that are due
  loop_.Call([] { return true; });
  EXPECT_EQ(clock_.wall_reads() - before, 2) << "the failure and the end of the pause";
}

}  // namespace
}  // namespace millrace::driver
