// What a session of several shards must do, and a place that outlives executors: one step for all
// rows, and exactly once through epochs in which shards live elsewhere.
#include <algorithm>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/base/failpoint.h"
#include "common/base/steady_time.h"
#include "tests/contract/sink_contract.h"

namespace millrace {
namespace {

using Strings = std::vector<std::string>;

absl::Time Soon() { return SteadyNow() + absl::Seconds(30); }

Strings Sorted(Strings values) {
  std::sort(values.begin(), values.end());
  return values;
}

}  // namespace

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(SharedSessionContract);

void SharedSessionContract::SetUp() {
  SinkContract::SetUp();
  ASSERT_EQ(connector_->traits().scope, SinkTraits::Scope::kExecutor);
}

void SharedSessionContract::TearDown() { SetFailpointHandler(nullptr); }

void SharedSessionContract::CommitAll(const SinkMembers& members, int64_t through) {
  std::vector<SinkMember*> committed;
  for (const auto& member : members) {
    EXPECT_OK(member->Commit(through));
    committed.push_back(member.get());
  }
  life_->Journal(committed, through);
}

TEST_P(SharedSessionContract, RowsOfSeveralShardsBecomeVisibleInOneStep) {
  SinkMembers members = life_->OpenEpoch({{0, 1, 2}});
  for (uint32_t shard = 0; shard < 3; ++shard) {
    WriteRows(*members[0], 1, {absl::StrCat("first of ", shard)}, shard);
  }
  WriteRows(*members[0], 2, {"second of 0"}, 0);
  WriteRows(*members[0], 2, {"second of 2"}, 2);
  size_t looks = 0;
  SetFailpointHandler([&](const char* name) {
    ++looks;
    const size_t visible = place_->VisibleNow().size();
    EXPECT_TRUE(visible == 0 || visible == 5) << visible << " at " << name;
  });
  EXPECT_OK(members[0]->Commit(2));
  SetFailpointHandler(nullptr);
  EXPECT_EQ(looks > 0, !AllFailpoints().empty());
  EXPECT_EQ(Sorted(place_->Visible()),
            (Strings{"first of 0", "first of 1", "first of 2", "second of 0", "second of 2"}));
  EXPECT_EQ(members[0]->mark().written, Epoch(1));
  EXPECT_EQ(members[0]->mark().batch, BatchId(2));
}

TEST_P(SharedSessionContract, ShardsTakeRowsAtTheSameTimeAndBesideACommit) {
  constexpr uint32_t kShards = 4;
  constexpr int kRows = 100;
  SinkMembers members = life_->OpenEpoch({{0, 1, 2, 3}});
  WriteRows(*members[0], 1, {"0 before"}, 0);
  ASSERT_OK(members[0]->session().Prepare(BatchId(1), Soon()));
  life_->context.planned_batch = BatchId(2);  // threads only read it
  std::vector<std::thread> threads;
  for (uint32_t shard = 0; shard < kShards; ++shard) {
    threads.emplace_back([&members, shard] {
      SinkShard& writer = members[0]->shard(shard);
      for (int row = 0; row < kRows; ++row) {
        EXPECT_OK(writer.Write({.id = BatchId(2)}, TextRows({{absl::StrCat(shard, " ", row)}})));
      }
    });
  }
  EXPECT_OK(members[0]->session().Commit(BatchId(1), Soon()));
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(place_->Visible(), Strings{"0 before"});
  CommitAll(members, 2);
  // The rows of a shard are in their order.
  std::vector<Strings> by_shard(kShards);
  Strings visible = place_->Visible();
  for (size_t i = 1; i < visible.size(); ++i) {
    by_shard.at(static_cast<size_t>(visible[i][0] - '0')).push_back(visible[i]);
  }
  for (uint32_t shard = 0; shard < kShards; ++shard) {
    Strings expected;
    for (int row = 0; row < kRows; ++row) {
      expected.push_back(absl::StrCat(shard, " ", row));
    }
    EXPECT_EQ(by_shard[shard], expected);
  }
}

TEST_P(SharedSessionContract, AShardThatJoinsAfterCommitsIsCommittedWithTheOthers) {
  SinkMembers members = life_->OpenEpoch({{0}});
  CommitRows(*members[0], 1, {"one of 0"});
  members[0]->AddShard(1);
  WriteRows(*members[0], 2, {"two of 0"}, 0);
  WriteRows(*members[0], 2, {"two of 1"}, 1);
  CommitAll(members, 2);
  EXPECT_EQ(Sorted(place_->Visible()), (Strings{"one of 0", "two of 0", "two of 1"}));
  members = life_->OpenEpoch({{0, 1}});
  EXPECT_EQ(members[0]->mark().batch, BatchId(2));
}

TEST_P(SharedSessionContract, WithoutRowsTheMarkStays) {
  SinkMembers members = life_->OpenEpoch({{0, 1}});
  EXPECT_EQ(members[0]->mark().written, Epoch(0));
  CommitAll(members, 1);
  EXPECT_EQ(members[0]->mark().written, Epoch(0));
  CommitRows(*members[0], 2, {"two"});
  const SinkMark mark = members[0]->mark();
  CommitAll(members, 3);
  EXPECT_EQ(members[0]->mark().batch, BatchId(2));
  EXPECT_EQ(members[0]->mark().marker, mark.marker);
  members = life_->OpenEpoch({{0, 1}});
  EXPECT_EQ(members[0]->mark().written, Epoch(1)) << "a claim writes no rows";
  EXPECT_EQ(members[0]->mark().batch, BatchId(2));
}

// The shards of the one that has committed live elsewhere now.
TEST_P(SharedSessionContract, OfABatchInDoubtOnlyShardsThatAreNotOutAreWritten) {
  SinkMembers members = life_->OpenEpoch({{0, 1}, {2}});
  WriteRows(*members[0], 1, {"of 0"}, 0);
  WriteRows(*members[0], 1, {"of 1"}, 1);
  WriteRows(*members[1], 1, {"of 2"}, 2);
  ASSERT_OK(members[0]->Commit(1));
  EXPECT_EQ(Sorted(place_->Visible()), (Strings{"of 0", "of 1"}));
  members = life_->OpenEpoch({{2, 1}, {0}});
  WriteRows(*members[0], 1, {"of 2"}, 2);
  WriteRows(*members[0], 1, {"of 1"}, 1);
  WriteRows(*members[1], 1, {"of 0"}, 0);
  CommitAll(members, 1);
  EXPECT_EQ(Sorted(place_->Visible()), (Strings{"of 0", "of 1", "of 2"}));
  WriteRows(*members[1], 2, {"two of 0"}, 0);
  CommitAll(members, 2);
  EXPECT_EQ(Sorted(place_->Visible()), (Strings{"of 0", "of 1", "of 2", "two of 0"}));
}

// Each epoch commits one of its members, and the journal hears of none.
TEST_P(SharedSessionContract, WhatIsOutStaysOutThroughEpochsThatDieInTheMidst) {
  SinkMembers members = life_->OpenEpoch({{0}, {1}, {2}});
  for (uint32_t shard = 0; shard < 3; ++shard) {
    WriteRows(*members[shard], 1, {absl::StrCat("of ", shard)}, shard);
  }
  ASSERT_OK(members[0]->Commit(1));
  members = life_->OpenEpoch({{1}, {2, 0}});
  WriteRows(*members[0], 1, {"of 1"}, 1);
  WriteRows(*members[1], 1, {"of 2"}, 2);
  WriteRows(*members[1], 1, {"of 0"}, 0);
  ASSERT_OK(members[0]->Commit(1));
  EXPECT_EQ(Sorted(place_->Visible()), (Strings{"of 0", "of 1"}));
  members = life_->OpenEpoch({{0, 1, 2}});  // writes nothing
  members = life_->OpenEpoch({{2}, {0}, {1}});
  WriteRows(*members[0], 1, {"of 2"}, 2);
  WriteRows(*members[1], 1, {"of 0"}, 0);
  WriteRows(*members[2], 1, {"of 1"}, 1);
  CommitAll(members, 1);
  EXPECT_EQ(Sorted(place_->Visible()), (Strings{"of 0", "of 1", "of 2"}));
}

// An epoch may begin, claim some places, and never open: what those before it have written counts
// as before.
TEST_P(SharedSessionContract, AClaimOfAnEpochThatNeverOpensHidesNothing) {
  SinkMembers members = life_->OpenEpoch({{0}});
  WriteRows(*members[0], 1, {"one"});
  ASSERT_OK(members[0]->Commit(1));
  std::vector<SinkContext> contexts;
  for (int epoch = 2; epoch <= 4; ++epoch) {
    life_->BeginEpoch();
    contexts.push_back(life_->ContextOf(0));
    const auto session = life_->Claim(contexts.back());
    ASSERT_OK(session);
    EXPECT_EQ((*session)->mark().written, Epoch(1));
    EXPECT_EQ((*session)->mark().batch, BatchId(1));
  }
  EXPECT_EQ(life_->Claim(contexts[1]).status().code(), absl::StatusCode::kAborted);
  members = life_->OpenEpoch({{0}});
  WriteRows(*members[0], 1, {"one"});
  CommitRows(*members[0], 2, {"two"});
  EXPECT_EQ(place_->Visible(), (Strings{"one", "two"}));
}

TEST_P(SharedSessionContract, ALowerEpochIsRefusedWhateverShardsItHad) {
  SinkMembers lower = life_->OpenEpoch({{0, 1}, {2}});
  const SinkContext zero = life_->ContextOf(0);
  const SinkContext one = life_->ContextOf(1);
  WriteRows(*lower[0], 1, {"lower"}, 1);
  WriteRows(*lower[1], 1, {"lower"}, 2);
  SinkMembers higher = life_->OpenEpoch({{2, 1, 0}});
  EXPECT_EQ(lower[0]->Commit(1).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(lower[1]->Commit(1).code(), absl::StatusCode::kAborted) << "nobody has its place now";
  for (uint32_t shard = 0; shard < 3; ++shard) {
    WriteRows(*higher[0], 1, {absl::StrCat("higher ", shard)}, shard);
  }
  CommitAll(higher, 1);
  EXPECT_EQ(Sorted(place_->Visible()), (Strings{"higher 0", "higher 1", "higher 2"}));
  EXPECT_EQ(life_->Claim(zero).status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(life_->Claim(one).status().code(), absl::StatusCode::kAborted);
}

// Readers would wait for it: there is no session that writes there again.
TEST_P(SharedSessionContract, TheClaimOfAPlaceThatNobodyHasEndsWhatWasLeftOpen) {
  life_->context.memory = std::make_shared<HeldMemory>(100000);
  SinkMembers lower = life_->OpenEpoch({{0}, {1}});
  WriteRows(*lower[0], 1, {"of 0"}, 0);
  ASSERT_OK(WriteMany(*lower[1], 1, 1));
  ASSERT_OK(lower[0]->Commit(1));
  SinkMembers members = life_->OpenEpoch({{0, 1}});
  EXPECT_EQ(place_->Visible(), Strings{"of 0"});
  EXPECT_EQ(lower[1]->Commit(1).code(), absl::StatusCode::kAborted);
  lower.clear();
  WriteRows(*members[0], 1, {"of 0"}, 0);
  WriteRows(*members[0], 1, {"of 1"}, 1);
  CommitAll(members, 1);
  EXPECT_EQ(place_->Visible(), (Strings{"of 0", "of 1"}));
}

}  // namespace millrace
