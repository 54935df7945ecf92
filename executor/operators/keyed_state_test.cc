// State that is cut, copied while batches run, restored and expired. Compared byte for byte with
// runs of the same batches that were never interrupted.
#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/columnar/row_hash.h"
#include "executor/operators/testing/backends.h"
#include "executor/operators/testing/keyed_jobs.h"
#include "executor/operators/testing/local_job.h"
#include "gtest/gtest.h"
#include "plan/builder/plan_builder.h"
#include "plan/builder/testing/must_build.h"

namespace millrace::executor {
namespace {

using Splits = std::vector<LocalJob::Split>;
using Sinks = std::map<std::pair<uint32_t, uint32_t>, std::vector<std::string>>;

// Numbers in several forms, long and short text, sometimes no rows at all.
std::vector<Splits> RandomBatches(int count, uint32_t seed) {
  std::mt19937 random(seed);
  auto number = [&](uint32_t bound) {
    static const char* const kForms[] = {"", ".0", ".00"};
    return absl::StrCat(random() % bound, kForms[random() % 3]);
  };
  std::vector<Splits> batches;
  for (int batch = 0; batch < count; ++batch) {
    Splits splits;
    for (uint32_t ordinal = 0; ordinal < 3 && random() % 8 != 0; ++ordinal) {
      LocalJob::Split split{0, ordinal, {}};
      for (uint32_t rows = random() % 12; rows > 0; --rows) {
        std::string text = absl::StrCat("t", random() % 20);
        split.rows.push_back(absl::StrCat(
            number(40), "|", random() % 7 == 0 ? "NULL" : number(8), "|",
            random() % 3 == 0 ? absl::StrCat(text, "-longer-than-a-view-holds-inside") : text));
      }
      splits.push_back(std::move(split));
    }
    batches.push_back(std::move(splits));
  }
  return batches;
}

std::string TextOfBatch(LocalJob* job, const Splits& splits) {
  absl::StatusOr<Sinks> sinks = job->RunBatch(splits);
  EXPECT_TRUE(sinks.ok()) << sinks.status();
  std::string text;
  for (const auto& [sink, rows] : job->sink_text()) {
    absl::StrAppend(&text, "sink ", sink, ":\n", rows);
  }
  return text;
}

using KeyedStateTest = BackendTest;
INSTANTIATE_TEST_SUITE_P(All, KeyedStateTest, AllBackends(), BackendName);

// ---- any cuts, any crashes, any shards ----

// Runs batches, and now and then takes a snapshot or crashes. After a crash, a new job, with any
// number of shards and over any of the given back ends, is restored from the newest snapshot and
// runs the batches since then again. The reference run is in memory.
class InterruptedRun {
 public:
  InterruptedRun(std::string ttl, bool ordered, uint32_t seed, std::vector<StateBackend*> backends)
      : ttl_(std::move(ttl)),
        ordered_(ordered),
        backends_(std::move(backends)),
        random_(seed),
        batches_(RandomBatches(60, seed)) {
    LocalJob reference(KeyedPlan(ttl_, ordered_, 4), {});
    for (const Splits& splits : batches_) {
      expected_.push_back(TextOfBatch(&reference, splits));
    }
  }

  void Run() {
    Start(0);
    for (size_t batch = 0; batch < batches_.size();) {
      if (under_way_ == kNone && random_() % 3 == 0) {
        Cut(batch);
      }
      ASSERT_EQ(TextOfBatch(job_.get(), batches_[batch]), expected_[batch]) << "batch " << batch;
      ++batch;
      if (under_way_ != kNone && random_() % 2 == 0) {
        Finish();
      }
      if (random_() % 8 == 0) {
        batch = layers_.empty() ? 0 : restore_to_;
        Start(batch);
        ++restarts_;
      }
    }
  }

  int restarts() const { return restarts_; }
  size_t longest_chain() const { return longest_chain_; }
  size_t removals() const { return removals_; }

 private:
  static constexpr size_t kNone = SIZE_MAX;

