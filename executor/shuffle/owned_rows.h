// Rows that outlive the task that made them: text views point into fetched messages, and one kept
// message pins its whole fetch buffer, so what is handed to another thread copies its text here,
// once. Pure functions.
#ifndef MILLRACE_EXECUTOR_SHUFFLE_OWNED_ROWS_H_
#define MILLRACE_EXECUTOR_SHUFFLE_OWNED_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/columnar/batch.h"

namespace millrace {

// The physical rows `rows[0, count)` of `batch`, gathered densely with weights and hashes, without
// origins. Text is copied unless it is held inside its view, so that the result shares no memory
// with `batch`. REQUIRES: no array columns.
Batch GatherOwned(const Batch& batch, const uint32_t* rows, size_t count);

// All rows of `batches` one after another. REQUIRES: made by GatherOwned from batches of the same
// columns.
Batch ConcatenateOwned(const std::vector<Batch>& batches);

// Bytes that an owned batch holds.
int64_t OwnedBytes(const Batch& batch);

}  // namespace millrace

#endif  // MILLRACE_EXECUTOR_SHUFFLE_OWNED_ROWS_H_
