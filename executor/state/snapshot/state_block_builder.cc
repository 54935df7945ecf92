#include "executor/state/snapshot/state_block_builder.h"

#include <algorithm>
#include <numeric>

#include "executor/state/snapshot/held_rows.h"

namespace millrace::executor {

void StateBlockBuilder::Add(Batch entries) {
  if (entries.empty()) {
    return;
  }
  if (rows_ + entries.physical_rows() > kBlockEntries) {
    Finish();
  }
  rows_ += entries.physical_rows();
  for (const ColumnPtr& column : entries.columns()) {
    bytes_ += column->ByteSize();
  }
  pieces_.push_back(std::move(entries));
}

void StateBlockBuilder::Finish() {
  if (pieces_.empty()) {
    return;
  }
  Batch all = ConcatenateBatches(pieces_);
  const std::vector<uint64_t>& hashes = *all.hashes();
  std::vector<uint32_t> order(all.physical_rows());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return hashes[a] < hashes[b]; });
  blocks_.push_back({operator_name_, all.TakeRows(order.data(), order.size())});
  pieces_.clear();
  rows_ = 0;
}

std::vector<StateBlock> StateBlockBuilder::Take() {
  Finish();
  bytes_ = 0;
  return std::exchange(blocks_, {});
}

void StateBlockBuilder::Clear() {
  pieces_.clear();
  blocks_.clear();
  rows_ = 0;
  bytes_ = 0;
}

}  // namespace millrace::executor
