// Builds typed expressions from typed parts by PostgreSQL's rules: finds the function or operator
// that a name and argument types mean, and inserts the conversions that it needs. For the SQL
// binder, and for any other front end. Thread-compatible; `functions` must outlive it. Errors are
// INVALID_ARGUMENT with a script position.
#ifndef MILLRACE_PLAN_LOGICAL_EXPR_BUILDER_H_
#define MILLRACE_PLAN_LOGICAL_EXPR_BUILDER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/expr/function_registry.h"
#include "common/types/time_zone.h"
#include "plan/logical/coercion.h"
#include "plan/logical/overload_resolution.h"
#include "proto/plan.pb.h"

namespace millrace::plan {

// An aggregate or table function that a call means, with its arguments converted.
template <typename Function>
struct ResolvedCall {
  const Function* function = nullptr;
  std::vector<proto::Expr> args;
};

// An untyped literal ('abc', NULL) has TYPE_UNKNOWN until its context decides its type.
class ExprBuilder {
 public:
  explicit ExprBuilder(const FunctionRegistry& functions) : functions_(functions) {}

  // Sets the script's time zone, in which times without a zone are read, and in which a timestamptz
  // is taken apart into date and time. UTC unless this is called, before anything is built.
  void set_time_zone(TimeZone zone) { zone_ = std::move(zone); }

  const FunctionRegistry& functions() const { return functions_; }

  // Converts the expression to `target`. The error says `cannot cast type a to b`; for a literal
  // that is not of the type it reads like PostgreSQL's.
  absl::StatusOr<proto::Expr> Coerce(proto::Expr expr, const SqlType& target,
                                     CastContext context) const;

  // `what` names the construct in the error: `argument of WHERE must be type boolean, not type
  // integer`.
  absl::StatusOr<proto::Expr> CoerceToBoolean(proto::Expr expr, const std::string& what) const;

  // Gives all of them their common type and returns it. `what` as in `CASE types integer and text
  // cannot be matched`.
  absl::StatusOr<SqlType> Unify(std::vector<proto::Expr>* exprs, const std::string& what) const;

  // Makes an untyped literal text, as in a query's result whose type nothing else decides.
  absl::StatusOr<proto::Expr> ResolveUnknown(proto::Expr expr) const;

  absl::StatusOr<proto::Expr> Operator(const std::string& symbol, std::vector<proto::Expr> args,
                                       int32_t position) const;
  absl::StatusOr<proto::Expr> Function(const std::string& name, std::vector<proto::Expr> args,
                                       int32_t position) const;
  absl::StatusOr<ResolvedCall<AggregateFunction>> Aggregate(const std::string& name,
                                                            std::vector<proto::Expr> args,
                                                            int32_t position) const;
  absl::StatusOr<ResolvedCall<TableFunctionDef>> TableFunction(const std::string& name,
                                                               std::vector<proto::Expr> args,
                                                               int32_t position) const;

 private:
  absl::StatusOr<std::vector<proto::Expr>> CoerceAll(std::vector<proto::Expr> args,
                                                     const std::vector<SqlType>& targets) const;
  // The literal that an untyped text means; an expression if it means the time of the batch
  // ('now').
  absl::StatusOr<proto::Expr> Literal(const std::string& text, const SqlType& target,
                                      int32_t position) const;
  // The call; it takes the script's time zone as an argument if the result depends on it.
  proto::Expr CallInZone(const std::string& name, std::vector<proto::Expr> args,
                         const SqlType& result, int32_t position) const;
  bool HasFormInZone(const std::string& name, const std::vector<proto::Expr>& args,
                     const SqlType& result) const;
  proto::Expr ZoneLiteral(int32_t position) const;
  // If one argument is a timestamptz and the other a time without zone, makes the latter a
  // timestamptz by the script's zone, unless the operator does that by itself: those on two
  // different types would take it for UTC.
  absl::Status JoinMoments(const std::string& symbol, std::vector<proto::Expr>* args) const;
  absl::Status UnknownFunction(const std::string& name, const std::vector<proto::Expr>& args,
                               int32_t position) const;

  const FunctionRegistry& functions_;
  TimeZone zone_;
};

// "name(integer, text)" for messages.
std::string CallSignature(const std::string& name, const std::vector<proto::Expr>& args);

}  // namespace millrace::plan

#endif  // MILLRACE_PLAN_LOGICAL_EXPR_BUILDER_H_
