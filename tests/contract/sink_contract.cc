#include "tests/contract/sink_contract.h"

#include <algorithm>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/failure_kind.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"

namespace millrace {
namespace {

constexpr int64_t kTimeUs = 1700000000000000;

absl::Time Soon() { return SteadyNow() + absl::Seconds(30); }

std::vector<std::string> Sorted(std::vector<std::string> values) {
  std::sort(values.begin(), values.end());
  return values;
}

const char kLong[] = "a value that is too long to be held inside its view";

constexpr int64_t kMemoryBytes = 100000;

// The rows that WriteMany writes.
std::vector<std::string> Many() {
  std::vector<std::string> values;
  values.reserve(10000);
  for (int i = 0; i < 10000; ++i) {
    values.push_back(absl::StrCat(kLong, " ", i));
  }
  return values;
}

std::vector<std::string> operator+(std::vector<std::string> a, const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(SinkContract);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(LargeBatchContract);

void SinkContract::SetUp() {
  place_ = GetParam().make();
  connector_ = *Connectors().Sink(place_->sink().connector());
  context_.job_name = "contract";
  static int next = 0;  // every test is a job of its own
  context_.incarnation =
      absl::StrCat("0f0e0d0c-0000-4000-8000-", absl::Dec(next++, absl::kZeroPad12));
  ASSERT_OK(connector_->Validate(place_->sink()));
  ASSERT_OK(connector_->Probe(place_->sink(), absl::Seconds(30)));
  ASSERT_FALSE(connector_->traits().gathered);
}

void LargeBatchContract::SetUp() {
  SinkContract::SetUp();
  context_.memory = std::make_shared<HeldMemory>(kMemoryBytes);
}

std::unique_ptr<SinkWriter> SinkContract::Open(const proto::Sink& sink, const std::string& marker,
                                               uint32_t shard) {
  context_.epoch = context_.epoch.Next();
  context_.marker = marker;
  context_.shard = shard;
  auto writer = connector_->CreateWriter(sink, context_);
  EXPECT_OK(writer);
  return *std::move(writer);
}

std::unique_ptr<SinkWriter> SinkContract::Open(const std::string& marker, uint32_t shard) {
  return Open(place_->sink(), marker, shard);
}

void SinkContract::WriteRows(SinkWriter* writer, int64_t batch,
                             const std::vector<std::string>& values) {
  context_.planned_batch = std::max(context_.planned_batch, BatchId(batch));
  // The batch is gone when Write returns: what the writer keeps it must have copied.
  EXPECT_OK(writer->Write(BatchId(batch), kTimeUs, TextRows({values})));
}

std::string SinkContract::Commit(SinkWriter* writer, int64_t through) {
  const BatchId batch(through);
  EXPECT_OK(writer->Prepare(batch, Soon()));
  auto marker = writer->Commit(batch, Soon());
  EXPECT_OK(marker);
  EXPECT_OK(writer->Settle(batch, Soon()));
  EXPECT_EQ(writer->committed(), batch);
  context_.planned_batch = std::max(context_.planned_batch, batch);
  context_.committed_batch = std::max(context_.committed_batch, batch);
  return marker.ok() ? *marker : "";
}

std::string SinkContract::CommitRows(SinkWriter* writer, int64_t batch,
                                     const std::vector<std::string>& values) {
  WriteRows(writer, batch, values);
  return Commit(writer, batch);
}

absl::Status SinkContract::WriteMany(SinkWriter* writer, int64_t batch) {
  context_.planned_batch = std::max(context_.planned_batch, BatchId(batch));
  const std::vector<std::string> values = Many();
  for (auto first = values.begin(); first != values.end(); first += 100) {
    RETURN_IF_ERROR(writer->Write(BatchId(batch), kTimeUs, TextRows({{first, first + 100}})));
    EXPECT_LE(context_.memory->bytes(), kMemoryBytes);
  }
  return absl::OkStatus();
}

TEST_P(SinkContract, ShowsRowsOnlyWhenCommitted) {
  auto writer = Open("");
  WriteRows(writer.get(), 1, {"one", kLong});
  WriteRows(writer.get(), 1, {"three"});
  ASSERT_OK(writer->Prepare(BatchId(1), Soon()));
  EXPECT_TRUE(place_->Visible().empty());
  Commit(writer.get(), 1);
  EXPECT_EQ(place_->Visible(), (std::vector<std::string>{"one", kLong, "three"}));
}

TEST_P(SinkContract, CommitsAllBatchesUpToOne) {
  auto writer = Open("");
  WriteRows(writer.get(), 1, {"one"});
  WriteRows(writer.get(), 3, {"three"});  // nothing in 2
  WriteRows(writer.get(), 4, {"four"});
  for (int64_t batch = 1; batch <= 4; ++batch) {
    ASSERT_OK(writer->Prepare(BatchId(batch), Soon()));
  }
  std::string marker = Commit(writer.get(), 3);
  EXPECT_EQ(place_->Visible(), (std::vector<std::string>{"one", "three"}));
  writer = Open(marker);
  EXPECT_EQ(writer->committed(), BatchId(3));
  CommitRows(writer.get(), 4, {"four again"});
  EXPECT_EQ(place_->Visible(), (std::vector<std::string>{"one", "three", "four again"}));
}

TEST_P(SinkContract, AHigherEpochSilencesALowerOne) {
  auto lower = Open("");
  const SinkContext lower_context = context_;
  WriteRows(lower.get(), 1, {"lower"});
  ASSERT_OK(lower->Prepare(BatchId(1), Soon()));
  auto higher = Open(lower->marker());
  EXPECT_EQ(higher->committed(), BatchId(0));
  if (place_->keeps_marker()) {
    EXPECT_EQ(lower->Commit(BatchId(1), Soon()).status().code(), absl::StatusCode::kAborted);
    EXPECT_EQ(connector_->CreateWriter(place_->sink(), lower_context).status().code(),
              absl::StatusCode::kAborted);
    higher = Open(higher->marker());  // whom the lower one's attempt has stopped
  }
  CommitRows(higher.get(), 1, {"higher"});
  EXPECT_EQ(place_->Visible(), std::vector<std::string>{"higher"});
}

TEST_P(SinkContract, CommittingTwiceWritesOnce) {
  auto writer = Open("");
  std::string first = CommitRows(writer.get(), 1, {"one"});
  EXPECT_EQ(Commit(writer.get(), 1), first);
  EXPECT_EQ(place_->Visible(), std::vector<std::string>{"one"});
}

TEST_P(SinkContract, ABatchIsWrittenWhileTheOneBeforeIsCommitted) {
  auto writer = Open("");
  WriteRows(writer.get(), 1, {"one"});
  ASSERT_OK(writer->Prepare(BatchId(1), Soon()));
  std::thread committer([&] { EXPECT_OK(writer->Commit(BatchId(1), Soon())); });
  for (int i = 0; i < 100; ++i) {
    WriteRows(writer.get(), 2, {absl::StrCat("two ", i)});
  }
  committer.join();
  ASSERT_OK(writer->Settle(BatchId(1), Soon()));
  EXPECT_EQ(place_->Visible(), std::vector<std::string>{"one"});
  Commit(writer.get(), 2);
  EXPECT_EQ(place_->Visible().size(), 101u);
}

TEST_P(SinkContract, AMarkerKeepsAReplayFromWritingAgain) {
  std::string marker;
  {
    auto writer = Open("");
    CommitRows(writer.get(), 1, {"one"});
    marker = CommitRows(writer.get(), 2, {"two"});
  }
  auto writer = Open(marker);
  EXPECT_EQ(writer->committed(), BatchId(2));
  // Recovery replays both batches and commits them again.
  WriteRows(writer.get(), 1, {"one"});
  ASSERT_OK(writer->Prepare(BatchId(1), Soon()));
  ASSERT_OK(writer->Commit(BatchId(1), Soon()));
  marker = CommitRows(writer.get(), 2, {"two"});
  EXPECT_EQ(place_->Visible(), (std::vector<std::string>{"one", "two"}));
  EXPECT_NE(CommitRows(writer.get(), 3, {"three"}), marker);
  EXPECT_EQ(place_->Visible(), (std::vector<std::string>{"one", "two", "three"}));
}

TEST_P(SinkContract, WhatWasNotCommittedIsGone) {
  std::string marker;
  {
    auto writer = Open("");
    marker = CommitRows(writer.get(), 1, {"one"});
    WriteRows(writer.get(), 2, {"lost"});
    ASSERT_OK(writer->Prepare(BatchId(2), Soon()));
  }
  EXPECT_EQ(place_->Visible(), std::vector<std::string>{"one"});
  auto writer = Open(marker);
  CommitRows(writer.get(), 2, {"two"});
  EXPECT_EQ(place_->Visible(), (std::vector<std::string>{"one", "two"}));
}

TEST_P(SinkContract, EmptyBatchesAreCommitted) {
  auto writer = Open("");
  Commit(writer.get(), 1);
  EXPECT_TRUE(place_->Visible().empty());
  std::string marker = CommitRows(writer.get(), 2, {"two"});
  marker = Commit(writer.get(), 3);
  writer = Open(marker);
  WriteRows(writer.get(), 2, {"two"});
  WriteRows(writer.get(), 4, {"four"});
  Commit(writer.get(), 4);
  EXPECT_EQ(place_->Visible(), (std::vector<std::string>{"two", "four"}));
}

TEST_P(SinkContract, WritesSelectedRowsOnly) {
  auto writer = Open("");
  Batch rows = TextRows({{"a", "b", "c", "d"}});
  rows.set_selection(std::make_shared<const std::vector<uint32_t>>(std::vector<uint32_t>{1, 3}));
  ASSERT_OK(writer->Write(BatchId(1), kTimeUs, rows));
  Commit(writer.get(), 1);
  EXPECT_EQ(place_->Visible(), (std::vector<std::string>{"b", "d"}));
}

TEST_P(SinkContract, ShardsDoNotDisturbEachOther) {
  auto zero = Open("", 0);
  auto one = Open("", 1);
  WriteRows(zero.get(), 1, {"zero"});
  WriteRows(one.get(), 1, {"one"});
  Commit(one.get(), 1);
  EXPECT_EQ(place_->Visible(), std::vector<std::string>{"one"});
  std::string marker = Commit(zero.get(), 1);
  zero = Open(marker, 0);
  CommitRows(zero.get(), 2, {"two"});
  EXPECT_EQ(Sorted(place_->Visible()), (std::vector<std::string>{"one", "two", "zero"}));
}

TEST_P(SinkContract, HoldsNoMoreThanItMay) {
  context_.memory = std::make_shared<HeldMemory>(kMemoryBytes);
  context_.ended = [] { return true; };  // so that no Write waits
  auto writer = Open("");
  WriteRows(writer.get(), 1, {"one"});  // before its commit nothing of the next batch may leave
  absl::Status status = WriteMany(writer.get(), 2);
  status = status.ok() ? writer->Prepare(BatchId(2), Soon()) : status;
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ(FailureKindOf(status), FailureKind::kTooLarge) << "a smaller batch may do";
  EXPECT_EQ(context_.memory->bytes(), writer->held_bytes());
  EXPECT_EQ(writer->held_bytes_of(BatchId(1)) + writer->held_bytes_of(BatchId(2)),
            writer->held_bytes());
  writer.reset();
  EXPECT_EQ(context_.memory->bytes(), 0) << "given back";
}

TEST_P(LargeBatchContract, ALargeBatchLeavesMemoryAndIsHiddenUntilItsCommit) {
  auto writer = Open("");
  CommitRows(writer.get(), 1, {"one"});
  ASSERT_OK(WriteMany(writer.get(), 2));
  EXPECT_EQ(context_.memory->bytes(), writer->held_bytes());
  EXPECT_GT(writer->held_bytes_of(BatchId(2)), 5 * kMemoryBytes) << "what it would have needed";
  WriteRows(writer.get(), 3, {"three"});
  EXPECT_EQ(place_->VisibleNow(), std::vector<std::string>{"one"});
  std::string marker = Commit(writer.get(), 3);
  const std::vector<std::string> all =
      std::vector<std::string>{"one"} + Many() + std::vector<std::string>{"three"};
  EXPECT_EQ(place_->Visible(), all);
  EXPECT_EQ(context_.memory->bytes(), 0);
  writer = Open(marker);
  EXPECT_EQ(writer->committed(), BatchId(3));
  CommitRows(writer.get(), 4, {"four"});
  EXPECT_EQ(place_->Visible(), all + std::vector<std::string>{"four"});
}

TEST_P(LargeBatchContract, ALargeBatchThatIsWithdrawnIsGone) {
  auto writer = Open("");
  std::string marker = CommitRows(writer.get(), 1, {"one"});
  ASSERT_OK(WriteMany(writer.get(), 2));
  writer.reset();
  EXPECT_EQ(context_.memory->bytes(), 0);
  EXPECT_EQ(place_->Visible(), std::vector<std::string>{"one"}) << "and nobody waits for it";
  writer = Open(marker);
  CommitRows(writer.get(), 2, {"two"});
  EXPECT_EQ(place_->Visible(), (std::vector<std::string>{"one", "two"}));
}

TEST_P(LargeBatchContract, ALargeBatchOfAWriterThatDiedIsWrittenAgain) {
  auto dead = Open("");
  std::string marker = CommitRows(dead.get(), 1, {"one"});
  ASSERT_OK(WriteMany(dead.get(), 2));
  auto writer = Open(marker);
  dead.reset();  // a zombie's end
  EXPECT_EQ(writer->committed(), BatchId(1));
  ASSERT_OK(WriteMany(writer.get(), 2));
  Commit(writer.get(), 2);
  EXPECT_EQ(place_->Visible(), std::vector<std::string>{"one"} + Many());
}

TEST_P(LargeBatchContract, ALargeBatchOfWhichTheJournalHasNotHeardIsNotOutTwice) {
  auto dead = Open("");
  std::string marker = CommitRows(dead.get(), 1, {"one"});
  ASSERT_OK(WriteMany(dead.get(), 2));
  ASSERT_OK(dead->Commit(BatchId(2), Soon()));
  auto writer = Open(marker);
  ASSERT_OK(WriteMany(writer.get(), 2));
  Commit(writer.get(), 2);
  EXPECT_EQ(place_->Visible(), std::vector<std::string>{"one"} + Many());
}

TEST_P(LargeBatchContract, ALargeBatchWaitsForTheCommitOfTheOneBefore) {
  auto writer = Open("");
  WriteRows(writer.get(), 1, {"one"});
  ASSERT_OK(writer->Prepare(BatchId(1), Soon()));
  context_.planned_batch = BatchId(2);
  std::thread later([&] { EXPECT_OK(WriteMany(writer.get(), 2)); });
  const absl::Time deadline = Soon();
  while (context_.memory->bytes() < kMemoryBytes * 4 / 5 && SteadyNow() < deadline) {
    std::this_thread::yield();
  }
  Commit(writer.get(), 1);
  later.join();
  EXPECT_EQ(place_->VisibleNow(), std::vector<std::string>{"one"});
  Commit(writer.get(), 2);
  EXPECT_EQ(place_->Visible(), std::vector<std::string>{"one"} + Many());
}

TEST_P(LargeBatchContract, ABatchWithoutRowsIsCommittedBeforeALargeOneThatHasLeft) {
  auto writer = Open("");
  ASSERT_OK(writer->Prepare(BatchId(1), Soon()));
  ASSERT_OK(WriteMany(writer.get(), 2));
  Commit(writer.get(), 1);
  EXPECT_TRUE(place_->VisibleNow().empty());
  Commit(writer.get(), 2);
  EXPECT_EQ(place_->Visible(), Many());
}

// The tests from here on are about records and their meaning.
TEST_P(SinkContract, UpsertsAndDeletesByKey) {
  proto::Sink sink = place_->UpsertSink();
  if (!connector_->traits().accepts_upsert) {
    proto::Sink upsert = place_->sink();
    upsert.set_mode(proto::SINK_UPSERT);
    upsert.add_key_columns(0);
    EXPECT_EQ(connector_->Validate(upsert).code(), absl::StatusCode::kInvalidArgument);
    return;
  }
  ASSERT_OK(connector_->Validate(sink));
  auto writer = Open(sink, "");
  Batch rows = TextRows({{"k1", "k2"}, {"v1", "v2"}});
  ASSERT_OK(writer->Write(BatchId(1), kTimeUs, rows));
  Commit(writer.get(), 1);
  rows = TextRows({{"k1", "k2"}, {"v1", "new"}});
  rows.set_weights(Weights({-1, 1}));
  ASSERT_OK(writer->Write(BatchId(2), kTimeUs, rows));
  Commit(writer.get(), 2);
  EXPECT_EQ(Sorted(place_->Visible()),
            (std::vector<std::string>{"k1 deleted", "k1=v1", "k2=new", "k2=v2"}));
}

TEST_P(SinkContract, SaysWhetherItTakesChanges) {
  proto::Sink sink = place_->sink();
  sink.set_mode(proto::SINK_CHANGES);
  EXPECT_EQ(connector_->Validate(sink).ok(), connector_->traits().accepts_changes);
}

TEST_P(SinkContract, RefusesWhatItDoesNotKnow) {
  proto::Sink sink = place_->sink();
  (*sink.mutable_options())["no_such_option"] = "1";
  absl::Status status = connector_->Validate(sink);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(status.message(), "no_such_option")) << status;
}

TEST_P(SinkContract, RefusesAMarkerOfAnotherKind) {
  context_.marker = "nonsense";
  EXPECT_EQ(connector_->CreateWriter(place_->sink(), context_).status().code(),
            absl::StatusCode::kDataLoss);
}

}  // namespace millrace
