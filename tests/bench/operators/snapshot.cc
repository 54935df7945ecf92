// What a snapshot of a million keys costs: how long the cut and each step of copying hold a keyed
// shard up, what the file takes to encode, and how soon its state is back in new shards.
//   bazel run -c opt //tests/bench/operators:snapshot -- [keys]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/columnar/row_hash.h"
#include "common/expr/aggregates/all.h"
#include "common/expr/state_identity.h"
#include "executor/operators/stage_pipeline.h"
#include "executor/state/snapshot/snapshot_file.h"
#include "plan/builder/plan_builder.h"

namespace millrace {
namespace {

constexpr uint32_t kShards = 2;
constexpr size_t kStepEntries = 4096;  // as KeyedShard
constexpr size_t kBlockRows = 8 << 10;

// Counts words: stage 1 holds the state, which has the name "counts".
proto::JobPlan WordCountPlan(const FunctionRegistry& registry) {
  plan::PlanBuilder job(registry, {.parallelism = kShards, .key_groups = 4096});
  job.Read({.table = "words", .columns = {{"word", plan::kText}}})
      .GroupBy({plan::Col("word")}, {plan::Count()}, {.name = "counts"})
      .WriteTo({.table = "out"});
  absl::StatusOr<proto::JobPlan> plan = job.Build();
  MILLRACE_CHECK(plan.ok()) << plan.status();
  return *std::move(plan);
}

class NoOutputs : public executor::PipelineOutputs {
 public:
  absl::Status ExchangeRows(uint32_t, const Batch&, std::span<const executor::OutputRun>) override {
    return absl::OkStatus();
  }
  absl::Status SinkRows(uint32_t, uint32_t, const Batch&, RowErrors*) override {
    return absl::OkStatus();
  }
};

class Stopwatch {
 public:
  double Ms() const {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start_)
        .count();
  }

