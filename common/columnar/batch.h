// A set of rows in columns, ~1–64 k of them: operators take and return batches. Cheap to copy,
// since columns are shared. Immutable after construction, except through its setters by its only
// owner; columns may be shared between threads.
#ifndef MILLRACE_COMMON_COLUMNAR_BATCH_H_
#define MILLRACE_COMMON_COLUMNAR_BATCH_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "common/columnar/column.h"

namespace millrace {

// The ascending numbers of the selected rows of a batch; shared between the batches that a filter
// leaves.
using Selection = std::shared_ptr<const std::vector<uint32_t>>;

// Rows for a loop: all of [0, count) when `rows` is null, else the `count` listed ones.
struct RowSet {
  const uint32_t* rows = nullptr;
  size_t count = 0;

  uint32_t operator[](size_t i) const {
    return rows == nullptr ? static_cast<uint32_t>(i) : rows[i];
  }

  // Calls fn(row) for each; two loops, so that the dense one vectorises.
  template <typename Fn>
  void ForEach(Fn&& fn) const {
    if (rows == nullptr) {
      for (size_t i = 0; i < count; ++i) {
        fn(static_cast<uint32_t>(i));
      }
    } else {
      for (size_t i = 0; i < count; ++i) {
        fn(rows[i]);
      }
    }
  }
};

class Batch {
 public:
  Batch() = default;
  Batch(std::vector<ColumnPtr> columns, size_t physical_rows)
      : columns_(std::move(columns)), physical_rows_(physical_rows) {}

  size_t column_count() const { return columns_.size(); }
  const ColumnPtr& column(size_t index) const { return columns_[index]; }
  const std::vector<ColumnPtr>& columns() const { return columns_; }

  // Length of every column.
  size_t physical_rows() const { return physical_rows_; }
  // The number of selected rows.
  size_t row_count() const { return selection_ == nullptr ? physical_rows_ : selection_->size(); }
  bool empty() const { return row_count() == 0; }
  RowSet rows() const {
    return selection_ == nullptr ? RowSet{nullptr, physical_rows_}
                                 : RowSet{selection_->data(), selection_->size()};
  }
  const Selection& selection() const { return selection_; }
  void set_selection(Selection selection) { selection_ = std::move(selection); }

  // Weight of each physical row, +n inserts or −n retractions; null = all +1.
  const int64_t* weights() const {
    return weights_ == nullptr ? nullptr : weights_->values<int64_t>();
  }
  const ColumnPtr& weight_column() const { return weights_; }
  void set_weights(ColumnPtr weights) { weights_ = std::move(weights); }  // int64, or null
  int64_t weight(size_t row) const { return weights_ == nullptr ? 1 : weights()[row]; }

  // For each physical row, the number of the source record that it came from, within the chunk that
  // was read; null = row i is from record i. An error three operators later can name the record's
  // offset by it.
  const std::shared_ptr<const std::vector<uint32_t>>& origin() const { return origin_; }
  void set_origin(std::shared_ptr<const std::vector<uint32_t>> origin) {
    origin_ = std::move(origin);
  }
  uint32_t origin_of(uint32_t row) const { return origin_ == nullptr ? row : (*origin_)[row]; }

  // The XXH3 of each physical row's key columns, computed once and carried through the exchange;
  // null = not computed.
  const std::shared_ptr<const std::vector<uint64_t>>& hashes() const { return hashes_; }
  void set_hashes(std::shared_ptr<const std::vector<uint64_t>> hashes) {
    hashes_ = std::move(hashes);
  }

  // Same rows, selection, weights, origin and hashes; other columns. REQUIRES: columns of
  // physical_rows() values.
  Batch WithColumns(std::vector<ColumnPtr> columns) const;

  // The rows at `rows[0, count)` (physical numbers), gathered densely with their weights, origins
  // and hashes.
  Batch TakeRows(const uint32_t* rows, size_t count) const;
  // The batch with its selection applied; this batch itself if it has no selection.
  Batch Compact() const;

 private:
  std::vector<ColumnPtr> columns_;
  size_t physical_rows_ = 0;
  Selection selection_;
  ColumnPtr weights_;
  std::shared_ptr<const std::vector<uint32_t>> origin_;
  std::shared_ptr<const std::vector<uint64_t>> hashes_;
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_COLUMNAR_BATCH_H_
