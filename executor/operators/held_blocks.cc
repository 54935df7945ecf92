#include "executor/operators/held_blocks.h"

#include <algorithm>
#include <numeric>
#include <tuple>
#include <utility>

#include "common/base/mutation.h"
#include "common/base/status.h"
#include "common/columnar/row_hash.h"
#include "executor/state/snapshot/held_rows.h"

namespace millrace::executor {
namespace {

int64_t BytesOf(const Batch& batch) {
  size_t bytes = batch.physical_rows() * sizeof(uint64_t);  // hashes
  for (const ColumnPtr& column : batch.columns()) {
    bytes += column->ByteSize();
  }
  return static_cast<int64_t>(bytes);
}

// `count` rows of `block` from `first` on.
Batch Slice(const Batch& block, uint32_t first, uint32_t count) {
  Batch slice = block;
  if (count != block.physical_rows()) {
    auto rows = std::make_shared<std::vector<uint32_t>>(count);
    std::iota(rows->begin(), rows->end(), first);
    slice.set_selection(std::move(rows));
  }
  return slice;
}

}  // namespace

void HeldBlocks::Add(const Batch& block, std::span<const InputRun> runs) {
  auto copy = std::make_shared<const Batch>(CopyRows(block));
  int64_t bytes = BytesOf(*copy);
  bytes_ += bytes;
  uint32_t first_row = 0;
  for (const InputRun& run : runs) {
    // A block's bytes count until its last run is released; its runs share them evenly.
    runs_.push_back({run, copy, first_row, bytes / static_cast<int64_t>(runs.size())});
    first_row += run.rows;
  }
}

void HeldBlocks::SortRuns() {
  if (IsMutation("split_order")) {
    return;
  }
  std::sort(runs_.begin(), runs_.end(), [](const Held& a, const Held& b) {
    return std::tie(a.run.ordinal, a.run.position) < std::tie(b.run.ordinal, b.run.position);
  });
}

absl::Status HeldBlocks::Release(
    uint64_t ordinal, absl::FunctionRef<absl::Status(const Batch&, const InputRun&)> apply) {
  SortRuns();
  size_t released = 0;
  for (; released < runs_.size() && runs_[released].run.ordinal < ordinal; ++released) {
    const Held& held = runs_[released];
    RETURN_IF_ERROR(apply(Slice(*held.block, held.first_row, held.run.rows), held.run));
    bytes_ -= held.bytes;
  }
  runs_.erase(runs_.begin(), runs_.begin() + static_cast<ptrdiff_t>(released));
  if (runs_.empty()) {
    bytes_ = 0;
  }
  return absl::OkStatus();
}

Batch HeldBlocks::TakeByKeyGroup(uint32_t key_groups) {
  SortRuns();
  std::vector<Batch> pieces;
  pieces.reserve(runs_.size());
  for (const Held& held : runs_) {
    pieces.push_back(Slice(*held.block, held.first_row, held.run.rows).Compact());
  }
  Clear();
  Batch all = ConcatenateBatches(pieces);
  std::vector<uint32_t> order(all.physical_rows());
  std::iota(order.begin(), order.end(), 0);
  const std::vector<uint64_t>& hashes = *all.hashes();
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return KeyGroupOf(hashes[a], key_groups) < KeyGroupOf(hashes[b], key_groups);
  });
  Batch out = all.TakeRows(order.data(), order.size());
  out.set_origin(nullptr);
  return out;
}

void HeldBlocks::Clear() {
  runs_.clear();
  bytes_ = 0;
}

}  // namespace millrace::executor
