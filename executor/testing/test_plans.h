// Plans for the executor's tests, as the SQL front end would make them. Pure functions.
#ifndef MILLRACE_EXECUTOR_TESTING_TEST_PLANS_H_
#define MILLRACE_EXECUTOR_TESTING_TEST_PLANS_H_

#include <cstdint>
#include <string>

#include "proto/plan.pb.h"

namespace millrace::executor {

struct TestPlanOptions {
  uint32_t parallelism = 4;
  std::string sink = "test";
  proto::OnError on_error = proto::ON_ERROR_FAIL;
};

// SELECT line FROM source: no exchange.
proto::JobPlan CopyPlan(const TestPlanOptions& options);
// The same, and SELECT line FROM source into the table "keyed", through an exchange on line.
proto::JobPlan TwoTablesPlan(const TestPlanOptions& options);
// SELECT word, count(*) FROM source, string_to_table(line, ' ') GROUP BY word[, batch_time()].
proto::JobPlan WordCountPlan(const TestPlanOptions& options, bool per_batch);
// SELECT string_agg(line, ',') per batch, over an ordered exchange.
proto::JobPlan JoinLinesPlan(const TestPlanOptions& options);
// SELECT count(*) FROM source: a row even without input.
proto::JobPlan CountPlan(const TestPlanOptions& options);
// SELECT line FROM source, through an exchange on line: every row travels.
proto::JobPlan ExchangePlan(const TestPlanOptions& options);

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_TESTING_TEST_PLANS_H_
