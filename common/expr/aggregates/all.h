// Every built-in aggregate. A new family is one file with a Register… function, declared here and
// called in all.cc.
#ifndef MILLRACE_COMMON_EXPR_AGGREGATES_ALL_H_
#define MILLRACE_COMMON_EXPR_AGGREGATES_ALL_H_

#include "absl/status/status.h"
#include "common/expr/function_registry.h"

namespace millrace {

absl::Status RegisterCount(FunctionRegistry* registry);  // count(*), count(any)
absl::Status RegisterIntegerSums(
    FunctionRegistry* registry);  // sum, avg of smallint, integer, bigint
absl::Status RegisterNumericSums(FunctionRegistry* registry);  // sum, avg of numeric
absl::Status RegisterFloatSums(FunctionRegistry* registry);    // sum, avg of real, double precision
absl::Status RegisterIntervalSums(FunctionRegistry* registry);  // sum, avg of interval
absl::Status RegisterMinMax(FunctionRegistry* registry);        // min, max
absl::Status RegisterBoolAndOr(FunctionRegistry* registry);     // bool_and, bool_or, every
absl::Status RegisterStringAgg(FunctionRegistry* registry);     // string_agg

// All of the above. ALREADY_EXISTS only when called twice for one registry.
absl::Status RegisterAllAggregates(FunctionRegistry* registry);

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_AGGREGATES_ALL_H_
