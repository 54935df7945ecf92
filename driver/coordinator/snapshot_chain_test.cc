#include "driver/coordinator/snapshot_chain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace millrace::driver {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kIntervalUs = 1000;
constexpr int64_t kTimeoutUs = 100;

proto::StateIdentity Operator(const std::string& name, const std::string& shape = "") {
  proto::StateIdentity identity;
  identity.set_name(name);
  identity.set_shape(shape);
  return identity;
}

SnapshotChain ChainOf(std::vector<proto::StateIdentity> operators = {Operator("count")}) {
  return SnapshotChain({"1.0", 4096, std::move(operators)}, kIntervalUs, kTimeoutUs);
}

proto::SnapshotWritten Written(int64_t batch, const std::string& file, uint64_t bytes = 1) {
  proto::SnapshotWritten written;
  written.set_batch(batch);
  if (!file.empty()) {
    written.mutable_file()->set_name(file);
    written.mutable_file()->set_bytes(bytes);
  }
  return written;
}

proto::SnapshotWritten NotWritten(int64_t batch, const std::string& error) {
  proto::SnapshotWritten written;
  written.set_batch(batch);
  written.set_error(error);
  return written;
}

// Cuts a snapshot and carries it to its end, with one member that writes one file of so many bytes.
proto::Snapshot Take(int64_t batch, uint64_t bytes, SnapshotChain* chain) {
  chain->Cut(BatchId(batch), Epoch(1), {"a"}, 0);
  EXPECT_TRUE(chain->OnWritten(0, Written(batch, "f" + std::to_string(batch), bytes), 0));
  EXPECT_FALSE(chain->OnChecked({Epoch(1), BatchId(batch), "", absl::OkStatus()}));
  const proto::Snapshot* complete = chain->Complete(BatchId(batch));
  EXPECT_NE(complete, nullptr);
  const proto::Snapshot copy = complete == nullptr ? proto::Snapshot() : *complete;
  EXPECT_TRUE(chain->TakeDone(BatchId(batch), 0));
  return copy;
}

TEST(SnapshotChainTest, ASnapshotIsWrittenCheckedCommittedAndDone) {
  SnapshotChain chain = ChainOf();
  chain.Restore(nullptr);
  EXPECT_EQ(chain.restored(), nullptr);
  chain.Cut(BatchId(3), Epoch(7), {"a", "b"}, 10);
  EXPECT_TRUE(chain.layer().full());
  EXPECT_TRUE(chain.IsOwedBy(0));
  EXPECT_EQ(chain.DeadlineUs(), 10 + kTimeoutUs);

  EXPECT_FALSE(chain.OnWritten(0, Written(2, "old"), 20)) << "of another snapshot";
  EXPECT_FALSE(chain.OnWritten(0, Written(3, "fa", 5), 20));
  EXPECT_FALSE(chain.IsOwedBy(0));
  EXPECT_FALSE(chain.OnWritten(0, Written(3, "fa", 5), 30)) << "said twice";
  const std::optional<JobAction> next = chain.OnWritten(1, Written(3, "fb", 6), 40);
  ASSERT_TRUE(next.has_value());
  const auto& check = std::get<CheckSnapshotFiles>(*next);
  EXPECT_EQ(check.epoch, Epoch(7));
  EXPECT_EQ(check.batch, BatchId(3));
  ASSERT_EQ(check.files.size(), 2u);
  EXPECT_EQ(check.files[1].name(), "fb");
  EXPECT_EQ(chain.DeadlineUs(), 40 + kTimeoutUs) << "the driver has as long as the members had";

  EXPECT_EQ(chain.Complete(BatchId(3)), nullptr) << "not checked";
  EXPECT_FALSE(chain.OnChecked({Epoch(7), BatchId(3), "", absl::OkStatus()}));
  EXPECT_EQ(chain.DeadlineUs(), kNeverUs);
  EXPECT_EQ(chain.Complete(BatchId(2)), nullptr) << "not committed";
  const proto::Snapshot* const complete = chain.Complete(BatchId(3));
  ASSERT_NE(complete, nullptr);
  EXPECT_EQ(complete->batch(), 3);
  EXPECT_EQ(complete->engine_version(), "1.0");
  EXPECT_EQ(complete->key_groups(), 4096u);
  EXPECT_EQ(complete->operators(0).name(), "count");
  EXPECT_EQ(complete->layers_size(), 1);
  EXPECT_EQ(chain.Complete(BatchId(3)), nullptr) << "journaled once";

  EXPECT_FALSE(chain.TakeDone(BatchId(2), 60)) << "the record is not durable";
  EXPECT_TRUE(chain.IsTaking());
  const std::optional<SnapshotDone> done = chain.TakeDone(BatchId(3), 60);
  ASSERT_TRUE(done.has_value());
  EXPECT_EQ(done->batch, BatchId(3));
  EXPECT_EQ(done->bytes, 11);
  EXPECT_EQ(done->took_us, 50);
  EXPECT_FALSE(chain.IsTaking());
}

