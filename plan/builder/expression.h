// Expressions and aggregates for PlanBuilder, written before the columns that they read are known:
//
//   Call("+", {Col("price"), Int64(1)}).As("next")     Sum(Col("price")).Where(IsNotNull(Col("k")))
//
// They are bound when an operator takes them: columns are found by name, functions by name and
// argument types, exactly as given. Nothing is converted; that is left to Cast, and to front ends
// that have rules for it. Errors name the column, function, literal or form, and what there is
// instead. Values; safe to share between threads once made.
#ifndef MILLRACE_PLAN_BUILDER_EXPRESSION_H_
#define MILLRACE_PLAN_BUILDER_EXPRESSION_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/expr/function_registry.h"
#include "common/types/sql_type.h"
#include "proto/plan.pb.h"

namespace millrace::plan {

// Types without modifiers; {TypeId::kNumeric, 10, 2} is numeric(10,2).
inline constexpr SqlType kBool = MakeType(TypeId::kBool);
inline constexpr SqlType kInt16 = MakeType(TypeId::kInt16);
inline constexpr SqlType kInt32 = MakeType(TypeId::kInt32);
inline constexpr SqlType kInt64 = MakeType(TypeId::kInt64);
inline constexpr SqlType kFloat32 = MakeType(TypeId::kFloat32);
inline constexpr SqlType kFloat64 = MakeType(TypeId::kFloat64);
inline constexpr SqlType kNumeric = MakeType(TypeId::kNumeric);
inline constexpr SqlType kText = MakeType(TypeId::kText);
inline constexpr SqlType kBytea = MakeType(TypeId::kBytea);
inline constexpr SqlType kDate = MakeType(TypeId::kDate);
inline constexpr SqlType kTimestamp = MakeType(TypeId::kTimestamp);
inline constexpr SqlType kTimestampTz = MakeType(TypeId::kTimestampTz);
inline constexpr SqlType kInterval = MakeType(TypeId::kInterval);
inline constexpr SqlType kJsonb = MakeType(TypeId::kJsonb);

// A column of a table or of an operator's output.
struct Field {
  std::string name;
  SqlType type;
};

// What an expression is bound to: the input's columns, and the functions that there are.
struct Scope {
  const std::vector<Field>& columns;
  const FunctionRegistry& functions;
};

// The index of the column of that name. NOT_FOUND lists the columns; INVALID_ARGUMENT if two have
// the name.
absl::StatusOr<uint32_t> FindColumn(const std::vector<Field>& columns, const std::string& name);

class Expression {
 public:
  using Binder = std::function<absl::StatusOr<proto::Expr>(const Scope&)>;

  // `name` is that of the column that the expression makes where nothing else names it.
  Expression(std::string name, Binder bind) : name_(std::move(name)), bind_(std::move(bind)) {}

  // The same expression under another name, for what reads the column that it makes.
  Expression As(std::string name) const { return Expression(std::move(name), bind_); }

  const std::string& name() const { return name_; }
  absl::StatusOr<proto::Expr> Bind(const Scope& scope) const { return bind_(scope); }

 private:
  std::string name_;
  Binder bind_;
};

Expression Col(const std::string& name);

// A constant from the type's text form as in PostgreSQL (bytea: raw bytes).
Expression Literal(const SqlType& type, const std::string& text);
Expression Null(const SqlType& type);
Expression Text(const std::string& text);
Expression Int64(int64_t value);

// A function or an operator ("+", "=", "||") of the registry.
Expression Call(const std::string& function, const std::vector<Expression>& args);
Expression Cast(const Expression& value, const SqlType& type);

// One of SQL's special forms, with arguments as plan.proto lists them; the others are short names.
Expression Form(proto::Expr::SpecialForm::Kind kind, const std::vector<Expression>& args);
Expression And(const std::vector<Expression>& args);
Expression Or(const std::vector<Expression>& args);
Expression Not(const Expression& arg);
Expression IsNull(const Expression& arg);
Expression IsNotNull(const Expression& arg);
Expression BatchTime();

// An aggregate over the rows of a group.
class AggregateExpression {
 public:
  AggregateExpression(std::string function, std::vector<Expression> args)
      : function_(std::move(function)), args_(std::move(args)), name_(function_) {}

  // The same aggregate under another name than its function's.
  AggregateExpression As(std::string name) const;
  // The same aggregate, over the rows where `condition` is true.
  AggregateExpression Where(const Expression& condition) const;

  const std::string& function() const { return function_; }
  const std::string& name() const { return name_; }

  struct Bound {
    proto::AggregateCall call;
    const AggregateFunction* function = nullptr;  // of the scope's registry
  };
  // If the input `retracts`, it may hold rows of negative weight: a function that cannot take rows
  // back is an error.
  absl::StatusOr<Bound> Bind(const Scope& scope, bool retracts) const;

 private:
  std::string function_;
  std::vector<Expression> args_;
  std::optional<Expression> condition_;
  std::string name_;
};

AggregateExpression Count();  // count(*)
AggregateExpression Sum(const Expression& arg);
AggregateExpression Min(const Expression& arg);
AggregateExpression Max(const Expression& arg);
AggregateExpression Avg(const Expression& arg);
AggregateExpression StringAgg(const Expression& text, const Expression& delimiter);

// A function in FROM, bound to its arguments.
struct BoundTableFunction {
  std::vector<proto::Expr> args;
  std::vector<Field> columns;  // what it returns, without the ordinality
};
absl::StatusOr<BoundTableFunction> BindTableFunction(const std::string& function,
                                                     const std::vector<Expression>& args,
                                                     const Scope& scope);

// Binds all of them, in order.
absl::StatusOr<std::vector<proto::Expr>> BindAll(const std::vector<Expression>& exprs,
                                                 const Scope& scope);
// Binds an expression that must be boolean; `what` names its place: "the predicate".
absl::StatusOr<proto::Expr> BindBoolean(const Expression& expr, const Scope& scope,
                                        const std::string& what);

}  // namespace millrace::plan

#endif  // MILLRACE_PLAN_BUILDER_EXPRESSION_H_
