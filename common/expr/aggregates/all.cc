#include "common/expr/aggregates/all.h"

#include "common/base/status.h"

namespace millrace {

absl::Status RegisterAllAggregates(FunctionRegistry* registry) {
  RETURN_IF_ERROR(RegisterCount(registry));
  RETURN_IF_ERROR(RegisterIntegerSums(registry));
  RETURN_IF_ERROR(RegisterNumericSums(registry));
  RETURN_IF_ERROR(RegisterFloatSums(registry));
  RETURN_IF_ERROR(RegisterIntervalSums(registry));
  RETURN_IF_ERROR(RegisterMinMax(registry));
  RETURN_IF_ERROR(RegisterBoolAndOr(registry));
  return RegisterStringAgg(registry);
}

}  // namespace millrace
