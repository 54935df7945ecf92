#include "common/expr/state_identity.h"

#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

namespace millrace {
namespace {

constexpr char kPlan[] = R"pb(
  stages {
    id: 0
    exchange: 0
    operators {
      id: 1
      name: "counts/aggregate-1"
      final_aggregate {
        key_count: 2
        keys {
          name: "word"
          type { kind: TYPE_TEXT }
        }
        keys {
          name: "price"
          type { kind: TYPE_NUMERIC precision: 10 scale: 2 }
        }
        aggregates { function: "count" }
        aggregates {
          function: "min"
          args { type { kind: TYPE_TEXT } }
        }
        aggregates {
          function: "sum"
          args { type { kind: TYPE_FLOAT64 } }
        }
      }
    }
    operators {
      id: 2
      name: "windows/aggregate-1"
      final_aggregate { per_batch: true }
    }
    operators {
      id: 3
      name: "counts/consolidate-1"
      consolidate {}
    }
  }
  stages {
    id: 1
    exchange: 1
    operators {
      id: 4
      name: "total/aggregate-1"
      final_aggregate {
        input_retracts: true
        global: true
        aggregates {
          function: "min"
          args { type { kind: TYPE_TEXT } }
        }
        aggregates { function: "unheard_of" }
      }
    }
  }
)pb";

TEST(StateIdentityTest, NamesOperatorsWithStateAndWhatItIsMadeOf) {
  proto::JobPlan plan;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(kPlan, &plan));
  std::vector<proto::StateIdentity> identities =
      StateIdentitiesOf(plan, FunctionRegistry::BuiltIn());
  ASSERT_EQ(identities.size(), 2u);
  EXPECT_EQ(identities[0].name(), "counts/aggregate-1");
  EXPECT_EQ(identities[0].shape(),
            "keys (text, numeric(10,2)); count() = bigint; min(text) = text; "
            "sum(double precision) = bytea, bigint; "
            "rows bigint, visible boolean, touched timestamp with time zone");
  // Over rows that can be retracted, min keeps all values: other state, so another shape.
  EXPECT_EQ(identities[1].name(), "total/aggregate-1");
  EXPECT_EQ(identities[1].shape(),
            "keys (); min(text) = bytea; unheard_of() = unknown; "
            "rows bigint, visible boolean, touched timestamp with time zone");
}

}  // namespace
}  // namespace millrace
