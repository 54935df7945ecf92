#include "executor/epoch/driver_reports.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace millrace::executor {
namespace {

using ::testing::ElementsAre;

// A message as a word: its kind, and its batch if it has one.
std::string Word(const proto::ExecutorMessage& message) {
  switch (message.message_case()) {
    case proto::ExecutorMessage::kEpochReady:
      return "ready";
    case proto::ExecutorMessage::kSourceProgress:
      return "here";
    case proto::ExecutorMessage::kResultRows:
      return absl::StrCat("rows ", message.result_rows().batch());
    case proto::ExecutorMessage::kBatchPrepared:
      return absl::StrCat("prepared ", message.batch_prepared().batch());
    case proto::ExecutorMessage::kBatchCommitted:
      return absl::StrCat("committed ", message.batch_committed().batch());
    case proto::ExecutorMessage::kSnapshotWritten:
      return absl::StrCat("snapshot ", message.snapshot_written().batch());
    case proto::ExecutorMessage::kEpochFailed:
      return "failed";
    case proto::ExecutorMessage::kEpochStopped:
      return "stopped";
    default:
      return "?";
  }
}

// Keeps what is sent to the driver.
class KeptMessages : public DriverSink {
 public:
  void Send(uint64_t session, std::shared_ptr<const proto::ExecutorMessage> message) override {
    sessions_.push_back(session);
    messages_.push_back(std::move(message));
  }
  void WaitForRoom() override {}
  void ProgressChanged() override {}

  // What has been sent since the last call.
  std::vector<std::string> TakeWords() {
    std::vector<std::string> words;
    for (const auto& message : std::exchange(messages_, {})) {
      words.push_back(Word(*message));
    }
    return words;
  }
  std::vector<uint64_t> TakeSessions() { return std::exchange(sessions_, {}); }
  const std::vector<std::shared_ptr<const proto::ExecutorMessage>>& messages() const {
    return messages_;
  }

 private:
  std::vector<uint64_t> sessions_;
  std::vector<std::shared_ptr<const proto::ExecutorMessage>> messages_;
};

class DriverReportsTest : public ::testing::Test {
 protected:
  template <typename Message>
  void ReportOf(int64_t batch) {
    Message message;
    message.set_batch(batch);
    reports_.Report(std::move(message));
  }
  // Everything that an epoch says in two batches, one snapshot each.
  void ReportTwoBatches() {
    reports_.Report(proto::EpochReady());
    for (const int64_t batch : {1, 2}) {
      ReportOf<proto::ResultRows>(batch);
      ReportOf<proto::BatchPrepared>(batch);
      ReportOf<proto::BatchCommitted>(batch);
      ReportOf<proto::SnapshotWritten>(batch);
    }
    driver_.TakeWords();
  }
  // What is owed to the driver.
  std::vector<std::string> Owed() {
    driver_.TakeWords();
    reports_.Resend(/*session=*/8);
    std::vector<std::string> words = driver_.TakeWords();
    EXPECT_EQ(words.front(), "here");
    words.erase(words.begin());
    return words;
  }

  KeptMessages driver_;
  DriverReports reports_{&driver_, /*session=*/7, JobId("job"), Epoch(3)};
};

TEST_F(DriverReportsTest, ReportsGoOutAtOnceWithTheAddressOfTheEpoch) {
  ReportOf<proto::BatchPrepared>(5);
  ASSERT_EQ(driver_.messages().size(), 1u);
  const proto::BatchPrepared& prepared = driver_.messages()[0]->batch_prepared();
  EXPECT_EQ(prepared.job_id(), "job");
  EXPECT_EQ(prepared.epoch(), 3);
  EXPECT_EQ(prepared.batch(), 5);
  EXPECT_THAT(driver_.TakeSessions(), ElementsAre(7));
}

TEST_F(DriverReportsTest, NewConnectionGetsWhatIsNotAnsweredInTheOldOrder) {
  reports_.Report(proto::EpochReady());
  ReportOf<proto::ResultRows>(1);
  ReportOf<proto::BatchPrepared>(1);
  driver_.TakeWords();
  driver_.TakeSessions();
  reports_.Resend(/*session=*/8);
  EXPECT_THAT(driver_.TakeWords(), ElementsAre("here", "ready", "rows 1", "prepared 1"));
  EXPECT_THAT(driver_.TakeSessions(), ElementsAre(8, 8, 8, 8));
  ReportOf<proto::BatchCommitted>(1);
  EXPECT_THAT(driver_.TakeSessions(), ElementsAre(8)) << "later reports go there too";
}

TEST_F(DriverReportsTest, EpochThatOwesNothingStillSaysThatItIsHere) {
  reports_.Resend(/*session=*/8);
  ASSERT_EQ(driver_.messages().size(), 1u);
  EXPECT_EQ(driver_.messages()[0]->source_progress().job_id(), "job");
  EXPECT_EQ(driver_.messages()[0]->source_progress().epoch(), 3);
}

TEST_F(DriverReportsTest, RunAnswersWhatWasPreparedBeforeIt) {
  ReportTwoBatches();
  reports_.AnsweredByRun(BatchId(2));
  EXPECT_THAT(Owed(), ElementsAre("committed 1", "snapshot 1", "rows 2", "prepared 2",
                                  "committed 2", "snapshot 2"));
}

TEST_F(DriverReportsTest, CommitAnswersWhatItCommitsAndTheCommitsBeforeIt) {
  ReportTwoBatches();
  reports_.AnsweredByCommit(BatchId(2));
  EXPECT_THAT(Owed(), ElementsAre("snapshot 1", "committed 2", "snapshot 2"));
}

TEST_F(DriverReportsTest, SnapshotAnswersTheSnapshotsBeforeIt) {
  ReportTwoBatches();
  reports_.AnsweredBySnapshot(BatchId(2));
  EXPECT_THAT(Owed(), ElementsAre("rows 1", "prepared 1", "committed 1", "rows 2", "prepared 2",
                                  "committed 2", "snapshot 2"));
}

TEST_F(DriverReportsTest, EndOfAnEpochIsNeverAnswered) {
  reports_.Report(proto::EpochFailed());
  reports_.Report(proto::EpochStopped());
  reports_.AnsweredByRun(BatchId(9));
  reports_.AnsweredByCommit(BatchId(9));
  reports_.AnsweredBySnapshot(BatchId(9));
  EXPECT_THAT(Owed(), ElementsAre("failed", "stopped"));
}

}  // namespace
}  // namespace millrace::executor