 private:
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

Batch Words(size_t first, size_t count) {
  auto words = std::make_shared<Column>(MakeType(TypeId::kText), count);
  auto counts = std::make_shared<Column>(MakeType(TypeId::kInt64), count);
  for (size_t i = 0; i < count; ++i) {
    words->SetTextCopy(i, absl::StrCat("word-", first + i, "-of-some-length"));
    counts->mutable_values<int64_t>()[i] = 1;
  }
  auto hashes = std::make_shared<std::vector<uint64_t>>(count);
  HashRows({words}, RowSet{nullptr, count}, hashes->data());
  ColumnPtr weights = counts;  // a record each
  Batch batch({std::move(words), std::move(counts), std::move(weights)}, count);
  batch.set_hashes(std::move(hashes));
  return batch;
}

std::unique_ptr<executor::KeyedPipeline> MakeShard(const proto::JobPlan& plan, uint32_t shard,
                                                   const FunctionRegistry& registry) {
  auto pipeline = executor::KeyedPipeline::Create(plan, 1, shard, registry);
  MILLRACE_CHECK(pipeline.ok()) << pipeline.status();
  return *std::move(pipeline);
}

void Fill(executor::KeyedPipeline* pipeline, uint32_t shard, size_t keys) {
  NoOutputs outputs;
  pipeline->BeginBatch(BatchId(1), 1, &outputs);
  uint64_t position = 0;
  for (size_t first = 0; first < keys; first += kBlockRows) {
    Batch block = Words(first, std::min(kBlockRows, keys - first));
    auto own = std::make_shared<std::vector<uint32_t>>();
    for (uint32_t row = 0; row < block.physical_rows(); ++row) {
      if (ShardOfKeyGroup(KeyGroupOf((*block.hashes())[row], 4096), 4096, kShards) == shard) {
        own->push_back(row);
      }
    }
    const executor::InputRun run{
        .ordinal = 0, .position = position, .rows = static_cast<uint32_t>(own->size())};
    position += own->size();
    block.set_selection(std::move(own));
    const absl::Status status = pipeline->Apply(block, std::span(&run, 1));
    MILLRACE_CHECK(status.ok()) << status;
  }
  MILLRACE_CHECK(pipeline->EndBatch().ok()) << "the batch cannot be ended";
}

// As KeyedShard does it, without pauses.
std::vector<executor::StateBlock> Copy(executor::KeyedPipeline* pipeline, uint32_t shard) {
  const Stopwatch cut;
  pipeline->BeginSnapshot(/*full=*/true);
  const double cut_ms = cut.Ms();
  std::vector<double> steps;
  for (bool all = false; !all;) {
    const Stopwatch step;
    all = *pipeline->ContinueSnapshot(kStepEntries);
    steps.push_back(step.Ms());
  }
  const Stopwatch take;
  std::vector<executor::StateBlock> blocks = pipeline->TakeSnapshot();
  std::printf("shard %u: cut %.2f ms; %zu steps, %.1f ms together, longest %.2f ms; take %.2f ms\n",
              shard, cut_ms, steps.size(), std::accumulate(steps.begin(), steps.end(), 0.0),
              *std::max_element(steps.begin(), steps.end()), take.Ms());
  return blocks;
}

void Run(size_t keys) {
  FunctionRegistry registry;
  MILLRACE_CHECK(RegisterAllAggregates(&registry).ok()) << "two aggregates have one signature";
  const proto::JobPlan plan = WordCountPlan(registry);
  proto::SnapshotHeader header;
  header.set_key_groups(plan.key_groups());
  header.set_key_hash_version(kRowHashVersion);
  std::vector<std::vector<executor::StateBlock>> copied;
  for (uint32_t shard = 0; shard < kShards; ++shard) {
    const auto pipeline = MakeShard(plan, shard, registry);
    header.clear_operators();
    for (const proto::StateIdentity& identity : pipeline->StateIdentities()) {
      *header.add_operators() = identity;
    }
    Fill(pipeline.get(), shard, keys);
    copied.push_back(Copy(pipeline.get(), shard));
  }
  const Stopwatch encode;
  executor::SnapshotFileBuilder builder(header);
  for (const std::vector<executor::StateBlock>& blocks : copied) {
    MILLRACE_CHECK(builder.Add(blocks).ok()) << "an operator has no identity";
  }
  proto::SnapshotFile file;
  const int64_t rows = builder.rows();
  std::string bytes = builder.Finish("snapshot", {{0, plan.key_groups()}}, &file);
  std::printf("file: %ld entries, %.1f MB, encoded in %.0f ms\n", rows,
              static_cast<double>(bytes.size()) * 1e-6, encode.Ms());

  std::vector<std::unique_ptr<executor::KeyedPipeline>> restored;
  restored.reserve(kShards);
  for (uint32_t shard = 0; shard < kShards; ++shard) {
    restored.push_back(MakeShard(plan, shard, registry));
  }
  const Stopwatch restore;
  const auto reader = executor::SnapshotFileReader::Parse(std::move(bytes), file,
                                                          {.key_groups = plan.key_groups()});
  MILLRACE_CHECK(reader.ok()) << reader.status();
  const double verified_ms = restore.Ms();
  const proto::StateIdentity counts = StateIdentitiesOf(plan, registry).at(0);
  std::vector<std::thread> threads;
  threads.reserve(kShards);
  for (uint32_t shard = 0; shard < kShards; ++shard) {
    threads.emplace_back([&, shard] {
      const absl::Status status = reader->Read(
          counts, executor::KeyGroupsOfShard(shard, plan.key_groups(), kShards),
          [&](const executor::StateBlock& block) { return restored[shard]->Restore(block); });
      MILLRACE_CHECK(status.ok()) << status;
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  std::printf("restore: verified in %.0f ms, %ld entries back after %.0f ms on %u threads\n",
              verified_ms, restored[0]->StateRows() + restored[1]->StateRows(), restore.Ms(),
              kShards);
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
  millrace::Run(argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1'000'000);
  return 0;
}
