#include "driver/batch/state_identity.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace millrace {
namespace {

std::string TypeText(const proto::Type& type) {
  return absl::StrCat(proto::TypeKind_Name(type.kind()), "(", type.precision(), ",", type.scale(),
                      ")");
}

std::string ShapeOf(const proto::FinalAggregate& aggregate) {
  std::string shape = aggregate.input_retracts() ? "retracting" : "inserting";
  for (const proto::Field& key : aggregate.keys()) {
    absl::StrAppend(&shape, " key ", TypeText(key.type()));
  }
  for (const proto::AggregateCall& call : aggregate.aggregates()) {
    absl::StrAppend(&shape, " ", call.function(), "(");
    for (const proto::Expr& arg : call.args()) {
      absl::StrAppend(&shape, TypeText(arg.type()), ";");
    }
    absl::StrAppend(&shape, ")");
  }
  return shape;
}

}  // namespace

std::vector<proto::StateIdentity> StateIdentitiesOf(const proto::JobPlan& plan) {
  std::vector<proto::StateIdentity> identities;
  for (const proto::Stage& stage : plan.stages()) {
    for (const proto::Operator& op : stage.operators()) {
      if (op.has_final_aggregate() && !op.final_aggregate().per_batch()) {
        proto::StateIdentity& identity = identities.emplace_back();
        identity.set_name(op.name());
        identity.set_shape(ShapeOf(op.final_aggregate()));
      }
    }
  }
  return identities;
}

std::vector<std::string> StateWithoutPlace(
    const google::protobuf::RepeatedPtrField<proto::StateIdentity>& kept,
    const proto::JobPlan& plan) {
  const std::vector<proto::StateIdentity> places = StateIdentitiesOf(plan);
  std::vector<std::string> without;
  for (const proto::StateIdentity& state : kept) {
    const auto place =
        std::find_if(places.begin(), places.end(),
                     [&](const proto::StateIdentity& p) { return p.name() == state.name(); });
    if (place == places.end()) {
      without.push_back(absl::StrCat(state.name(), " (the script has no such aggregation)"));
    } else if (place->shape() != state.shape()) {
      without.push_back(absl::StrCat(state.name(), " (its keys or aggregates are other ones now)"));
    }
  }
  return without;
}

}  // namespace millrace
