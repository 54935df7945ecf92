// The aggregates of one operator, and the offsets of their states in a group's payload. The last
// field of the payload is the group's weight (rows in minus rows taken back). Immutable; the states
// themselves belong to the operator's table.
#ifndef MILLRACE_EXECUTOR_OPERATORS_AGGREGATE_AGGREGATE_LAYOUT_H_
#define MILLRACE_EXECUTOR_OPERATORS_AGGREGATE_AGGREGATE_LAYOUT_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "common/expr/aggregate_function.h"
#include "common/expr/function_registry.h"
#include "executor/state/entries/group_table.h"
#include "google/protobuf/repeated_field.h"
#include "proto/plan.pb.h"

namespace millrace::executor {

class AggregateLayout {
 public:
  struct Entry {
    const AggregateFunction* function;
    size_t offset;  // offset of its state in the payload
  };

  // `registry` must outlive the layout. INTERNAL when the plan names an aggregate that the registry
  // lacks.
  static absl::StatusOr<AggregateLayout> Create(
      const google::protobuf::RepeatedPtrField<proto::AggregateCall>& calls, bool input_retracts,
      const FunctionRegistry& registry);

  const std::vector<Entry>& entries() const { return entries_; }
  size_t payload_bytes() const { return weight_offset_ + sizeof(int64_t); }
  bool commutes() const { return commutes_; }

  AggregateStates States(const Entry& entry, GroupTable* table) const {
    return table->Payload(entry.offset);
  }
  AggregateStates Weights(GroupTable* table) const { return table->Payload(weight_offset_); }

  // Initialises the payloads of new groups: empty states, weight 0.
  void Init(std::span<const GroupTable::Added> added, GroupTable* table) const;
  // Frees what the group's states own.
  void Destroy(uint32_t group, GroupTable* table) const;
  // Frees what the states of all groups own.
  void DestroyAll(GroupTable* table) const;
  bool needs_destroy() const { return needs_destroy_; }
  // Bytes that a group's states own outside of the payload.
  size_t OwnedBytes(uint32_t group, GroupTable* table) const;

 private:
  std::vector<Entry> entries_;
  std::vector<std::unique_ptr<AggregateFunction>> owned_;  // variants made for this operator
  size_t weight_offset_ = 0;
  bool commutes_ = true;
  bool needs_destroy_ = false;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_OPERATORS_AGGREGATE_AGGREGATE_LAYOUT_H_
