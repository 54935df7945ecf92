// The values of one generated column. Immutable, thread-safe.
#ifndef MILLRACE_CONNECTORS_GENERATOR_COLUMN_GENERATOR_H_
#define MILLRACE_CONNECTORS_GENERATOR_COLUMN_GENERATOR_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/columnar/column.h"
#include "connectors/shared/options.h"

namespace millrace::generator {

// A range of rows: the partition's number, the number of partitions, and the offset of the first
// row.
struct GeneratedRange {
  int64_t partition = 0;
  int64_t partitions = 1;
  int64_t begin = 0;
  size_t count = 0;
};

class ColumnGenerator {
 public:
  // INVALID_ARGUMENT for a kind or an option that does not fit the column's type.
  static absl::StatusOr<ColumnGenerator> Create(const OptionMap& options, const std::string& name,
                                                const SqlType& type, uint64_t seed,
                                                uint32_t column_number);

  ColumnPtr Generate(const GeneratedRange& range) const;

 private:
  enum class Kind { kSequence, kRandom, kWords };

  absl::Status ReadBounds(const OptionMap& options, const std::string& name);
  uint64_t Random(const GeneratedRange& range, size_t row) const;
  int64_t WholeNumber(const GeneratedRange& range, size_t row) const;
  std::string Text(const GeneratedRange& range, size_t row) const;

  Kind kind_ = Kind::kSequence;
  SqlType type_;
  uint64_t seed_ = 0;
  int64_t min_ = 0;
  int64_t max_ = 0;
  int64_t step_ = 1;
  double min_real_ = 0;
  double max_real_ = 1;
  int64_t cardinality_ = 0;  // number of different texts; 0 = no limit
  int64_t length_ = 8;
};

}  // namespace millrace::generator

#endif  // MILLRACE_CONNECTORS_GENERATOR_COLUMN_GENERATOR_H_
