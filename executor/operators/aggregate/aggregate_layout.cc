#include "executor/operators/aggregate/aggregate_layout.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace millrace::executor {

absl::StatusOr<AggregateLayout> AggregateLayout::Create(
    const google::protobuf::RepeatedPtrField<proto::AggregateCall>& calls, bool input_retracts,
    const FunctionRegistry& registry) {
  AggregateLayout out;
  for (const proto::AggregateCall& call : calls) {
    std::vector<SqlType> types;
    std::vector<std::string> type_names;
    for (const proto::Expr& arg : call.args()) {
      types.push_back(TypeFromProto(arg.type()));
      type_names.push_back(types.back().ToString());
    }
    const AggregateFunction* function = registry.FindAggregate(call.function(), types);
    if (function == nullptr || call.distinct()) {
      return absl::InternalError(absl::StrCat(
          "the plan calls aggregate ", call.function(), "(", call.distinct() ? "DISTINCT " : "",
          absl::StrJoin(type_names, ", "), "), which this executor does not have"));
    }
    if (input_retracts) {
      if (std::unique_ptr<AggregateFunction> variant = function->ForRetractions()) {
        function = variant.get();
        out.owned_.push_back(std::move(variant));
      }
    }
    size_t offset = (out.weight_offset_ + 15) / 16 * 16;
    out.entries_.push_back({function, offset});
    out.weight_offset_ = offset + function->state_size();
    out.commutes_ &= function->commutes();
    out.needs_destroy_ |= function->needs_destroy();
  }
  return out;
}

void AggregateLayout::Init(std::span<const GroupTable::Added> added, GroupTable* table) const {
  for (const Entry& entry : entries_) {
    AggregateStates states = States(entry, table);
    for (const GroupTable::Added& group : added) {
      entry.function->Init(&states.at<char>(group.group));
    }
  }
  AggregateStates weights = Weights(table);
  for (const GroupTable::Added& group : added) {
    weights.at<int64_t>(group.group) = 0;
  }
}

void AggregateLayout::Destroy(uint32_t group, GroupTable* table) const {
  if (!needs_destroy_) {
    return;
  }
  for (const Entry& entry : entries_) {
    entry.function->Destroy(&States(entry, table).at<char>(group));
  }
}

void AggregateLayout::DestroyAll(GroupTable* table) const {
  if (!needs_destroy_) {
    return;
  }
  for (uint32_t group : table->Groups()) {
    Destroy(group, table);
  }
}

size_t AggregateLayout::OwnedBytes(uint32_t group, GroupTable* table) const {
  size_t bytes = 0;
  for (const Entry& entry : entries_) {
    if (entry.function->needs_destroy()) {
      bytes += entry.function->OwnedBytes(&States(entry, table).at<char>(group));
    }
  }
  return bytes;
}

}  // namespace millrace::executor
