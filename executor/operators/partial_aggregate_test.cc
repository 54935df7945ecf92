#include "executor/operators/partial_aggregate.h"

#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "executor/operators/exchange_write.h"
#include "executor/operators/stage_context.h"
#include "executor/operators/testing/local_job.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

namespace millrace {
namespace {

constexpr char kPartial[] = R"pb(
  id: 1
  output {
    name: "t"
    type { kind: TYPE_TEXT }
  }
  partial_aggregate {
    keys {
      type { kind: TYPE_TEXT }
      column: 0
    }
    aggregates {
      function: "sum"
      args {
        type { kind: TYPE_FLOAT64 }
        column: 1
      }
      result { kind: TYPE_FLOAT64 }
    }
    aggregates {
      function: "string_agg"
      args {
        type { kind: TYPE_TEXT }
        column: 0
      }
      args {
        type { kind: TYPE_TEXT }
        column: 0
      }
      result { kind: TYPE_TEXT }
    }
  }
)pb";

constexpr char kPlan[] = R"pb(
  stages {
    id: 0
    source: 0
    operators {
      id: 1
      output {
        name: "t"
        type { kind: TYPE_TEXT }
      }
      partial_aggregate {
        keys {
          type { kind: TYPE_TEXT }
          column: 0
        }
        aggregates {
          function: "sum"
          args {
            type { kind: TYPE_FLOAT64 }
            column: 1
          }
          result { kind: TYPE_FLOAT64 }
        }
        aggregates {
          function: "string_agg"
          args {
            type { kind: TYPE_TEXT }
            column: 0
          }
          args {
            type { kind: TYPE_TEXT }
            column: 0
          }
          result { kind: TYPE_TEXT }
        }
      }
    }
    operators {
      id: 2
      inputs: 1
      exchange_write { exchange: 0 keys: 0 }
    }
  }
  exchanges {
    id: 0
    columns {
      name: "t"
      type { kind: TYPE_TEXT }
    }
  }
  stages {
    id: 1
    exchange: 0
    operators {
      id: 3
      final_aggregate {
        key_count: 1
        keys {
          name: "t"
          type { kind: TYPE_TEXT }
        }
        aggregates {
          function: "sum"
          args { type { kind: TYPE_FLOAT64 } }
          result { kind: TYPE_FLOAT64 }
        }
        aggregates {
          function: "string_agg"
          args { type { kind: TYPE_TEXT } }
          args { type { kind: TYPE_TEXT } }
          result { kind: TYPE_TEXT }
        }
      }
    }
    operators {
      id: 4
      inputs: 3
      sink_write { sink: 0 }
    }
  }
  sources { table: "rows" }
  key_groups: 16
  parallelism: 1
)pb";

std::vector<std::string> RandomRows() {
  std::mt19937 random(4);
  std::vector<std::string> rows;
  rows.reserve(400);
  for (int i = 0; i < 400; ++i) {
    rows.push_back(absl::StrCat("key-", random() % 50, "|", static_cast<double>(random()) * 1e-3));
  }
  return rows;
}

