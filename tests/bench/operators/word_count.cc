// The hot loop of a word count, in nanoseconds per word (items_per_second⁻¹): hashing, finding the
// group, counting; alone and as the operators of a source stage.
#include <benchmark/benchmark.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "common/columnar/row_hash.h"
#include "common/expr/aggregates/all.h"
#include "executor/operators/stage_pipeline.h"
#include "executor/state/entries/group_table.h"
#include "plan/builder/plan_builder.h"

namespace millrace {
namespace {

constexpr size_t kRows = 8 << 10;

// Words of 3 to 12 letters, as most of a text is, drawn evenly from `distinct`.
std::vector<ColumnPtr> MakeChunks(size_t distinct, size_t chunks) {
  std::mt19937 random(42);
  std::vector<std::string> words(distinct);
  for (std::string& word : words) {
    word.resize(3 + random() % 10);
    for (char& letter : word) {
      letter = static_cast<char>('a' + random() % 26);
    }
  }
  std::vector<ColumnPtr> out;
  for (size_t i = 0; i < chunks; ++i) {
    auto column = std::make_shared<Column>(MakeType(TypeId::kText), kRows);
    for (size_t row = 0; row < kRows; ++row) {
      column->SetTextCopy(row, words[random() % distinct]);
    }
    out.push_back(std::move(column));
  }
  return out;
}

void BM_HashProbeCount(benchmark::State& state) {
  std::vector<ColumnPtr> chunks = MakeChunks(static_cast<size_t>(state.range(0)), 64);
  executor::GroupTable table({MakeType(TypeId::kText)}, 8);
  std::vector<uint64_t> hashes(kRows);
  std::vector<uint32_t> groups(kRows);
  RowSet rows{nullptr, kRows};
  size_t next = 0;
  for (auto _ : state) {
    std::vector<ColumnPtr> keys = {chunks[next++ % chunks.size()]};
    HashRows(keys, rows, hashes.data());
    for (const auto& added : table.FindOrAdd(keys, hashes.data(), rows, groups.data())) {
      table.Payload(0).at<int64_t>(added.group) = 0;
    }
    AggregateStates counts = table.Payload(0);
    for (size_t i = 0; i < kRows; ++i) {
      ++counts.at<int64_t>(groups[i]);
    }
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kRows));
}
BENCHMARK(BM_HashProbeCount)->Arg(10)->Arg(10000)->Arg(60000)->Arg(1000000);

void BM_HashOnly(benchmark::State& state) {
  std::vector<ColumnPtr> chunks = MakeChunks(10000, 64);
  std::vector<uint64_t> hashes(kRows);
  size_t next = 0;
  for (auto _ : state) {
    HashRows({chunks[next++ % chunks.size()]}, RowSet{nullptr, kRows}, hashes.data());
    benchmark::DoNotOptimize(hashes.data());
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kRows));
}
BENCHMARK(BM_HashOnly);

class NoOutputs : public executor::PipelineOutputs {
 public:
  absl::Status ExchangeRows(uint32_t, const Batch&, std::span<const executor::OutputRun>) override {
    return absl::OkStatus();
  }
  absl::Status SinkRows(uint32_t, uint32_t, const Batch&, RowErrors*) override {
    return absl::OkStatus();
  }
};

// Counts words: stage 0 is the first phase and the write to the exchange.
absl::StatusOr<proto::JobPlan> WordCountPlan(const FunctionRegistry& registry) {
  plan::PlanBuilder job(registry, {.parallelism = 8, .key_groups = 4096});
  job.Read({.table = "words", .columns = {{"word", plan::kText}}})
      .GroupBy({plan::Col("word")}, {plan::Count()})
      .WriteTo({.table = "out"});
  return job.Build();
}

void BM_SourceStage(benchmark::State& state) {
  FunctionRegistry registry;
  const absl::Status registered = RegisterAllAggregates(&registry);
  const absl::StatusOr<proto::JobPlan> plan = WordCountPlan(registry);
  if (!registered.ok() || !plan.ok()) {
    state.SkipWithError("the plan is broken");
    return;
  }
  std::unique_ptr<executor::SourcePipeline> pipeline =
      *executor::SourcePipeline::Create(*plan, 0, registry);
  std::vector<ColumnPtr> chunks = MakeChunks(static_cast<size_t>(state.range(0)), 64);
  NoOutputs outputs;
  for (auto _ : state) {
    pipeline->BeginSplit(0, BatchId(1), 0, &outputs);
    for (const ColumnPtr& chunk : chunks) {
      absl::Status status =
          pipeline->Push(Batch({chunk}, kRows), {}, [](uint32_t) { return std::string(); });
      if (!status.ok()) {
        state.SkipWithError(status.ToString().c_str());
        return;
      }
    }
    benchmark::DoNotOptimize(pipeline->EndSplit());
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kRows * chunks.size()));
}
BENCHMARK(BM_SourceStage)->Arg(10)->Arg(10000)->Arg(60000)->Arg(1000000);

}  // namespace
}  // namespace millrace

BENCHMARK_MAIN();
