#include "common/expr/state_identity.h"

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace millrace {
namespace {

std::string Names(const std::vector<SqlType>& types) {
  return absl::StrJoin(types, ", ",
                       [](std::string* out, const SqlType& type) { out->append(type.ToString()); });
}

// "sum(bigint) = bigint, bigint, bigint": the function and its partial columns.
std::string AggregateInWords(const proto::AggregateCall& call, bool input_retracts,
                             const FunctionRegistry& registry) {
  std::vector<SqlType> args;
  for (const proto::Expr& arg : call.args()) {
    args.push_back(TypeFromProto(arg.type()));
  }
  std::string words = absl::StrCat(call.function(), "(", Names(args), ") = ");
  const AggregateFunction* function = registry.FindAggregate(call.function(), args);
  if (function == nullptr) {
    return words + "unknown";
  }
  std::unique_ptr<AggregateFunction> variant =
      input_retracts ? function->ForRetractions() : nullptr;
  return words + Names((variant == nullptr ? function : variant.get())->partial_types());
}

}  // namespace

bool HasState(const proto::Operator& op) {
  return op.has_final_aggregate() && !op.final_aggregate().per_batch();
}

proto::StateIdentity StateIdentityOf(const proto::Operator& op, const FunctionRegistry& registry) {
  const proto::FinalAggregate& aggregate = op.final_aggregate();
  std::vector<SqlType> keys;
  proto::StateIdentity identity;
  for (const proto::Field& key : aggregate.keys()) {
    keys.push_back(TypeFromProto(key.type()));
    if (keys.back().id == TypeId::kJsonb) {
      identity.set_jsonb_key_columns(static_cast<uint32_t>(aggregate.keys_size()));
    }
  }
  identity.set_name(op.name());
  std::string* shape = identity.mutable_shape();
  absl::StrAppend(shape, "keys (", Names(keys), ")");
  for (const proto::AggregateCall& call : aggregate.aggregates()) {
    absl::StrAppend(shape, "; ", AggregateInWords(call, aggregate.input_retracts(), registry));
  }
  absl::StrAppend(shape, "; rows bigint, visible boolean, touched timestamp with time zone");
  return identity;
}

std::vector<proto::StateIdentity> StateIdentitiesOf(const proto::JobPlan& plan,
                                                    const FunctionRegistry& registry) {
  std::vector<proto::StateIdentity> identities;
  for (const proto::Stage& stage : plan.stages()) {
    for (const proto::Operator& op : stage.operators()) {
      if (HasState(op)) {
        identities.push_back(StateIdentityOf(op, registry));
      }
    }
  }
  return identities;
}

}  // namespace millrace