// The output of a source stage with these limits and the keyed stage behind it.
std::vector<std::string> RunWith(PartialAggregate::Limits limits, size_t* blocks) {
  StageContext context({.key_groups = 16});
  proto::Operator op;
  proto::Operator write;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(kPartial, &op));
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      "id: 2 exchange_write { exchange: 0 keys: 0 }", &write));
  auto partial = PartialAggregate::Create(op, &context, TestRegistry(), limits);
  EXPECT_TRUE(partial.ok()) << partial.status();
  ExchangeWrite exchange(write, &context, (*partial)->HashedColumns());
  (*partial)->AddConsumer(&exchange);
  RecordedOutputs outputs;
  context.Begin(BatchId(1), 0, 0, &outputs);
  std::vector<std::string> rows = RandomRows();
  for (size_t begin = 0; begin < rows.size(); begin += 10) {
    std::vector<std::string> chunk(rows.begin() + static_cast<ptrdiff_t>(begin),
                                   rows.begin() + static_cast<ptrdiff_t>(begin + 10));
    auto describe = [](uint32_t) { return std::string(); };
    RootRows root{.describe = describe};
    StageContext::RootScope scope(&context, &root);
    EXPECT_TRUE((*partial)
                    ->Push(MakeRows({MakeType(TypeId::kText), MakeType(TypeId::kFloat64)}, chunk))
                    .ok());
  }
  EXPECT_TRUE((*partial)->Flush().ok());
  *blocks = outputs.blocks.size();

  auto keyed = KeyedPipeline::Create(ParsePlan(kPlan), 1, 0, TestRegistry());
  EXPECT_TRUE(keyed.ok()) << keyed.status();
  (*keyed)->BeginBatch(BatchId(1), 0, &outputs);
  uint64_t position = 0;
  for (const RecordedOutputs::Block& block : outputs.blocks) {
    InputRun run{0, position, static_cast<uint32_t>(block.rows.row_count())};
    EXPECT_TRUE((*keyed)->Apply(block.rows, std::span(&run, 1)).ok());
    position += run.rows;
  }
  EXPECT_TRUE((*keyed)->EndBatch().ok());
  return outputs.sinks[{0, 0}];
}

TEST(PartialAggregateTest, ResultDoesNotDependOnWhenTheTableIsEmptied) {
  size_t blocks = 0;
  std::vector<std::string> once = RunWith({}, &blocks);
  EXPECT_EQ(blocks, 1u);
  EXPECT_EQ(once.size(), 50u);
  EXPECT_EQ(RunWith({.groups = 3}, &blocks), once);
  EXPECT_EQ(blocks, 40u);
  EXPECT_EQ(RunWith({.groups = 25}, &blocks), once);
  EXPECT_GT(blocks, 2u);
  EXPECT_EQ(RunWith({.bytes = 1}, &blocks), once);
}

TEST(PartialAggregateTest, WeightsOfRowsAddUpInTheLastColumn) {
  StageContext context({.key_groups = 16});
  proto::Operator op;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(R"pb(
                                                              id: 1
                                                              partial_aggregate {
                                                                keys {
                                                                  type { kind: TYPE_TEXT }
                                                                  column: 0
                                                                }
                                                                aggregates {
                                                                  function: "count"
                                                                  result { kind: TYPE_INT64 }
                                                                }
                                                                input_retracts: true
                                                              }
                                                            )pb",
                                                            &op));
  proto::Operator write;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      "id: 2 exchange_write { exchange: 0 keys: 0 }", &write));
  auto partial = PartialAggregate::Create(op, &context, TestRegistry(), {});
  ASSERT_TRUE(partial.ok());
  ExchangeWrite exchange(write, &context, (*partial)->HashedColumns());
  (*partial)->AddConsumer(&exchange);
  RecordedOutputs outputs;
  context.Begin(BatchId(1), 0, 7, &outputs);
  auto describe = [](uint32_t) { return std::string(); };
  RootRows root{.describe = describe};
  StageContext::RootScope scope(&context, &root);
  Batch rows = MakeRows({MakeType(TypeId::kText)}, {"a", "b", "a", "c", "c"});
  auto weights = std::make_shared<Column>(MakeType(TypeId::kInt64), 5);
  int64_t values[] = {1, -2, 4, 1, -1};
  std::copy(values, values + 5, weights->mutable_values<int64_t>());
  rows.set_weights(weights);
  ASSERT_TRUE((*partial)->Push(rows).ok());
  ASSERT_TRUE((*partial)->Flush().ok());
  ASSERT_EQ(outputs.blocks.size(), 1u);
  EXPECT_EQ(PrintRows(outputs.blocks[0].rows),
            (std::vector<std::string>{"+1 a|5|5", "+1 b|-2|-2", "+1 c|0|0"}));
  ASSERT_EQ(outputs.blocks[0].runs.size(), 1u);
  EXPECT_EQ(outputs.blocks[0].runs[0].ordinal, 7u);
}

}  // namespace
}  // namespace millrace
