// The registry of the engine's own functions. It has a file of its own, so that the registry does
// not depend on the functions, nor they on each other.
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