  void Start(size_t batch) {
    uint32_t shards = 1 + random_() % 6;
    LocalJob::Variation variation{.chunk_rows = 1 + random_() % 10,
                                  .shuffle = true,
                                  .seed = static_cast<uint32_t>(random_()),
                                  .backend = backends_[random_() % backends_.size()]};
    job_ = std::make_unique<LocalJob>(KeyedPlan(ttl_, ordered_, shards), variation,
                                      static_cast<int64_t>(batch) + 1);
    for (const LocalJob::StateLayer& layer : layers_) {
      absl::Status restored = job_->Restore(layer);
      ASSERT_TRUE(restored.ok()) << restored;
    }
    under_way_ = kNone;
    lost_ = false;
  }

  void Cut(size_t batch) {
    full_ = layers_.empty() || lost_ || random_() % 5 == 0;
    job_->BeginSnapshot(full_);
    job_->set_snapshot_step(random_() % 4);
    under_way_ = batch;
  }

  void Finish() {
    size_t cut = std::exchange(under_way_, kNone);
    lost_ = random_() % 6 == 0;
    if (lost_) {
      return;  // this cut is never completed: the next one drops it
    }
    while (!job_->ContinueSnapshot(1 + random_() % 7)) {
    }
    if (full_) {
      layers_.clear();
    }
    layers_.push_back(job_->TakeSnapshot());
    restore_to_ = cut;
    longest_chain_ = std::max(longest_chain_, layers_.size());
    removals_ += EntryCount(layers_.back(), -1);
  }