TEST(SnapshotChainTest, WithoutFilesThereIsNothingToCheck) {
  SnapshotChain chain = ChainOf();
  chain.Restore(nullptr);
  chain.Cut(BatchId(1), Epoch(1), {"a"}, 0);
  EXPECT_FALSE(chain.OnWritten(0, Written(1, ""), 0));
  EXPECT_NE(chain.Complete(BatchId(1)), nullptr);
}

TEST(SnapshotChainTest, ASnapshotThatIsGivenUpMakesTheNextOneFull) {
  struct Case {
    std::string name;
    SnapshotFailed (*fail)(SnapshotChain* chain);
    std::string words;
  };
  const std::vector<Case> cases = {
      {"a member cannot write",
       [](SnapshotChain* chain) {
         EXPECT_FALSE(chain->OnWritten(0, NotWritten(2, "disk full"), 0));
         return std::get<SnapshotFailed>(*chain->OnWritten(1, Written(2, "f"), 0));
       },
       "no snapshot of batch 2 could be taken: executor a: disk full"},
      {"a member is late",
       [](SnapshotChain* chain) {
         EXPECT_FALSE(chain->OnWritten(0, Written(2, "f"), 0));
         return chain->GiveUpLate();
       },
       "executor b has not written its part in time"},
      {"the driver is late",
       [](SnapshotChain* chain) {
         EXPECT_FALSE(chain->OnWritten(0, Written(2, "f"), 0));
         EXPECT_TRUE(chain->OnWritten(1, Written(2, "g"), 0));
         return chain->GiveUpLate();
       },
       "the driver has not read its files in time"},
      {"a file is not there",
       [](SnapshotChain* chain) {
         EXPECT_FALSE(chain->OnWritten(1, Written(2, "g"), 0));
         EXPECT_TRUE(chain->OnWritten(0, Written(2, "f"), 0));
         return *chain->OnChecked({Epoch(1), BatchId(2), "g", absl::NotFoundError("no such file")});
       },
       "the driver does not find what executor b says to have written: no such file"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    SnapshotChain chain = ChainOf();
    chain.Restore(nullptr);
    Take(1, 100, &chain);
    chain.Cut(BatchId(2), Epoch(1), {"a", "b"}, 0);
    EXPECT_FALSE(chain.layer().full());
    const SnapshotFailed failed = c.fail(&chain);
    EXPECT_EQ(failed.batch, BatchId(2));
    EXPECT_THAT(failed.why, HasSubstr(c.words));
    EXPECT_EQ(chain.trouble(), failed.why);
    EXPECT_FALSE(chain.IsTaking());
    EXPECT_FALSE(chain.IsUncut(BatchId(2))) << "not tried again for the same batch";
    EXPECT_TRUE(chain.IsUncut(BatchId(3)));
    chain.Cut(BatchId(3), Epoch(1), {"a"}, 0);
    EXPECT_TRUE(chain.layer().full());
    EXPECT_FALSE(chain.OnWritten(0, Written(3, ""), 0));
    EXPECT_NE(chain.Complete(BatchId(3)), nullptr);
    EXPECT_EQ(chain.trouble(), "") << "all is well again";
  }
}

TEST(SnapshotChainTest, ALongOrHeavyChainEndsWithAFullSnapshot) {
  struct Case {
    std::string name;
    uint64_t increment_bytes;
    int increments;  // so many increments follow the full layer, then a full one comes
  };
  const std::vector<Case> cases = {
      {"many small increments", 1, SnapshotChain::kMaxLayers - 1},
      {"increments as large as the full layer", 50, 3},
      {"one increment larger than the full layer", 101, 1},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    SnapshotChain chain = ChainOf();
    chain.Restore(nullptr);
    Take(1, 100, &chain);
    int64_t batch = 2;
    for (int i = 1; i <= c.increments; ++i, ++batch) {
      EXPECT_EQ(Take(batch, c.increment_bytes, &chain).layers_size(), 1 + i);
    }
    EXPECT_EQ(Take(batch, 100, &chain).layers_size(), 1);
  }
}

TEST(SnapshotChainTest, StateOfAnotherPlanIsRestoredAsFarAsItFits) {
  struct Case {
    std::string name;
    std::vector<proto::StateIdentity> kept;
    std::vector<proto::StateIdentity> plan;
    int restored;  // operators; 0 = there is nothing to restore
    bool full;     // the next snapshot
  };
  const std::vector<Case> cases = {
      {"the same", {Operator("a"), Operator("b")}, {Operator("b"), Operator("a")}, 2, false},
      {"one more", {Operator("a")}, {Operator("a"), Operator("b")}, 1, true},
      {"one less", {Operator("a"), Operator("b")}, {Operator("a")}, 1, true},
      {"another shape", {Operator("a", "int")}, {Operator("a", "text")}, 0, true},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    proto::Snapshot snapshot;
    snapshot.set_batch(5);
    snapshot.mutable_operators()->Add(c.kept.begin(), c.kept.end());
    snapshot.add_layers()->set_full(true);
    snapshot.mutable_layers(0)->add_files()->set_name("f");
    SnapshotChain chain = ChainOf(c.plan);
    chain.Restore(&snapshot);
    EXPECT_EQ(chain.restored() == nullptr ? 0 : chain.restored()->operators_size(), c.restored);
    EXPECT_EQ(chain.batch(), BatchId(5));
    EXPECT_FALSE(chain.IsUncut(BatchId(5)));
    const CheckSnapshotFiles check = chain.CheckOf(Epoch(2));
    ASSERT_EQ(check.files.size(), 1u);
    EXPECT_EQ(check.files[0].name(), "f");
    chain.Cut(BatchId(6), Epoch(2), {"a"}, 0);
    EXPECT_EQ(chain.layer().full(), c.full);
  }
}

TEST(SnapshotChainTest, CutsAreDueByIntervalOrByRequest) {
  SnapshotChain chain = ChainOf();
  chain.Restore(nullptr);
  chain.StartInterval(500);
  EXPECT_EQ(chain.CutDueUs(600), 500 + kIntervalUs);
  EXPECT_EQ(chain.CutDueUs(5000), 5000) << "overdue";
  chain.Request();
  EXPECT_EQ(chain.CutDueUs(600), 600);
  chain.Cut(BatchId(1), Epoch(1), {"a"}, 700);
  chain.Abandon();
  EXPECT_EQ(chain.CutDueUs(800), 700 + kIntervalUs) << "the cut has answered the request";
  EXPECT_EQ(chain.DeadlineUs(), kNeverUs);
}

}  // namespace
}  // namespace millrace::driver
