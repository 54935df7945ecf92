// What a batch from outside must look like before anything reads it: rows of a shuffle, of a
// snapshot, of a result. The bytes name their own types; code that reads a column as the type that
// the plan says would otherwise read foreign memory. Pure functions.
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
  std::vector<SqlType> columns;  // modifiers do not count: they change no value's form
  bool hashes = false;           // must be there
  bool weights = false;          // may be there
};

// DATA_LOSS says in what the batch is another one.
absl::Status CheckShape(const Batch& batch, const BatchShape& shape);

// DecodeBatch (common/columnar/batch_codec.h) of bytes that must have the shape.
absl::StatusOr<Batch> DecodeBatch(std::string_view bytes, const BatchShape& shape);

}  // namespace millrace

#endif  // MILLRACE_COMMON_COLUMNAR_BATCH_SHAPE_H_
