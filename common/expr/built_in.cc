// The engine's own functions, in one place so that neither the registry nor the functions depend on
// each other's whole.
#include "common/base/check.h"
#include "common/expr/aggregates/all.h"
#include "common/expr/function_registry.h"
#include "common/expr/functions/all.h"

namespace millrace {

const FunctionRegistry& FunctionRegistry::BuiltIn() {
  static const FunctionRegistry* const kRegistry = [] {
    auto* registry = new FunctionRegistry();
    absl::Status status = RegisterAllFunctions(registry);
    if (status.ok()) {
      status = RegisterAllAggregates(registry);
    }
    MILLRACE_CHECK(status.ok()) << status.ToString();
    return registry;
  }();
  return *kRegistry;
}

}  // namespace millrace
