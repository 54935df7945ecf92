#include "plan/builder/expression.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/columnar/column.h"
#include "common/types/text_format.h"

namespace millrace::plan {
namespace {

using SpecialForm = proto::Expr::SpecialForm;

constexpr char kUnnamed[] = "?column?";  // as PostgreSQL names a column that nothing names

proto::Expr OfType(const SqlType& type) {
  proto::Expr expr;
  TypeToProto(type, expr.mutable_type());
  expr.set_position(-1);
  return expr;
}

std::vector<SqlType> TypesOf(const std::vector<proto::Expr>& exprs) {
  std::vector<SqlType> types;
  types.reserve(exprs.size());
  for (const proto::Expr& expr : exprs) {
    types.push_back(TypeFromProto(expr.type()));
  }
  return types;
}

std::string TypeList(const std::vector<SqlType>& types) {
  return absl::StrJoin(types, ", ", [](std::string* out, const SqlType& type) {
    absl::StrAppend(out, type.ToString());
  });
}

const std::vector<SqlType>& ArgTypes(const ScalarFunction& function) { return function.arg_types; }
const std::vector<SqlType>& ArgTypes(const TableFunctionDef& function) {
  return function.arg_types;
}
const std::vector<SqlType>& ArgTypes(const AggregateFunction& function) {
  return function.arg_types();
}

// `kind` is "function", "aggregate" or "table function"; `known` are all those of the name.
template <typename Function>
absl::Status NoFunction(const std::string& kind, const std::string& name,
                        const std::vector<SqlType>& args,
                        const std::vector<const Function*>& known) {
  const std::string forms =
      absl::StrJoin(known, ", ", [&](std::string* out, const Function* function) {
        absl::StrAppend(out, name, "(", TypeList(ArgTypes(*function)), ")");
      });
  return absl::NotFoundError(
      absl::StrCat("no ", kind, " ", name, "(", TypeList(args), ")",
                   known.empty() ? "; there is none of that name" : "; there are ", forms));
}

bool AllBoolean(const std::vector<SqlType>& types) {
  return std::all_of(types.begin(), types.end(), [](const SqlType& type) { return type == kBool; });
}

bool AllAlike(const std::vector<SqlType>& types) {
  return std::all_of(types.begin(), types.end(),
                     [&](const SqlType& type) { return type == types.front(); });
}

// Whether they are when1, then1, when2, then2, …, [else].
bool AreBranches(const std::vector<SqlType>& args) {
  for (size_t i = 0; i < args.size(); ++i) {
    const bool condition = i % 2 == 0 && i + 1 < args.size();
    if (args[i] != (condition ? kBool : args[1])) {
      return false;
    }
  }
  return args.size() >= 2;
}

// The type of the form's result, if it takes such arguments.
absl::StatusOr<SqlType> FormType(SpecialForm::Kind kind, const std::vector<SqlType>& args) {
  const SqlType first = args.empty() ? SqlType() : args[0];
  const auto result = [&](bool fits, const SqlType& type,
                          const std::string& takes) -> absl::StatusOr<SqlType> {
    if (!fits) {
      return absl::InvalidArgumentError(absl::StrCat(SpecialForm::Kind_Name(kind), " takes ", takes,
                                                     ", not (", TypeList(args), ")"));
    }
    return type;
  };
  switch (kind) {
    case SpecialForm::AND:
    case SpecialForm::OR:
      return result(!args.empty() && AllBoolean(args), kBool, "one boolean or more");
    case SpecialForm::NOT:
    case SpecialForm::IS_TRUE:
    case SpecialForm::IS_FALSE:
      return result(args.size() == 1 && AllBoolean(args), kBool, "one boolean");
    case SpecialForm::IS_NULL:
    case SpecialForm::IS_NOT_NULL:
      return result(args.size() == 1, kBool, "one value");
    case SpecialForm::IS_DISTINCT_FROM:
      return result(args.size() == 2 && AllAlike(args), kBool, "two values of one type");
    case SpecialForm::IN_LIST:
      return result(args.size() >= 2 && AllAlike(args), kBool, "two values or more of one type");
    case SpecialForm::COALESCE:
    case SpecialForm::GREATEST:
    case SpecialForm::LEAST:
      return result(!args.empty() && AllAlike(args), first, "one value or more of one type");
    case SpecialForm::ARRAY:
      return result(!args.empty() && AllAlike(args) && first.id != TypeId::kArray, ArrayOf(first),
                    "one value or more of one type that is no array");
    case SpecialForm::NULLIF:
      return result(args.size() == 3 && args[2] == kBool, first,
                    "two values and whether they are equal");
    case SpecialForm::CASE:
      return result(AreBranches(args), args.size() < 2 ? SqlType() : args[1],
                    "pairs of a boolean and a value, and values of one type");
    case SpecialForm::BATCH_TIME:
      return result(args.empty(), kTimestampTz, "no arguments");
    default:
      return absl::InvalidArgumentError(absl::StrCat("there is no form ", static_cast<int>(kind)));
  }
}

}  // namespace

absl::StatusOr<uint32_t> FindColumn(const std::vector<Field>& columns, const std::string& name) {
  const auto named = [&](const Field& column) { return column.name == name; };
  const auto found = std::find_if(columns.begin(), columns.end(), named);
  if (found == columns.end()) {
    return absl::NotFoundError(absl::StrCat(
        "no column \"", name, "\"; ", columns.empty() ? "there are no columns" : "there are ",
        absl::StrJoin(columns, ", ", [](std::string* out, const Field& column) {
          absl::StrAppend(out, column.name);
        })));
  }
  if (std::find_if(found + 1, columns.end(), named) != columns.end()) {
    return absl::InvalidArgumentError(absl::StrCat("two columns have the name \"", name, "\""));
  }
  return static_cast<uint32_t>(found - columns.begin());
}

Expression Col(const std::string& name) {
  return Expression(name, [=](const Scope& scope) -> absl::StatusOr<proto::Expr> {
    ASSIGN_OR_RETURN(const uint32_t index, FindColumn(scope.columns, name));
    proto::Expr expr = OfType(scope.columns[index].type);
    expr.set_column(index);
    return expr;
  });
}

Expression Literal(const SqlType& type, const std::string& text) {
  return Expression(kUnnamed, [=](const Scope&) -> absl::StatusOr<proto::Expr> {
    if (type.id != TypeId::kBytea) {
      Column value(type, 1);
      RETURN_IF_ERROR(ParseValue(text, &value, 0));
    }
    proto::Expr expr = OfType(type);
    expr.mutable_literal()->set_text(text);
    return expr;
  });
}

Expression Null(const SqlType& type) {
  return Expression(kUnnamed, [=](const Scope&) -> absl::StatusOr<proto::Expr> {
    proto::Expr expr = OfType(type);
    expr.mutable_literal();
    return expr;
  });
}

Expression Text(const std::string& text) { return Literal(kText, text); }

Expression Int64(int64_t value) { return Literal(kInt64, absl::StrCat(value)); }

Expression Call(const std::string& function, const std::vector<Expression>& args) {
  return Expression(function, [=](const Scope& scope) -> absl::StatusOr<proto::Expr> {
    ASSIGN_OR_RETURN(const std::vector<proto::Expr> bound, BindAll(args, scope));
    const std::vector<SqlType> types = TypesOf(bound);
    const ScalarFunction* found = scope.functions.FindScalar(function, types, SqlType());
    if (found == nullptr) {
      return NoFunction("function", function, types, scope.functions.Scalars(function));
    }
    proto::Expr expr = OfType(found->result);
    expr.mutable_call()->set_function(function);
    expr.mutable_call()->mutable_args()->Add(bound.begin(), bound.end());
    return expr;
  });
}

Expression Cast(const Expression& value, const SqlType& type) {
  return Expression(value.name(), [=](const Scope& scope) -> absl::StatusOr<proto::Expr> {
    ASSIGN_OR_RETURN(const proto::Expr bound, value.Bind(scope));
    const SqlType from = TypeFromProto(bound.type());
    if (scope.functions.FindScalar("cast", {from}, type) == nullptr) {
      return absl::NotFoundError(
          absl::StrCat("no cast from ", from.ToString(), " to ", type.ToString()));
    }
    proto::Expr expr = OfType(type);
    expr.mutable_call()->set_function("cast");
    *expr.mutable_call()->add_args() = bound;
    return expr;
  });
}

Expression Form(SpecialForm::Kind kind, const std::vector<Expression>& args) {
  return Expression(kUnnamed, [=](const Scope& scope) -> absl::StatusOr<proto::Expr> {
    ASSIGN_OR_RETURN(const std::vector<proto::Expr> bound, BindAll(args, scope));
    ASSIGN_OR_RETURN(const SqlType type, FormType(kind, TypesOf(bound)));
    proto::Expr expr = OfType(type);
    expr.mutable_form()->set_kind(kind);
    expr.mutable_form()->mutable_args()->Add(bound.begin(), bound.end());
    return expr;
  });
}

Expression And(const std::vector<Expression>& args) { return Form(SpecialForm::AND, args); }
Expression Or(const std::vector<Expression>& args) { return Form(SpecialForm::OR, args); }
Expression Not(const Expression& arg) { return Form(SpecialForm::NOT, {arg}); }
Expression IsNull(const Expression& arg) { return Form(SpecialForm::IS_NULL, {arg}); }
Expression IsNotNull(const Expression& arg) { return Form(SpecialForm::IS_NOT_NULL, {arg}); }
Expression BatchTime() { return Form(SpecialForm::BATCH_TIME, {}).As("batch_time"); }

AggregateExpression AggregateExpression::As(std::string name) const {
  AggregateExpression renamed = *this;
  renamed.name_ = std::move(name);
  return renamed;
}

AggregateExpression AggregateExpression::Where(const Expression& condition) const {
  AggregateExpression filtered = *this;
  filtered.condition_ = condition;
  return filtered;
}

absl::StatusOr<AggregateExpression::Bound> AggregateExpression::Bind(const Scope& scope,
                                                                     bool retracts) const {
  ASSIGN_OR_RETURN(const std::vector<proto::Expr> args, BindAll(args_, scope));
  const std::vector<SqlType> types = TypesOf(args);
  Bound bound;
  bound.function = scope.functions.FindAggregate(function_, types);
  if (bound.function == nullptr) {
    return NoFunction("aggregate", function_, types, scope.functions.Aggregates(function_));
  }
  if (retracts && bound.function->append_only()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "aggregate ", function_, " cannot take back rows, and its input changes rows that it ",
        "has given earlier"));
  }
  bound.call.set_function(function_);
  bound.call.mutable_args()->Add(args.begin(), args.end());
  if (condition_.has_value()) {
    ASSIGN_OR_RETURN(*bound.call.mutable_filter(),
                     BindBoolean(*condition_, scope, absl::StrCat("the filter of ", function_)));
  }
  TypeToProto(bound.function->result_type(), bound.call.mutable_result());
  return bound;
}

