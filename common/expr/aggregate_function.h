// An aggregate, in two phases that both keep one fixed-size state per group. Update folds input
// rows into the state, per split; EmitPartial turns it into columns for the exchange; MergePartial
// folds these columns into the owner's state; Finalize gives the result. Every function accepts
// weights (−n retracts n earlier rows). Immutable; a state belongs to one thread at a time.
#ifndef MILLRACE_COMMON_EXPR_AGGREGATE_FUNCTION_H_
#define MILLRACE_COMMON_EXPR_AGGREGATE_FUNCTION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/columnar/batch.h"
#include "common/columnar/column.h"
#include "common/expr/row_errors.h"
#include "common/types/sql_type.h"

namespace millrace {

// The states of this aggregate: that of group g is at base + g·stride. The table that owns the
// groups may move between calls.
struct AggregateStates {
  char* base = nullptr;
  size_t stride = 0;

  template <typename State>
  State& at(uint32_t group) const {
    return *reinterpret_cast<State*>(base + group * stride);
  }
};

class AggregateFunction {
 public:
  virtual ~AggregateFunction() = default;

  virtual const std::string& name() const = 0;
  virtual const std::vector<SqlType>& arg_types() const = 0;
  virtual SqlType result_type() const = 0;
  // The types of the columns that EmitPartial writes.
  virtual const std::vector<SqlType>& partial_types() const = 0;
  // Whether merging commutes exactly, so that blocks may be applied in any order with a
  // byte-identical result.
  virtual bool commutes() const = 0;
  // Whether it only takes insertions, in both variants: the binder refuses it over an input that
  // can retract.
  virtual bool append_only() const { return false; }
  // The variant for inputs that can retract, if this one keeps too little for that (min keeps only
  // the winner); null = this one takes negative weights itself. Partial columns may differ.
  virtual std::unique_ptr<AggregateFunction> ForRetractions() const { return nullptr; }

  // Bytes, a multiple of 8; states are 16-byte aligned and are moved with memcpy.
  virtual size_t state_size() const = 0;
  virtual void Init(void* state) const = 0;
  virtual void Destroy(void* state) const = 0;  // frees what the state owns outside of its bytes
  virtual bool needs_destroy() const = 0;
  // The bytes that the state owns outside of the table, for accounting.
  virtual size_t OwnedBytes(const void* state) const = 0;

  // Folds rows in: groups[i] is the group of row rows[i], its argument columns have physical_rows
  // values, and its weight is weights[row] (null = all +1). Rows excluded by FILTER are already
  // left out of `rows`.
  virtual void Update(const std::vector<ColumnPtr>& args, const int64_t* weights, RowSet rows,
                      const uint32_t* groups, AggregateStates states, RowErrors* errors) const = 0;

  // Writes the partial columns of the listed groups, one row per group: everything their states
  // hold, so that merging them into empty states gives states that behave the same ever after
  // (snapshots consist of them).
  virtual void EmitPartial(AggregateStates states, const uint32_t* groups, size_t count,
                           std::vector<ColumnPtr>* out) const = 0;

  // Folds partial rows in; arguments as in Update, with partial_types columns.
  virtual absl::Status MergePartial(const std::vector<ColumnPtr>& partials, RowSet rows,
                                    const uint32_t* groups, AggregateStates states) const = 0;

  // Writes the results of the listed groups to rows 0…count−1 of the returned column. Errors
  // (overflow) name no row.
  virtual absl::StatusOr<ColumnPtr> Finalize(AggregateStates states, const uint32_t* groups,
                                             size_t count) const = 0;
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_AGGREGATE_FUNCTION_H_
