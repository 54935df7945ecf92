#include "tests/contract/sink_contract.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/failure_kind.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"

namespace millrace {
namespace {

using Strings = std::vector<std::string>;

absl::Time Soon() { return SteadyNow() + absl::Seconds(30); }

Strings Sorted(Strings values) {
  std::sort(values.begin(), values.end());
  return values;
}

const char kLong[] = "a value that is too long to be held inside its view";

constexpr int64_t kMemoryBytes = 100000;

// The rows that WriteMany writes.
Strings Many() {
  Strings values;
  values.reserve(10000);
  for (int i = 0; i < 10000; ++i) {
    values.push_back(absl::StrCat(kLong, " ", i));
  }
  return values;
}

Strings operator+(Strings a, const Strings& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(SinkContract);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(LargeBatchContract);

void SinkContract::SetUp() {
  place_ = GetParam().make();
  connector_ = *Connectors().Sink(place_->sink().connector());
  life_ = std::make_unique<SinkLife>(connector_, place_->sink());
  ASSERT_OK(connector_->Validate(place_->sink()));
  ASSERT_OK(connector_->Probe(place_->sink(), absl::Seconds(30)));
  ASSERT_FALSE(connector_->traits().gathered);
}

void LargeBatchContract::SetUp() {
  SinkContract::SetUp();
  life_->context.memory = std::make_shared<HeldMemory>(kMemoryBytes);
}

void SinkContract::WriteRows(SinkMember& member, int64_t batch, const Strings& values,
                             uint32_t shard) {
  // The batch is gone when Write returns: what the session keeps it must have copied.
  EXPECT_OK(member.Write(batch, TextRows({values}), shard));
}

void SinkContract::Commit(SinkMember& member, int64_t through) {
  EXPECT_OK(life_->CommitAndJournal(&member, through));
}

void SinkContract::CommitRows(SinkMember& member, int64_t batch, const Strings& values) {
  WriteRows(member, batch, values);
  Commit(member, batch);
  EXPECT_EQ(member.mark().batch, BatchId(batch));
}

absl::Status SinkContract::WriteMany(SinkMember& member, int64_t batch, uint32_t shard) {
  const Strings values = Many();
  for (auto first = values.begin(); first != values.end(); first += 100) {
    RETURN_IF_ERROR(member.Write(batch, TextRows({{first, first + 100}}), shard));
    EXPECT_LE(life_->context.memory->bytes(), kMemoryBytes);
  }
  return absl::OkStatus();
}

TEST_P(SinkContract, ShowsRowsOnlyWhenCommitted) {
  auto member = life_->Open();
  WriteRows(*member, 1, {"one", kLong});
  WriteRows(*member, 1, {"three"});
  ASSERT_OK(member->session().Prepare(BatchId(1), Soon()));
  EXPECT_TRUE(place_->Visible().empty());
  Commit(*member, 1);
  EXPECT_EQ(place_->Visible(), (Strings{"one", kLong, "three"}));
}

TEST_P(SinkContract, CommitsAllBatchesUpToOne) {
  auto member = life_->Open();
  WriteRows(*member, 1, {"one"});
  WriteRows(*member, 3, {"three"});  // nothing in 2
  WriteRows(*member, 4, {"four"});
  for (int64_t batch = 1; batch <= 4; ++batch) {
    ASSERT_OK(member->session().Prepare(BatchId(batch), Soon()));
  }
  Commit(*member, 3);
  EXPECT_EQ(place_->Visible(), (Strings{"one", "three"}));
  member = life_->Open();
  EXPECT_EQ(member->mark().batch, BatchId(3));
  CommitRows(*member, 4, {"four again"});
  EXPECT_EQ(place_->Visible(), (Strings{"one", "three", "four again"}));
}

TEST_P(SinkContract, AHigherEpochSilencesALowerOne) {
  auto lower = life_->Open();
  const SinkContext lower_context = life_->ContextOf(0);
  WriteRows(*lower, 1, {"lower"});
  ASSERT_OK(lower->session().Prepare(BatchId(1), Soon()));
  auto higher = life_->Open();
  EXPECT_EQ(higher->mark().batch, BatchId(0));
  // A place that keeps itself who has claimed it refuses the lower one. For other places the driver
  // does, which takes no marker of it.
  if (life_->shared()) {
    EXPECT_EQ(lower->Commit(1).code(), absl::StatusCode::kAborted);
    EXPECT_EQ(life_->Claim(lower_context).status().code(), absl::StatusCode::kAborted);
    higher = life_->Open();  // whom the lower one's attempt has stopped
  }
  CommitRows(*higher, 1, {"higher"});
  EXPECT_EQ(place_->Visible(), Strings{"higher"});
}

TEST_P(SinkContract, CommittingTwiceWritesOnce) {
  auto member = life_->Open();
  CommitRows(*member, 1, {"one"});
  const std::string first = member->mark().marker;
  Commit(*member, 1);
  EXPECT_EQ(member->mark().marker, first);
  EXPECT_EQ(place_->Visible(), Strings{"one"});
}

TEST_P(SinkContract, ABatchIsWrittenWhileTheOneBeforeIsCommitted) {
  auto member = life_->Open();
  WriteRows(*member, 1, {"one"});
  ASSERT_OK(member->session().Prepare(BatchId(1), Soon()));
  std::thread committer([&] { EXPECT_OK(member->session().Commit(BatchId(1), Soon())); });
  for (int i = 0; i < 100; ++i) {
    WriteRows(*member, 2, {absl::StrCat("two ", i)});
  }
  committer.join();
  ASSERT_OK(member->session().Settle(BatchId(1), Soon()));
  EXPECT_EQ(place_->Visible(), Strings{"one"});
  Commit(*member, 2);
  EXPECT_EQ(place_->Visible().size(), 101u);
}

TEST_P(SinkContract, WhatIsVisibleIsNotWrittenAgain) {
  {
    auto member = life_->Open();
    CommitRows(*member, 1, {"one"});
    WriteRows(*member, 2, {"two"});
    ASSERT_OK(member->Commit(2));
    // The journal has heard that a place of one shard has committed, and cannot have heard it of
    // another: all that is journaled there is the claim.
    if (!life_->shared()) {
      life_->Journal({member.get()}, 2);
    }
  }
  auto member = life_->Open();
  EXPECT_EQ(member->mark().batch, BatchId(2));
  WriteRows(*member, 2, {"two"});
  Commit(*member, 2);
  CommitRows(*member, 3, {"three"});
  EXPECT_EQ(place_->Visible(), (Strings{"one", "two", "three"}));
}

TEST_P(SinkContract, AMarkerTellsOfEachCommitWithRows) {
  auto member = life_->Open();
  CommitRows(*member, 1, {"one"});
  const std::string first = member->mark().marker;
  CommitRows(*member, 2, {"two"});
  EXPECT_NE(member->mark().marker, first);
}

TEST_P(SinkContract, WhatWasNotCommittedIsGone) {
  {
    auto member = life_->Open();
    CommitRows(*member, 1, {"one"});
    WriteRows(*member, 2, {"lost"});
    ASSERT_OK(member->session().Prepare(BatchId(2), Soon()));
  }
  EXPECT_EQ(place_->Visible(), Strings{"one"});
  auto member = life_->Open();
  CommitRows(*member, 2, {"two"});
  EXPECT_EQ(place_->Visible(), (Strings{"one", "two"}));
}

TEST_P(SinkContract, EmptyBatchesAreCommitted) {
  auto member = life_->Open();
  Commit(*member, 1);
  EXPECT_TRUE(place_->Visible().empty());
  CommitRows(*member, 2, {"two"});
  Commit(*member, 3);
  member = life_->Open();
  CommitRows(*member, 4, {"four"});
  EXPECT_EQ(place_->Visible(), (Strings{"two", "four"}));
}

TEST_P(SinkContract, WritesSelectedRowsOnly) {
  auto member = life_->Open();
  Batch rows = TextRows({{"a", "b", "c", "d"}});
  rows.set_selection(std::make_shared<const std::vector<uint32_t>>(std::vector<uint32_t>{1, 3}));
  ASSERT_OK(member->Write(1, rows));
  Commit(*member, 1);
  EXPECT_EQ(place_->Visible(), (Strings{"b", "d"}));
}

TEST_P(SinkContract, SessionsDoNotDisturbEachOther) {
  SinkMembers members = life_->OpenEpoch({{0}, {1}});
  WriteRows(*members[0], 1, {"zero"}, 0);
  WriteRows(*members[1], 1, {"one"}, 1);
  ASSERT_OK(members[1]->Commit(1));
  ASSERT_OK(members[1]->session().Settle(BatchId(1), Soon()));
  EXPECT_EQ(place_->Visible(), Strings{"one"});
  ASSERT_OK(members[0]->Commit(1));
  life_->Journal({members[0].get(), members[1].get()}, 1);
  ASSERT_OK(members[0]->session().Settle(BatchId(1), Soon()));
  members = life_->OpenEpoch({{0}, {1}});
  WriteRows(*members[0], 2, {"two"}, 0);
  ASSERT_OK(members[0]->Commit(2));
  ASSERT_OK(members[0]->session().Settle(BatchId(2), Soon()));
  EXPECT_EQ(Sorted(place_->Visible()), (Strings{"one", "two", "zero"}));
}

TEST_P(SinkContract, HoldsNoMoreThanItMay) {
  life_->context.memory = std::make_shared<HeldMemory>(kMemoryBytes);
  life_->context.ended = [] { return true; };  // so that no Write waits
  auto member = life_->Open();
  WriteRows(*member, 1, {"one"});  // before its commit nothing of the next batch may leave
  absl::Status status = WriteMany(*member, 2);
  status = status.ok() ? member->session().Prepare(BatchId(2), Soon()) : status;
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ(FailureKindOf(status), FailureKind::kTooLarge) << "a smaller batch may do";
  const SinkSession& session = member->session();
  EXPECT_EQ(life_->context.memory->bytes(), session.held_bytes());
  EXPECT_EQ(session.held_bytes_of(BatchId(1)) + session.held_bytes_of(BatchId(2)),
            session.held_bytes());
  member.reset();
  EXPECT_EQ(life_->context.memory->bytes(), 0) << "given back";
}

TEST_P(LargeBatchContract, ALargeBatchLeavesMemoryAndIsHiddenUntilItsCommit) {
  auto member = life_->Open();
  CommitRows(*member, 1, {"one"});
  ASSERT_OK(WriteMany(*member, 2));
  EXPECT_EQ(life_->context.memory->bytes(), member->session().held_bytes());
  EXPECT_GT(member->session().held_bytes_of(BatchId(2)), 5 * kMemoryBytes)
      << "what it would have needed";
  WriteRows(*member, 3, {"three"});
  EXPECT_EQ(place_->VisibleNow(), Strings{"one"});
  Commit(*member, 3);
  const Strings all = Strings{"one"} + Many() + Strings{"three"};
  EXPECT_EQ(place_->Visible(), all);
  EXPECT_EQ(life_->context.memory->bytes(), 0);
  member = life_->Open();
  EXPECT_EQ(member->mark().batch, BatchId(3));
  CommitRows(*member, 4, {"four"});
  EXPECT_EQ(place_->Visible(), all + Strings{"four"});
}

TEST_P(LargeBatchContract, ALargeBatchThatIsWithdrawnIsGone) {
  auto member = life_->Open();
  CommitRows(*member, 1, {"one"});
  ASSERT_OK(WriteMany(*member, 2));
  member.reset();
  EXPECT_EQ(life_->context.memory->bytes(), 0);
  EXPECT_EQ(place_->Visible(), Strings{"one"}) << "and nobody waits for it";
  member = life_->Open();
  CommitRows(*member, 2, {"two"});
  EXPECT_EQ(place_->Visible(), (Strings{"one", "two"}));
}

TEST_P(LargeBatchContract, ALargeBatchOfASessionThatDiedIsWrittenAgain) {
  auto dead = life_->Open();
  CommitRows(*dead, 1, {"one"});
  ASSERT_OK(WriteMany(*dead, 2));
  auto member = life_->Open();
  dead.reset();  // a zombie's end
  EXPECT_EQ(member->mark().batch, BatchId(1));
  ASSERT_OK(WriteMany(*member, 2));
  Commit(*member, 2);
  EXPECT_EQ(place_->Visible(), Strings{"one"} + Many());
}

TEST_P(LargeBatchContract, ALargeBatchOfWhichTheJournalHasNotHeardIsNotOutTwice) {
  auto dead = life_->Open();
  CommitRows(*dead, 1, {"one"});
  ASSERT_OK(WriteMany(*dead, 2));
  ASSERT_OK(dead->Commit(2));
  auto member = life_->Open();
  ASSERT_OK(WriteMany(*member, 2));
  Commit(*member, 2);
  EXPECT_EQ(place_->Visible(), Strings{"one"} + Many());
}

TEST_P(LargeBatchContract, ALargeBatchWaitsForTheCommitOfTheOneBefore) {
  auto member = life_->Open();
  WriteRows(*member, 1, {"one"});
  ASSERT_OK(member->session().Prepare(BatchId(1), Soon()));
  std::thread later([&] { EXPECT_OK(WriteMany(*member, 2)); });
  const absl::Time deadline = Soon();
  while (life_->context.memory->bytes() < kMemoryBytes * 4 / 5 && SteadyNow() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_OK(member->session().Commit(BatchId(1), Soon()));
  later.join();
  life_->Journal({member.get()}, 1);
  EXPECT_OK(member->session().Settle(BatchId(1), Soon()));
  EXPECT_EQ(place_->VisibleNow(), Strings{"one"});
  Commit(*member, 2);
  EXPECT_EQ(place_->Visible(), Strings{"one"} + Many());
}

TEST_P(LargeBatchContract, ABatchWithoutRowsIsCommittedBeforeALargeOneThatHasLeft) {
  auto member = life_->Open();
  ASSERT_OK(member->session().Prepare(BatchId(1), Soon()));
  ASSERT_OK(WriteMany(*member, 2));
  Commit(*member, 1);
  EXPECT_TRUE(place_->VisibleNow().empty());
  Commit(*member, 2);
  EXPECT_EQ(place_->Visible(), Many());
}

// The tests from here on are about records and their meaning.
TEST_P(SinkContract, UpsertsAndDeletesByKey) {
  if (!connector_->traits().accepts_upsert) {
    proto::Sink upsert = place_->sink();
    upsert.set_mode(proto::SINK_UPSERT);
    upsert.add_key_columns(0);
    EXPECT_EQ(connector_->Validate(upsert).code(), absl::StatusCode::kInvalidArgument);
    return;
  }
  life_->table = place_->UpsertSink();
  ASSERT_OK(connector_->Validate(life_->table));
  auto member = life_->Open();
  ASSERT_OK(member->Write(1, TextRows({{"k1", "k2"}, {"v1", "v2"}})));
  Commit(*member, 1);
  Batch rows = TextRows({{"k1", "k2"}, {"v1", "new"}});
  rows.set_weights(Weights({-1, 1}));
  ASSERT_OK(member->Write(2, rows));
  Commit(*member, 2);
  EXPECT_EQ(Sorted(place_->Visible()), (Strings{"k1 deleted", "k1=v1", "k2=new", "k2=v2"}));
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
  life_->BeginEpoch();
  SinkContext context = life_->ContextOf(0);
  context.marker = "nonsense";
  EXPECT_EQ(life_->Claim(context).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace millrace
