// Copies rows that outlive the task that made them. Text views point into fetched messages, and one
// kept message pins its whole fetch buffer, so rows for another thread get their text copied here,
// once. Pure functions.
#ifndef MILLRACE_EXECUTOR_SHUFFLE_OWNED_ROWS_H_
#define MILLRACE_EXECUTOR_SHUFFLE_OWNED_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/columnar/batch.h"

namespace millrace::executor {

// Gathers the physical rows `rows[0, count)` of `batch` densely, with weights and hashes, without
// origins. Text is copied unless it is held inside its view, so the result shares no memory with
// `batch`. REQUIRES: no array columns.
Batch GatherOwned(const Batch& batch, const uint32_t* rows, size_t count);

// Joins all rows of `batches` in order. REQUIRES: GatherOwned made the batches, from batches of the
// same columns.
Batch ConcatenateOwned(const std::vector<Batch>& batches);

// Bytes that an owned batch holds.
int64_t OwnedBytes(const Batch& batch);

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_SHUFFLE_OWNED_ROWS_H_
