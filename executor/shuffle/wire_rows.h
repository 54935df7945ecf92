// Encodes rows as bytes in pieces that fit a message. Pure functions.
#ifndef MILLRACE_EXECUTOR_SHUFFLE_WIRE_ROWS_H_
#define MILLRACE_EXECUTOR_SHUFFLE_WIRE_ROWS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "common/columnar/batch.h"
#include "executor/operators/operator.h"

namespace millrace::executor {

inline constexpr size_t kMaxPieceBytes = 1 << 20;

// Encodes the selected rows (columnar/batch_codec) in pieces of at most `limit` bytes unless a
// single row is larger. piece(first, count, bytes) is called in order: selected rows [first, first
// + count).
void EncodeInPieces(const Batch& rows, size_t limit,
                    absl::FunctionRef<void(size_t first, size_t count, std::string bytes)> piece);

// The runs for rows [first, first + count) among those that `runs` cover.
std::vector<InputRun> SliceRuns(const std::vector<InputRun>& runs, size_t first, size_t count);

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_SHUFFLE_WIRE_ROWS_H_