  const std::string ttl_;
  const bool ordered_;
  const std::vector<StateBackend*> backends_;
  std::mt19937 random_;
  const std::vector<Splits> batches_;
  std::vector<std::string> expected_;  // output of each batch
  std::unique_ptr<LocalJob> job_;
  std::vector<LocalJob::StateLayer> layers_;
  size_t restore_to_ = 0;  // the batch that follows the layers
  size_t under_way_ = kNone;
  bool full_ = false;
  bool lost_ = false;  // a snapshot was lost since the last one that was taken
  int restarts_ = 0;
  size_t longest_chain_ = 0;
  size_t removals_ = 0;
};

void RunInterrupted(const std::string& ttl, bool ordered,
                    const std::vector<StateBackend*>& backends) {
  int restarts = 0;
  size_t longest_chain = 0;
  size_t removals = 0;
  for (uint32_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    InterruptedRun run(ttl, ordered, seed, backends);
    run.Run();
    if (testing::Test::HasFatalFailure()) {
      return;
    }
    restarts += run.restarts();
    longest_chain = std::max(longest_chain, run.longest_chain());
    removals += run.removals();
  }
  // Checks that the random runs did what they are meant to do.
  EXPECT_GT(restarts, 30);
  EXPECT_GT(longest_chain, 3u);
  EXPECT_GT(removals, 20u);
}

TEST_P(KeyedStateTest, ARestoredJobGoesOnByteForByte) { RunInterrupted("0", false, {backend()}); }

TEST_P(KeyedStateTest, SoDoesOneWithAggregatesThatDependOnOrder) {
  RunInterrupted("0", true, {backend()});
}

TEST_P(KeyedStateTest, SoDoesOneWhoseStateExpires) { RunInterrupted("2 s", false, {backend()}); }

TEST_P(KeyedStateTest, SoDoesOneThatComesFromAnotherBackEndAndGoesBack) {
  RunInterrupted("2 s", false, {nullptr, backend()});
  RunInterrupted("0", true, {nullptr, backend()});
}

// ---- what snapshots hold ----

TEST_P(KeyedStateTest, LayersHoldWhatChangedSinceTheOneBefore) {
  LocalJob job(KeyedPlan("0", false, 2), {.backend = backend()});
  SinkRows(&job, {{0, 0, {"1|1|a", "2|2|b", "3|3|c"}}});
  LocalJob::StateLayer all = TakeAll(&job, false);  // the first snapshot has everything
  EXPECT_EQ(EntryCount(all, 1), 7u);                // 3 keys, 3 sums, the total
  LocalJob::StateLayer nothing = TakeAll(&job, false);
  EXPECT_EQ(EntryCount(nothing, 1) + EntryCount(nothing, -1), 0u);
  SinkRows(&job, {{0, 0, {"1|9|a"}}});
  LocalJob::StateLayer changed = TakeAll(&job, false);
  EXPECT_EQ(EntryCount(changed, 1), 3u);   // key 1, sum 10, the total
  EXPECT_EQ(EntryCount(changed, -1), 1u);  // sum 1
  LocalJob::StateLayer full = TakeAll(&job, true);
  EXPECT_EQ(EntryCount(full, 1), 7u);
  EXPECT_EQ(EntryCount(full, -1), 0u);
}

TEST_P(KeyedStateTest, BlocksAreBoundedAndInOrderOfKeyGroup) {
  LocalJob job(KeyedPlan("0", false, 1), {.chunk_rows = 100000, .backend = backend()});
  LocalJob::Split split{0, 0, {}};
  for (int key = 0; key < 40000; ++key) {
    split.rows.push_back(absl::StrCat(key, "|1|a"));
  }
  SinkRows(&job, {split});
  LocalJob::StateLayer layer = TakeAll(&job, true);
  EXPECT_EQ(EntryCount(layer, 1), 40002u);
  EXPECT_EQ(layer[1].size(), 3u);
  for (const auto& [stage, blocks] : layer) {
    for (const StateBlock& block : blocks) {
      EXPECT_LE(block.rows.row_count(), 16u << 10);
      ASSERT_NE(block.rows.hashes(), nullptr);
      EXPECT_TRUE(std::is_sorted(
          block.rows.hashes()->begin(), block.rows.hashes()->end(),
          [](uint64_t a, uint64_t b) { return KeyGroupOf(a, 64) < KeyGroupOf(b, 64); }));
    }
  }
}

TEST_P(KeyedStateTest, GroupsThatNoBatchTouchesAreKept) {
  LocalJob job(KeyedPlan("0", true, 2), {.chunk_rows = 1000, .backend = backend()});
  LocalJob reference(KeyedPlan("0", true, 2), {.chunk_rows = 1000});
  for (int batch = 0; batch < 12; ++batch) {
    LocalJob::Split split{0, 0, {}};
    for (int i = 0; i < 2000; ++i) {  // keys of this batch, and some of each of the earlier ones
      const int key = i % 4 == 0 ? i * 6 : batch * 2000 + i;
      split.rows.push_back(absl::StrCat(key, i % 3 == 0 ? ".0|" : "|", i % 50, "|t", batch));
    }
    ASSERT_EQ(TextOfBatch(&job, {split}), TextOfBatch(&reference, {split})) << "batch " << batch;
    EXPECT_EQ(job.state_rows(), reference.state_rows());
  }
  EXPECT_GT(job.state_rows(), 15000);
}

TEST_P(KeyedStateTest, TheRowOfAnEmptyGlobalAggregateIsShownOnce) {
  LocalJob job(KeyedPlan("0", false, 3), {.backend = backend()});
  absl::StatusOr<Sinks> first = job.RunBatch({});
  ASSERT_TRUE(first.ok());
  EXPECT_EQ((*first)[std::make_pair(2u, 0u)], std::vector<std::string>{"+1 0|NULL"});
  LocalJob restored(KeyedPlan("0", false, 2), {.backend = backend()}, 2);
  ASSERT_TRUE(restored.Restore(TakeAll(&job, true)).ok());
  EXPECT_EQ(TextOfBatch(&restored, {}), "");
  absl::StatusOr<Sinks> second = restored.RunBatch({{0, 0, {"1|1|a", "1|1|a"}}});
  ASSERT_TRUE(second.ok());
  EXPECT_EQ((*second)[std::make_pair(2u, 0u)], (std::vector<std::string>{"-1 0|NULL", "+1 1|2"}));
}

TEST_P(KeyedStateTest, EntriesThatDoNotFitNameTheOperator) {
  LocalJob job(KeyedPlan("0", false, 1), {.backend = backend()});
  SinkRows(&job, {{0, 0, {"1|1|a"}}});
  const LocalJob::StateLayer layer = TakeAll(&job, true);

  LocalJob other(KeyedPlan("0", true, 1), {.backend = backend()});
  absl::Status shape = other.Restore(layer);
  EXPECT_EQ(shape.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(shape.message().find("\"by_key\""), absl::string_view::npos) << shape;
  EXPECT_NE(shape.message().find("string_agg"), absl::string_view::npos) << shape;

  LocalJob::StateLayer renamed = layer;
  renamed[1][0].operator_name = "elsewhere";
  LocalJob again(KeyedPlan("0", false, 1), {.backend = backend()});
  absl::Status name = again.Restore(renamed);
  EXPECT_EQ(name.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(name.message().find("\"elsewhere\""), absl::string_view::npos) << name;

  SinkRows(&job, {{0, 0, {"1|9|a"}}});
  LocalJob fresh(KeyedPlan("0", false, 1), {.backend = backend()});
  absl::Status removal = fresh.Restore(TakeAll(&job, false));  // without the layer before it
  EXPECT_EQ(removal.code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(removal.message().find("\"by_sum\""), absl::string_view::npos) << removal;
}

// Over rows (k jsonb, …): count by k.
proto::JobPlan JsonbKeyPlan() {
  plan::PlanBuilder job(TestRegistry(), {.parallelism = 2, .key_groups = 64});
  job.Read({.table = "rows",
            .columns = {{"k", plan::kJsonb}, {"v", plan::kInt64}, {"t", plan::kText}}})
      .GroupBy({plan::Col("k")}, {plan::Count()})
      .WriteTo({.table = "groups"});
  return MustBuild(job);
}

TEST_P(KeyedStateTest, JsonbKeysOfAnOldSnapshotThatAreOneNowAreRefused) {
  const auto old_state = [&](const std::string& key) {
    LocalJob job(JsonbKeyPlan(), {.backend = backend()});
    SinkRows(&job, {{0, 0, {absl::StrCat(key, "|1|a")}}});
    LocalJob::StateLayer layer = TakeAll(&job, true);
    for (auto& [shard, blocks] : layer) {
      for (StateBlock& block : blocks) {
        block.equal_keys_apart = true;
      }
    }
    return layer;
  };
  LocalJob restored(JsonbKeyPlan(), {.backend = backend()});
  ASSERT_TRUE(restored.Restore(old_state("1.0")).ok());
  EXPECT_EQ(SinkRows(&restored, {{0, 0, {"1|1|a", "1.00|1|a"}}}),
            (std::vector<std::string>{"+1 1.0|3", "-1 1.0|1"}));

  LocalJob two(JsonbKeyPlan(), {.backend = backend()});
  ASSERT_TRUE(two.Restore(old_state("1.0")).ok());
  const absl::Status refused = two.Restore(old_state("1"));
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(refused.message().find("--drop-state"), absl::string_view::npos) << refused;
}

TEST_P(KeyedStateTest, AKeyWithoutARowShowsAsInTheBatchThatGivesItOne) {
  const std::string large =
      absl::StrCat("5", std::string(131071, '0'));  // twice this value overflows
  proto::JobPlan plan = KeyedPlan("0", false, 2);
  plan.mutable_sources(0)->set_on_error(proto::ON_ERROR_SKIP);
  for (uint32_t seed = 0; seed < 6; ++seed) {
    LocalJob job(plan, {.chunk_rows = 1, .shuffle = true, .seed = seed, .backend = backend()});
    const std::string row = absl::StrCat("1|", large, "|a");
    EXPECT_EQ(SinkRows(&job, {{0, 0, {row, row}}}), std::vector<std::string>());  // overflows
    EXPECT_EQ(SinkRows(&job, {{0, 0, {absl::StrCat("1.00|-", large, "|a")}}, {0, 1, {"1.0|0|a"}}}),
              std::vector<std::string>{absl::StrCat("+1 1.00|4|", large, "|a|", large)});
  }
}

}  // namespace
}  // namespace millrace::executor
