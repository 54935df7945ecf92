// In front of an upsert sink: adds up a batch's rows per PRIMARY KEY, so that each key leaves with
// at most one delete and one insert (with `upsert`, without the delete if an insert follows). Two
// live rows of one key are an error. At the head of a keyed stage, rows may come in any order;
// behind another operator, they come in that operator's order of key groups.
#ifndef MILLRACE_EXECUTOR_OPERATORS_OUTPUT_CONSOLIDATE_H_
#define MILLRACE_EXECUTOR_OPERATORS_OUTPUT_CONSOLIDATE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "executor/operators/operator.h"
#include "executor/state/entries/group_table.h"
#include "proto/plan.pb.h"

namespace millrace::executor {

class Consolidate : public KeyedOperator {
 public:
  // `columns` describes the input. `input_hashed`: the columns that the input's hashes were
  // computed from.
  static absl::StatusOr<std::unique_ptr<Consolidate>> Create(
      const proto::Operator& plan, StageContext* context, const std::vector<proto::Field>& columns,
      const std::optional<std::vector<uint32_t>>& input_hashed);

  bool accepts_any_order() const override { return true; }
  absl::Status Flush() override;
  void Reset() override;
  std::optional<std::vector<uint32_t>> HashedColumns() const override { return keys_; }

 protected:
  absl::Status Apply(const Batch& block, std::span<const InputRun> runs) override;
  absl::Status Process(const Batch& batch) override;
  void AddStateStats(OperatorStats* stats) const override;

 private:
  static constexpr uint32_t kNone = UINT32_MAX;

  // A distinct row of a key, with its net weight.
  struct Entry {
    uint32_t block;
    uint32_t row;
    uint32_t next;  // entry of the same key, or kNone
    int64_t weight;
  };
  struct Key {
    uint32_t first_entry = kNone;
    uint32_t ordinal = 0;  // origin of its output rows, which is a key group
    // The (ordinal, position) of its first touch.
    uint32_t touch_ordinal = 0;
    uint64_t touch_position = 0;
  };
  struct OutputRow {
    uint32_t entry;
    uint32_t key;
    int64_t weight;
  };

  Consolidate(uint32_t id, StageContext* context, std::vector<SqlType> key_types,
              std::vector<uint32_t> keys);

  std::vector<ColumnPtr> KeyColumns(const Batch& batch) const;
  // Copies the rows and finds their keys; groups_[i] becomes the group of row i of the copy.
  const Batch& Hold(const Batch& batch, const std::vector<uint64_t>& hashes);
  void Touch(uint32_t key, uint32_t ordinal, uint32_t touch_ordinal, uint64_t touch_position);
  void AddRow(uint32_t key, uint32_t row, int64_t weight);
  absl::Status Net(uint32_t key, std::vector<OutputRow>* out) const;
  absl::Status TooManyRows(uint32_t key) const;
  absl::Status EmitRows(const std::vector<OutputRow>& rows);

  const std::vector<uint32_t> keys_;
  std::vector<std::string> key_names_;
  bool upsert_ = false;
  bool hashes_are_of_keys_ = false;
  GroupTable table_;
  std::vector<Key> key_states_;  // by group
  std::vector<Batch> blocks_;
  std::vector<Entry> entries_;
  std::vector<uint32_t> groups_;
  std::vector<uint64_t> hashes_;
  uint64_t pushed_rows_ = 0;  // rows of the batch so far, when behind another operator
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_OPERATORS_OUTPUT_CONSOLIDATE_H_
