// Encodes batches as bytes, for the shuffle between executors and for result rows on their way to
// the driver. Self-describing (types are included), little-endian, versioned by the first byte.
// Pure functions.
#ifndef MILLRACE_COMMON_COLUMNAR_BATCH_CODEC_H_
#define MILLRACE_COMMON_COLUMNAR_BATCH_CODEC_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/columnar/batch.h"

namespace millrace {

// Appends the selected rows of `batch` with weights and hashes (origins are left behind).
void EncodeBatch(const Batch& batch, std::string* out);

// Reads what EncodeBatch wrote. Text is copied out of `bytes`. Bytes that were not written by
// EncodeBatch give DATA_LOSS, never undefined behaviour.
absl::StatusOr<Batch> DecodeBatch(std::string_view bytes);

}  // namespace millrace

#endif  // MILLRACE_COMMON_COLUMNAR_BATCH_CODEC_H_
