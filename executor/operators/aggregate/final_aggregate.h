// The second phase of GROUP BY, on a keyed shard: folds partial rows into the shard's groups and
// emits what the batch has changed. Running: for each changed group, the old row with weight −1 and
// the new one with +1. Per batch: the rows of all groups, which are then forgotten. Rows have
// hashes of the keys, and come in order of (key group, least (ordinal, position) that touched the
// group).
//
// With state_ttl, the rows of an expired group stay downstream, and rows that take back what the
// group has forgotten are ignored. An aggregate without GROUP BY never expires.
#ifndef MILLRACE_EXECUTOR_OPERATORS_AGGREGATE_FINAL_AGGREGATE_H_
#define MILLRACE_EXECUTOR_OPERATORS_AGGREGATE_FINAL_AGGREGATE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "executor/operators/aggregate/aggregate_payload.h"
#include "executor/operators/operator.h"
#include "executor/state/keyed/keyed_state.h"
#include "proto/plan.pb.h"

namespace millrace::executor {

class FinalAggregate : public KeyedOperator {
 public:
  // `plan` is the operator of kind final_aggregate. Input columns are what PartialAggregate emits.
  static absl::StatusOr<std::unique_ptr<FinalAggregate>> Create(const proto::Operator& plan,
                                                                StageContext* context,
                                                                const FunctionRegistry& registry);

  bool accepts_any_order() const override { return payload_.layout().commutes(); }
  absl::Status Flush() override;
  OperatorState* state() override { return per_batch_ ? nullptr : state_.get(); }
  std::optional<std::vector<uint32_t>> HashedColumns() const override;

 protected:
  absl::Status Apply(const Batch& block, std::span<const InputRun> runs) override;
  absl::Status Process(const Batch& batch) override;
  void AddStateStats(OperatorStats* stats) const override;

 private:
  static constexpr uint32_t kNone = UINT32_MAX;

  // A group that the batch has touched.
  struct Touch {
    uint32_t group;
    uint32_t ordinal;  // least (ordinal, position)
    uint64_t position;
    uint32_t key_group;
    uint32_t old_row;  // in old_results_; kNone = the group had no row before this batch
    uint32_t new_row;  // among the new results; kNone = it has none now
  };
  // One output row: a touched group, and the index of its row in the old results followed by the
  // new ones.
  struct Change {
    const Touch* touch;
    uint32_t result;
    int64_t weight;
  };

  FinalAggregate(const proto::Operator& plan, StageContext* context, AggregateLayout layout,
                 std::vector<SqlType> key_types, proto::StateIdentity identity);

  absl::Status FindGroups(const std::vector<ColumnPtr>& keys, const uint64_t* hashes, RowSet rows);
  void TouchRow(const std::vector<ColumnPtr>& keys, uint32_t row, uint32_t group,
                const InputRun& run, uint64_t position);
  void ShowKeyAs(const std::vector<ColumnPtr>& keys, uint32_t row, uint32_t group);
  absl::Status SaveOldResults();
  absl::Status Merge(const Batch& block);
  absl::Status SeedGlobalRow();
  absl::Status EmitTouched();
  absl::Status CheckWeights();
  absl::StatusOr<std::vector<ColumnPtr>> NewResults();
  absl::StatusOr<std::vector<ColumnPtr>> FinalizeAll(const std::vector<uint32_t>& groups);
  absl::Status DropGroupsThatFail(std::vector<uint32_t>* groups);
  std::vector<Change> Changes(const std::vector<ColumnPtr>& results) const;
  absl::Status EmitChanges(const std::vector<Change>& changes,
                           const std::vector<ColumnPtr>& results);
  absl::Status EmitSlice(std::span<const Change> changes, const std::vector<ColumnPtr>& results);
  absl::Status EndBatch();
  absl::Status KeepTouched();
  bool IsLive(uint32_t group) { return global_ || Weight(group) > 0; }
  AggregateStates States(const AggregateLayout::Entry& entry) {
    return payload_.layout().States(entry, &state_->table());
  }
  int64_t Weight(uint32_t group) {
    return payload_.layout().Weights(&state_->table()).at<int64_t>(group);
  }
  std::string Describe(uint32_t group) const;

  std::vector<std::string> key_names_;
  const bool per_batch_;
  const bool global_;
  AggregatePayload payload_;
  const std::unique_ptr<KeyedState> state_;
  std::vector<uint32_t> touch_of_;  // by group: index in touched_, or kNone

  // The members below belong to the present batch.
  std::vector<Touch> touched_;
  std::vector<uint32_t> groups_;  // groups of the present block's rows
  std::vector<uint32_t> to_save_;
  std::vector<std::vector<ColumnPtr>> old_results_;  // per aggregate, pieces in order
  uint32_t old_rows_ = 0;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_OPERATORS_AGGREGATE_FINAL_AGGREGATE_H_
