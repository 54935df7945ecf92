// All functions by name and argument types. Filled once at start from an explicit list
// (functions/all.h, aggregates/all.h) and read-only from then on, when it is safe from any thread.
#ifndef MILLRACE_COMMON_EXPR_FUNCTION_REGISTRY_H_
#define MILLRACE_COMMON_EXPR_FUNCTION_REGISTRY_H_

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/expr/aggregate_function.h"
#include "common/expr/function.h"

namespace millrace {

class FunctionRegistry {
 public:
  FunctionRegistry() = default;
  FunctionRegistry(const FunctionRegistry&) = delete;
  FunctionRegistry& operator=(const FunctionRegistry&) = delete;

  // The engine's own functions; built on first use, lives for ever.
  static const FunctionRegistry& BuiltIn();

  // ALREADY_EXISTS names the signature.
  absl::Status Add(ScalarFunction function);
  absl::Status Add(TableFunctionDef function);
  absl::Status Add(std::unique_ptr<AggregateFunction> function);

  // Exact matches (type modifiers ignored); null when there is none. A cast is found by its result
  // type too.
  const ScalarFunction* FindScalar(std::string_view name, const std::vector<SqlType>& args,
                                   const SqlType& result) const;
  const TableFunctionDef* FindTable(std::string_view name, const std::vector<SqlType>& args) const;
  const AggregateFunction* FindAggregate(std::string_view name,
                                         const std::vector<SqlType>& args) const;

  // All functions of one name, for overload resolution and error messages.
  std::vector<const ScalarFunction*> Scalars(std::string_view name) const;
  std::vector<const TableFunctionDef*> Tables(std::string_view name) const;
  std::vector<const AggregateFunction*> Aggregates(std::string_view name) const;
  // Every known function name (operators left out), sorted; for "did you mean".
  std::vector<std::string> Names() const;

 private:
  std::multimap<std::string, std::unique_ptr<ScalarFunction>, std::less<>> scalars_;
  std::multimap<std::string, std::unique_ptr<TableFunctionDef>, std::less<>> tables_;
  std::multimap<std::string, std::unique_ptr<AggregateFunction>, std::less<>> aggregates_;
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_FUNCTION_REGISTRY_H_
