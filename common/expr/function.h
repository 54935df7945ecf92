// A SQL function: a signature, and a kernel that works a column at a time. Functions are immutable
// and shared between threads; nothing is called virtually per row. The same interface serves
// built-in functions and, later, functions from a shared object.
#ifndef MILLRACE_COMMON_EXPR_FUNCTION_H_
#define MILLRACE_COMMON_EXPR_FUNCTION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/columnar/batch.h"
#include "common/columnar/column.h"
#include "common/expr/row_errors.h"
#include "common/types/sql_type.h"

namespace millrace {

// One argument of a kernel: a column with a value per physical row, or a constant, which is a
// column of one value.
struct FunctionArg {
  ColumnPtr column;
  bool constant = false;

  size_t index(uint32_t row) const { return constant ? 0 : row; }
  template <typename T>
  const T& value(uint32_t row) const {
    return column->value<T>(index(row));
  }
  bool IsNull(uint32_t row) const { return column->IsNull(index(row)); }
};

// Per-call-site state that Bind prepared (a compiled pattern, a parsed path). Immutable.
struct FunctionState {
  virtual ~FunctionState() = default;
};

// The input of a kernel. `rows` are the physical rows to compute; the others are left undefined.
struct FunctionCallContext {
  RowSet rows;
  const FunctionState* state = nullptr;  // null unless Bind made one
  int64_t batch_time_us = 0;
  RowErrors* errors = nullptr;  // a row added here has no meaningful result
};

// A function from columns to a column.
struct ScalarFunction {
  std::string name;  // as in plan.proto's Call: "upper", "+", "cast"
  std::vector<SqlType> arg_types;
  bool variadic = false;  // the last argument type may repeat (≥ 1 times)
  SqlType result;         // casts to numeric(p, s) take the modifiers from the call's type
  // Strict functions return NULL when an argument is NULL: the evaluator sets those rows NULL and
  // leaves them out of `rows`, so that the kernel never sees one. Non-strict kernels handle NULL
  // themselves.
  bool strict = true;
  // Never adds a row error: lets the planner move it and the evaluator skip bookkeeping.
  bool infallible = false;
  // Same arguments, same result: may be folded when constant; false for random().
  bool stable = true;
  // `out` has the result type and physical_rows values. Text results may be views into an
  // argument's text: the evaluator makes `out` share the owners of all arguments.
  using Kernel = std::function<void(const std::vector<FunctionArg>& args,
                                    const FunctionCallContext& context, Column* out)>;
  Kernel kernel;
  // Optional: prepares state from the constant arguments (null pointers for the others). An error
  // is a plan-time error.
  std::function<absl::StatusOr<std::shared_ptr<const FunctionState>>(
      const std::vector<const Column*>& constants, const SqlType& result)>
      bind;
};

// A function from a row to any number of rows, for FROM.
struct TableFunctionDef {
  std::string name;
  std::vector<SqlType> arg_types;     // kArray with element kUnknown matches any array (unnest)
  std::vector<SqlType> column_types;  // kUnknown = the argument's element type
  std::vector<std::string> column_names;
  bool strict = true;  // a NULL argument gives no rows
  // Appends, for each of context.rows in order, the rows the function returns: the physical input
  // row to `parents`, the values to `out` (one column per column_types, to be created by the kernel
  // with parents->size() rows).
  using Kernel =
      std::function<void(const std::vector<FunctionArg>& args, const FunctionCallContext& context,
                         std::vector<uint32_t>* parents, std::vector<ColumnPtr>* out)>;
  Kernel kernel;
  std::function<absl::StatusOr<std::shared_ptr<const FunctionState>>(
      const std::vector<const Column*>& constants)>
      bind;
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_FUNCTION_H_