AggregateExpression Count() { return AggregateExpression("count", {}); }
AggregateExpression Sum(const Expression& arg) { return AggregateExpression("sum", {arg}); }
AggregateExpression Min(const Expression& arg) { return AggregateExpression("min", {arg}); }
AggregateExpression Max(const Expression& arg) { return AggregateExpression("max", {arg}); }
AggregateExpression Avg(const Expression& arg) { return AggregateExpression("avg", {arg}); }
AggregateExpression StringAgg(const Expression& text, const Expression& delimiter) {
  return AggregateExpression("string_agg", {text, delimiter});
}

absl::StatusOr<BoundTableFunction> BindTableFunction(const std::string& function,
                                                     const std::vector<Expression>& args,
                                                     const Scope& scope) {
  BoundTableFunction bound;
  ASSIGN_OR_RETURN(bound.args, BindAll(args, scope));
  const std::vector<SqlType> types = TypesOf(bound.args);
  const TableFunctionDef* found = scope.functions.FindTable(function, types);
  if (found == nullptr) {
    return NoFunction("table function", function, types, scope.functions.Tables(function));
  }
  for (size_t i = 0; i < found->column_types.size(); ++i) {
    const SqlType& type = found->column_types[i];
    bound.columns.push_back({.name = found->column_names[i],
                             .type = type.id == TypeId::kUnknown ? types[0].ElementType() : type});
  }
  return bound;
}

absl::StatusOr<std::vector<proto::Expr>> BindAll(const std::vector<Expression>& exprs,
                                                 const Scope& scope) {
  std::vector<proto::Expr> bound;
  bound.reserve(exprs.size());
  for (const Expression& expr : exprs) {
    ASSIGN_OR_RETURN(bound.emplace_back(), expr.Bind(scope));
  }
  return bound;
}

absl::StatusOr<proto::Expr> BindBoolean(const Expression& expr, const Scope& scope,
                                        const std::string& what) {
  ASSIGN_OR_RETURN(proto::Expr bound, expr.Bind(scope));
  const SqlType type = TypeFromProto(bound.type());
  if (type != kBool) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " must be boolean, not ", type.ToString()));
  }
  return bound;
}

}  // namespace millrace::plan
