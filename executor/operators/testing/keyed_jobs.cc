#include "executor/operators/testing/keyed_jobs.h"

#include <algorithm>

#include "absl/strings/str_replace.h"
#include "gtest/gtest.h"

namespace millrace {
namespace {

constexpr char kPlan[] = R"pb(
  sources {
    table: "rows"
    columns {
      name: "k"
      type { kind: TYPE_NUMERIC }
    }
    columns {
      name: "v"
      type { kind: TYPE_NUMERIC }
    }
    columns {
      name: "t"
      type { kind: TYPE_TEXT }
    }
  }
  key_groups: 64
  parallelism: 4
  stages {
    id: 0
    source: 0
    operators {
      id: 1
      partial_aggregate {
        keys {
          type { kind: TYPE_NUMERIC }
          column: 0
        }
        aggregates {
          function: "count"
          result { kind: TYPE_INT64 }
        }
        aggregates {
          function: "sum"
          args {
            type { kind: TYPE_NUMERIC }
            column: 1
          }
        }
        aggregates {
          function: "min"
          args {
            type { kind: TYPE_TEXT }
            column: 2
          }
        }
        aggregates {
          function: "max"
          args {
            type { kind: TYPE_NUMERIC }
            column: 1
          }
        } ORDERED
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
      name: "k"
      type { kind: TYPE_NUMERIC }
    }
  }
  stages {
    id: 1
    exchange: 0
    operators {
      id: 3
      name: "by_key"
      final_aggregate {
        key_count: 1
        keys {
          name: "k"
          type { kind: TYPE_NUMERIC }
        }
        aggregates {
          function: "count"
          result { kind: TYPE_INT64 }
        }
        aggregates {
          function: "sum"
          args { type { kind: TYPE_NUMERIC } }
        }
        aggregates {
          function: "min"
          args { type { kind: TYPE_TEXT } }
        }
        aggregates {
          function: "max"
          args { type { kind: TYPE_NUMERIC } }
        } ORDERED
      }
    }
    operators {
      id: 4
      inputs: 3
      sink_write { sink: 0 }
    }
    operators {
      id: 5
      inputs: 3
      partial_aggregate {
        keys {
          type { kind: TYPE_NUMERIC }
          column: 2
        }
        aggregates {
          function: "count"
          result { kind: TYPE_INT64 }
        }
        aggregates {
          function: "min"
          args {
            type { kind: TYPE_TEXT }
            column: 3
          }
        }
        aggregates {
          function: "max"
          args {
            type { kind: TYPE_NUMERIC }
            column: 4
          }
        }
        aggregates {
          function: "avg"
          args {
            type { kind: TYPE_INT64 }
            column: 1
          }
        }
        input_retracts: true
      }
    }
    operators {
      id: 6
      inputs: 5
      exchange_write { exchange: 1 keys: 0 }
    }
    operators {
      id: 7
      inputs: 3
      partial_aggregate {
        aggregates {
          function: "count"
          result { kind: TYPE_INT64 }
        }
        aggregates {
          function: "sum"
          args {
            type { kind: TYPE_INT64 }
            column: 1
          }
        }
        input_retracts: true
      }
    }
    operators {
      id: 8
      inputs: 7
      exchange_write { exchange: 2 }
    }
  }
  exchanges {
    id: 1
    columns {
      name: "m"
      type { kind: TYPE_NUMERIC }
    }
  }
  stages {
    id: 2
    exchange: 1
    operators {
      id: 9
      name: "by_sum"
      final_aggregate {
        key_count: 1
        keys {
          name: "m"
          type { kind: TYPE_NUMERIC }
        }
        aggregates {
          function: "count"
          result { kind: TYPE_INT64 }
        }
        aggregates {
          function: "min"
          args { type { kind: TYPE_TEXT } }
        }
        aggregates {
          function: "max"
          args { type { kind: TYPE_NUMERIC } }
        }
        aggregates {
          function: "avg"
          args { type { kind: TYPE_INT64 } }
        }
        input_retracts: true
      }
    }
    operators {
      id: 10
      inputs: 9
      sink_write { sink: 1 }
    }
  }
  exchanges {
    id: 2
    columns {
      name: "count$0"
      type { kind: TYPE_INT64 }
    }
  }
  stages {
    id: 3
    exchange: 2
    operators {
      id: 11
      name: "total"
      final_aggregate {
        aggregates {
          function: "count"
          result { kind: TYPE_INT64 }
        }
        aggregates {
          function: "sum"
          args { type { kind: TYPE_INT64 } }
        }
        input_retracts: true
        global: true
      }
    }
    operators {
      id: 12
      inputs: 11
      sink_write { sink: 2 }
    }
  }
)pb";

constexpr char kOrdered[] =
    "aggregates { function: \"string_agg\" args { type { kind: TYPE_TEXT } column: 2 } "
    "args { type { kind: TYPE_TEXT } literal { text: \",\" } } }";

constexpr char kMaxima[] = R"pb(
  sources {
    table: "rows"
    columns {
      name: "k"
      type { kind: TYPE_INT64 }
    }
    columns {
      name: "v"
      type { kind: TYPE_INT64 }
    }
  }
  key_groups: 64
  parallelism: 2
  stages {
    id: 0
    source: 0
    operators {
      id: 1
      partial_aggregate {
        keys {
          type { kind: TYPE_INT64 }
          column: 0
        }
        aggregates {
          function: "max"
          args {
            type { kind: TYPE_INT64 }
            column: 1
          }
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
      name: "k"
      type { kind: TYPE_INT64 }
    }
  }
  stages {
    id: 1
    exchange: 0
    operators {
      id: 3
      name: "by_key"
      final_aggregate {
        key_count: 1
        keys {
          name: "k"
          type { kind: TYPE_INT64 }
        }
        aggregates {
          function: "max"
          args { type { kind: TYPE_INT64 } }
        }
      }
    }
    operators {
      id: 4
      inputs: 3
      partial_aggregate {
        keys {
          type { kind: TYPE_INT64 }
          column: 1
        }
        aggregates { function: "count" }
        input_retracts: true
      }
    }
    operators {
      id: 5
      inputs: 4
      exchange_write { exchange: 1 keys: 0 }
    }
  }
  exchanges {
    id: 1
    columns {
      name: "m"
      type { kind: TYPE_INT64 }
    }
  }
  stages {
    id: 2
    exchange: 1
    operators {
      id: 6
      name: "by_max"
      final_aggregate {
        key_count: 1
        keys {
          name: "m"
          type { kind: TYPE_INT64 }
        }
        aggregates { function: "count" }
        input_retracts: true
      }
    }
    operators {
      id: 7
      inputs: 6
      sink_write { sink: 0 }
    }
  }
)pb";

}  // namespace

// Settings are set and not parsed: a map field in text needs protobuf's reflection, and Debian's
// library is built without ThreadSanitizer, under which the headers lay such fields out
// differently.
proto::JobPlan KeyedPlan(const std::string& state_ttl, bool ordered, uint32_t shards) {
  proto::JobPlan plan =
      ParsePlan(absl::StrReplaceAll(kPlan, {{"ORDERED", ordered ? kOrdered : ""}}));
  (*plan.mutable_settings())["state_ttl"] = state_ttl;
  plan.set_parallelism(shards);
  return plan;
}

proto::JobPlan MaximaPlan() {
  proto::JobPlan plan = ParsePlan(kMaxima);
  (*plan.mutable_settings())["state_ttl"] = "1 s";
  return plan;
}

std::vector<std::string> SinkRows(LocalJob* job, const std::vector<LocalJob::Split>& splits) {
  auto sinks = job->RunBatch(splits);
  EXPECT_TRUE(sinks.ok()) << sinks.status();
  std::vector<std::string> rows;
  for (const auto& [sink, lines] : *sinks) {
    if (sink.first == 0) {
      rows.insert(rows.end(), lines.begin(), lines.end());
    }
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

size_t EntryCount(const LocalJob::StateLayer& layer, int64_t weight) {
  size_t count = 0;
  for (const auto& [stage, blocks] : layer) {
    for (const StateBlock& block : blocks) {
      block.rows.rows().ForEach(
          [&](uint32_t row) { count += block.rows.weight(row) == weight ? 1 : 0; });
    }
  }
  return count;
}

LocalJob::StateLayer TakeAll(LocalJob* job, bool full) {
  job->BeginSnapshot(full);
  while (!job->ContinueSnapshot(1000)) {
  }
  return job->TakeSnapshot();
}

}  // namespace millrace
