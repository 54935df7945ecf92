#include "plan/logical/expr_builder.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/expr/expr_evaluator.h"
#include "common/expr/in_zone.h"
#include "plan/logical/expr_tree.h"
#include "plan/logical/spelling.h"
#include "plan/logical/sql_error.h"

namespace millrace::plan {
namespace {

constexpr SqlType kText = MakeType(TypeId::kText);

std::vector<SqlType> TypesOf(const std::vector<proto::Expr>& exprs) {
  std::vector<SqlType> types;
  types.reserve(exprs.size());
  for (const proto::Expr& expr : exprs) {
    types.push_back(TypeOf(expr));
  }
  return types;
}

Signature SignatureOf(const ScalarFunction& function) {
  return {function.arg_types, function.variadic};
}
Signature SignatureOf(const TableFunctionDef& function) { return {function.arg_types, false}; }
Signature SignatureOf(const AggregateFunction& function) { return {function.arg_types(), false}; }

template <typename Function>
std::vector<Signature> SignaturesOf(const std::vector<const Function*>& functions) {
  std::vector<Signature> signatures;
  signatures.reserve(functions.size());
  for (const Function* function : functions) {
    signatures.push_back(SignatureOf(*function));
  }
  return signatures;
}

// text || a value of another type, or the other way round, joins the text forms.
bool JoinsTextForms(const std::string& symbol, const std::vector<SqlType>& types) {
  const auto joinable = [](const SqlType& type) {
    return type.id != TypeId::kText && type.id != TypeId::kUnknown && type.id != TypeId::kArray &&
           type.id != TypeId::kBytea && type.id != TypeId::kJsonb;
  };
  const auto textual = [](const SqlType& type) {
    return type.id == TypeId::kText || type.id == TypeId::kUnknown;
  };
  return symbol == "||" && types.size() == 2 &&
         ((textual(types[0]) && joinable(types[1])) || (joinable(types[0]) && textual(types[1])));
}

// Functions whose arguments are "any" in PostgreSQL and taken as they are shown.
bool TakesShownForms(const std::string& name) {
  return name == "concat" || name == "concat_ws" || name == "format";
}

// Functions that cast an argument of any type to text.
bool TakesTextForms(const std::string& name) { return name == "quote_literal"; }

// Functions whose argument is "anyelement" in PostgreSQL.
bool IsPolymorphic(const std::string& name) { return name == "to_jsonb"; }

absl::Status Ambiguous(const char* kind, const std::string& signature, int32_t position) {
  return ErrorAt(position,
                 absl::StrCat(kind, " ", signature,
                              " is not unique; add explicit casts to say which is meant"));
}

}  // namespace

std::string CallSignature(const std::string& name, const std::vector<proto::Expr>& args) {
  std::string text = absl::StrCat(name, "(");
  for (size_t i = 0; i < args.size(); ++i) {
    absl::StrAppend(&text, i == 0 ? "" : ", ", TypeOf(args[i]).ToString());
  }
  return text + ")";
}

absl::StatusOr<proto::Expr> ExprBuilder::Coerce(proto::Expr expr, const SqlType& target,
                                                CastContext context) const {
  const SqlType from = TypeOf(expr);
  const int32_t position = expr.position();
  if (from.id == TypeId::kUnknown) {
    if (IsNullLiteral(expr)) {
      return MakeNull(target, position);
    }
    absl::StatusOr<proto::Expr> literal = Literal(expr.literal().text(), target, position);
    return literal.ok() ? std::move(literal) : WithPosition(literal.status(), position);
  }
  const bool modifiers_differ =
      target.precision != 0 && (from.precision != target.precision || from.scale != target.scale);
  if (SameType(from, target) && !modifiers_differ) {
    return expr;
  }
  if (!CanCast(from, target, context) || functions_.FindScalar("cast", {from}, target) == nullptr) {
    return ErrorAt(position,
                   absl::StrCat("cannot cast type ", from.ToString(), " to ", target.ToString(),
                                CanCast(from, target, CastContext::kExplicit) &&
                                        context != CastContext::kExplicit
                                    ? " without an explicit cast"
                                    : ""));
  }
  return CallInZone("cast", {std::move(expr)}, target, position);
}

proto::Expr ExprBuilder::ZoneLiteral(int32_t position) const {
  return MakeLiteral(zone_.name(), kText, position);
}

proto::Expr ExprBuilder::CallInZone(const std::string& name, std::vector<proto::Expr> args,
                                    const SqlType& result, int32_t position) const {
  if (zone_.is_utc() || !HasFormInZone(name, args, result)) {
    return MakeCall(name, std::move(args), result, position);
  }
  args.push_back(ZoneLiteral(position));
  return MakeCall(absl::StrCat(name, kInZone), std::move(args), result, position);
}

bool ExprBuilder::HasFormInZone(const std::string& name, const std::vector<proto::Expr>& args,
                                const SqlType& result) const {
  std::vector<SqlType> types = TypesOf(args);
  types.push_back(kText);
  return functions_.FindScalar(absl::StrCat(name, kInZone), types, result) != nullptr;
}

absl::StatusOr<proto::Expr> ExprBuilder::Literal(const std::string& text, const SqlType& target,
                                                 int32_t position) const {
  const bool moment = target.id == TypeId::kDate || target.id == TypeId::kTimestamp ||
                      target.id == TypeId::kTimestampTz;
  if (!moment) {
    return ParseLiteral(text, target, position);
  }
  const proto::Expr read =
      MakeCall(std::string(kCastInZone),
               {MakeLiteral(text, kText, position), ZoneLiteral(position)}, target, position);
  absl::StatusOr<ColumnPtr> value = EvaluateConstant(read, functions_);
  if (value.ok()) {
    return ColumnToLiteral(**value, target, position);
  }
  if (!absl::IsFailedPrecondition(value.status())) {
    return value.status();
  }
  proto::Expr now =
      MakeForm(proto::Expr::SpecialForm::BATCH_TIME, {}, MakeType(TypeId::kTimestampTz), position);
  return MakeCall(std::string(kCastInZone),
                  {MakeLiteral(text, kText, position), ZoneLiteral(position), std::move(now)},
                  target, position);
}

absl::StatusOr<proto::Expr> ExprBuilder::CoerceToBoolean(proto::Expr expr,
                                                         const std::string& what) const {
  const SqlType from = TypeOf(expr);
  if (!CanCast(from, MakeType(TypeId::kBool), CastContext::kImplicit)) {
    return ErrorAt(
        expr.position(),
        absl::StrCat("argument of ", what, " must be type boolean, not type ", from.ToString()));
  }
  return Coerce(std::move(expr), MakeType(TypeId::kBool), CastContext::kImplicit);
}

absl::StatusOr<SqlType> ExprBuilder::Unify(std::vector<proto::Expr>* exprs,
                                           const std::string& what) const {
  const std::vector<SqlType> types = TypesOf(*exprs);
  const std::optional<SqlType> common = CommonType(types);
  if (!common.has_value()) {
    for (size_t i = 1; i < types.size(); ++i) {
      const std::vector<SqlType> seen(types.begin(),
                                      types.begin() + static_cast<std::ptrdiff_t>(i));
      const SqlType so_far = CommonType(seen).value_or(types[0]);
      if (!CommonType({so_far, types[i]}).has_value()) {
        return ErrorAt((*exprs)[i].position(),
                       absl::StrCat(what, " types ", so_far.ToString(), " and ",
                                    types[i].ToString(), " cannot be matched"));
      }
    }
    return ErrorAt(exprs->front().position(), absl::StrCat(what, " types cannot be matched"));
  }
  for (proto::Expr& expr : *exprs) {
    ASSIGN_OR_RETURN(expr, Coerce(std::move(expr), *common, CastContext::kImplicit));
  }
  return *common;
}

absl::StatusOr<proto::Expr> ExprBuilder::ResolveUnknown(proto::Expr expr) const {
  return TypeOf(expr).id == TypeId::kUnknown
             ? Coerce(std::move(expr), kText, CastContext::kImplicit)
             : absl::StatusOr<proto::Expr>(std::move(expr));
}

absl::StatusOr<std::vector<proto::Expr>> ExprBuilder::CoerceAll(
    std::vector<proto::Expr> args, const std::vector<SqlType>& targets) const {
  for (size_t i = 0; i < args.size(); ++i) {
    ASSIGN_OR_RETURN(args[i], Coerce(std::move(args[i]), targets[i], CastContext::kImplicit));
  }
  return args;
}

absl::Status ExprBuilder::JoinMoments(const std::string& symbol,
                                      std::vector<proto::Expr>* args) const {
  if (args->size() != 2 || zone_.is_utc() ||
      HasFormInZone(symbol, *args, MakeType(TypeId::kBool))) {
    return absl::OkStatus();
  }
  const auto is = [&](size_t i, TypeId id) { return TypeOf((*args)[i]).id == id; };
  for (size_t i = 0; i < args->size(); ++i) {
    if (is(1 - i, TypeId::kTimestampTz) && (is(i, TypeId::kTimestamp) || is(i, TypeId::kDate))) {
      ASSIGN_OR_RETURN((*args)[i], Coerce(std::move((*args)[i]), MakeType(TypeId::kTimestampTz),
                                          CastContext::kImplicit));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<proto::Expr> ExprBuilder::Operator(const std::string& symbol,
                                                  std::vector<proto::Expr> args,
                                                  int32_t position) const {
  if (JoinsTextForms(symbol, TypesOf(args))) {
    for (proto::Expr& arg : args) {
      ASSIGN_OR_RETURN(arg, Coerce(std::move(arg), kText, CastContext::kExplicit));
    }
  }
  RETURN_IF_ERROR(JoinMoments(symbol, &args));
  const std::vector<const ScalarFunction*> candidates = functions_.Scalars(symbol);
  const OverloadResolution resolution = ResolveOperator(SignaturesOf(candidates), TypesOf(args));
  const std::string shown = args.size() == 1 ? absl::StrCat(symbol, " ", TypeOf(args[0]).ToString())
                                             : absl::StrCat(TypeOf(args[0]).ToString(), " ", symbol,
                                                            " ", TypeOf(args[1]).ToString());
  if (resolution.outcome == OverloadResolution::Outcome::kAmbiguous) {
    return Ambiguous("operator", shown, position);
  }
  if (resolution.outcome == OverloadResolution::Outcome::kNone) {
    return ErrorAt(
        position,
        absl::StrCat("operator does not exist: ", shown,
                     candidates.empty() ? "" : "; an explicit cast of one side may help"));
  }
  ASSIGN_OR_RETURN(args, CoerceAll(std::move(args), resolution.arguments));
  return CallInZone(symbol, std::move(args), candidates[resolution.index]->result, position);
}

absl::StatusOr<proto::Expr> ExprBuilder::Function(const std::string& name,
                                                  std::vector<proto::Expr> args,
                                                  int32_t position) const {
  const std::vector<const ScalarFunction*> candidates = functions_.Scalars(name);
  if (!candidates.empty() && (TakesShownForms(name) || TakesTextForms(name))) {
    for (proto::Expr& arg : args) {
      if (TypeOf(arg).id == TypeId::kBool && TakesShownForms(name)) {  // t, where the cast is true
        ASSIGN_OR_RETURN(arg, Function("boolout", {std::move(arg)}, position));
      }
      ASSIGN_OR_RETURN(arg, Coerce(std::move(arg), kText, CastContext::kExplicit));
    }
  }
  if (IsPolymorphic(name) && args.size() == 1 && TypeOf(args[0]).id == TypeId::kUnknown) {
    return ErrorAt(position, "could not determine polymorphic type because input has type unknown");
  }
  const OverloadResolution resolution = ResolveOverload(SignaturesOf(candidates), TypesOf(args));
  if (resolution.outcome == OverloadResolution::Outcome::kAmbiguous) {
    return Ambiguous("function", CallSignature(name, args), position);
  }
  if (resolution.outcome == OverloadResolution::Outcome::kNone) {
    // A type's name with one argument is a cast: date(ts), text(5).
    if (absl::StatusOr<SqlType> type = TypeByName(name); type.ok() && args.size() == 1) {
      return Coerce(std::move(args[0]), *type, CastContext::kExplicit);
    }
    return UnknownFunction(name, args, position);
  }
  ASSIGN_OR_RETURN(args, CoerceAll(std::move(args), resolution.arguments));
  return CallInZone(name, std::move(args), candidates[resolution.index]->result, position);
}

absl::StatusOr<ResolvedCall<AggregateFunction>> ExprBuilder::Aggregate(
    const std::string& name, std::vector<proto::Expr> args, int32_t position) const {
  const std::vector<const AggregateFunction*> candidates = functions_.Aggregates(name);
  const OverloadResolution resolution = ResolveOverload(SignaturesOf(candidates), TypesOf(args));
  if (resolution.outcome == OverloadResolution::Outcome::kAmbiguous) {
    return Ambiguous("function", CallSignature(name, args), position);
  }
  if (resolution.outcome == OverloadResolution::Outcome::kNone) {
    return UnknownFunction(name, args, position);
  }
  ResolvedCall<AggregateFunction> call{.function = candidates[resolution.index], .args = {}};
  ASSIGN_OR_RETURN(call.args, CoerceAll(std::move(args), resolution.arguments));
  return call;
}

absl::StatusOr<ResolvedCall<TableFunctionDef>> ExprBuilder::TableFunction(
    const std::string& name, std::vector<proto::Expr> args, int32_t position) const {
  const std::vector<const TableFunctionDef*> candidates = functions_.Tables(name);
  const OverloadResolution resolution = ResolveOverload(SignaturesOf(candidates), TypesOf(args));
  if (resolution.outcome == OverloadResolution::Outcome::kAmbiguous) {
    return Ambiguous("function", CallSignature(name, args), position);
  }
  if (resolution.outcome == OverloadResolution::Outcome::kNone) {
    return UnknownFunction(name, args, position);
  }
  ResolvedCall<TableFunctionDef> call{.function = candidates[resolution.index], .args = {}};
  ASSIGN_OR_RETURN(call.args, CoerceAll(std::move(args), resolution.arguments));
  std::vector<SqlType> types = TypesOf(call.args);
  types.push_back(kText);
  const TableFunctionDef* in_zone = functions_.FindTable(absl::StrCat(name, kInZone), types);
  if (in_zone != nullptr && !zone_.is_utc()) {
    call.function = in_zone;
    call.args.push_back(ZoneLiteral(position));
  }
  return call;
}

absl::Status ExprBuilder::UnknownFunction(const std::string& name,
                                          const std::vector<proto::Expr>& args,
                                          int32_t position) const {
  std::string known;
  const auto add = [&known](const Signature& signature, const std::string& function) {
    absl::StrAppend(&known, known.empty() ? "" : ", ", function, "(");
    for (size_t i = 0; i < signature.parameters.size(); ++i) {
      absl::StrAppend(&known, i == 0 ? "" : ", ", signature.parameters[i].ToString());
    }
    absl::StrAppend(&known, signature.variadic ? ", …)" : ")");
  };
  for (const ScalarFunction* function : functions_.Scalars(name)) {
    add(SignatureOf(*function), name);
  }
  for (const TableFunctionDef* function : functions_.Tables(name)) {
    add(SignatureOf(*function), name);
  }
  for (const AggregateFunction* function : functions_.Aggregates(name)) {
    add(SignatureOf(*function), name);
  }
  const std::string hint =
      known.empty() ? DidYouMean(name, functions_.Names()) : absl::StrCat("; there is ", known);
  return ErrorAt(position,
                 absl::StrCat("function ", CallSignature(name, args), " does not exist", hint));
}

}  // namespace millrace::plan
