#include "executor/shuffle/wire_rows.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "common/columnar/batch_codec.h"

namespace millrace::executor {
namespace {

Batch SelectRange(const Batch& rows, size_t first, size_t count) {
  const RowSet set = rows.rows();
  auto selected = std::make_shared<std::vector<uint32_t>>(count);
  for (size_t i = 0; i < count; ++i) {
    (*selected)[i] = set[first + i];
  }
  Batch range = rows;
  range.set_selection(std::move(selected));
  return range;
}

}  // namespace

void EncodeInPieces(const Batch& rows, size_t limit,
                    absl::FunctionRef<void(size_t first, size_t count, std::string bytes)> piece) {
  const size_t total = rows.row_count();
  size_t first = 0;
  size_t step = total;
  while (first < total) {
    const size_t count = std::min(step, total - first);
    std::string bytes;
    EncodeBatch(first == 0 && count == total ? rows : SelectRange(rows, first, count), &bytes);
    if (bytes.size() > limit && count > 1) {
      // A little less than fits on average, so that most pieces fit at the first try.
      step = std::clamp<size_t>(count * (limit / 10 * 9) / bytes.size(), 1, count / 2);
      continue;
    }
    piece(first, count, std::move(bytes));
    first += count;
  }
}

std::vector<InputRun> SliceRuns(const std::vector<InputRun>& runs, size_t first, size_t count) {
  std::vector<InputRun> slice;
  size_t begin = 0;
  for (const InputRun& run : runs) {
    const size_t from = std::max(begin, first);
    const size_t to = std::min(begin + run.rows, first + count);
    if (from < to) {
      slice.push_back({.ordinal = run.ordinal,
                       .position = run.position + (from - begin),
                       .rows = static_cast<uint32_t>(to - from)});
    }
    begin += run.rows;
  }
  return slice;
}

}  // namespace millrace::executor
