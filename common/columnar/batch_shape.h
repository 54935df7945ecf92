// Checks the shape of a batch from outside before anything reads it: rows of a shuffle, a snapshot,
// a result. The bytes name their own types; code that reads a column as the type in the plan would
// otherwise read foreign memory. Pure functions.
#ifndef MILLRACE_COMMON_COLUMNAR_BATCH_SHAPE_H_
#define MILLRACE_COMMON_COLUMNAR_BATCH_SHAPE_H_

#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/columnar/batch.h"
#include "common/types/sql_type.h"

namespace millrace {

struct BatchShape {
  std::vector<SqlType> columns;  // without modifiers, which change no value's form
  bool hashes = false;           // whether there must be hashes
  bool weights = false;          // whether there may be weights
};

// DATA_LOSS says how the batch differs from the shape.
absl::Status CheckShape(const Batch& batch, const BatchShape& shape);

// Does what DecodeBatch (common/columnar/batch_codec.h) does, and checks the shape.
absl::StatusOr<Batch> DecodeBatch(std::string_view bytes, const BatchShape& shape);

}  // namespace millrace

#endif  // MILLRACE_COMMON_COLUMNAR_BATCH_SHAPE_H_
