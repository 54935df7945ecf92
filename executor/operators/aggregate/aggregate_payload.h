// What a final aggregate keeps of each group: the states of its aggregates, the group's weight, and
// whether the group has a row downstream from an earlier batch. In an entry these are every
// aggregate's partial columns, the weight, and the flag.
//
// Thread-compatible.
#ifndef MILLRACE_EXECUTOR_OPERATORS_AGGREGATE_AGGREGATE_PAYLOAD_H_
#define MILLRACE_EXECUTOR_OPERATORS_AGGREGATE_AGGREGATE_PAYLOAD_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "executor/operators/aggregate/aggregate_layout.h"
#include "executor/state/entries/entry_payload.h"

namespace millrace::executor {

class AggregatePayload : public EntryPayload {
 public:
  explicit AggregatePayload(AggregateLayout layout) : layout_(std::move(layout)) {}

  const AggregateLayout& layout() const { return layout_; }
  bool visible(uint32_t group) const { return visible_[group] != 0; }
  void SetVisible(uint32_t group, bool visible) { visible_[group] = visible ? 1 : 0; }

  std::vector<SqlType> types() const override;
  size_t payload_bytes() const override { return layout_.payload_bytes(); }
  void Init(std::span<const GroupTable::Added> groups, GroupTable* table) override;
  bool owns_memory() const override { return layout_.needs_destroy(); }
  void Destroy(std::span<const uint32_t> groups, GroupTable* table) override;
  void OwnedBytes(std::span<const uint32_t> groups, GroupTable* table,
                  uint32_t* bytes) const override;
  void Emit(std::span<const uint32_t> groups, GroupTable* table,
            std::vector<ColumnPtr>* columns) const override;
  absl::Status Fill(std::span<const ColumnPtr> columns, RowSet rows, const uint32_t* groups,
                    GroupTable* table) override;
  size_t Bytes() const override { return visible_.capacity(); }

 private:
  const AggregateLayout layout_;
  std::vector<uint8_t> visible_;  // by group
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_OPERATORS_AGGREGATE_AGGREGATE_PAYLOAD_H_
