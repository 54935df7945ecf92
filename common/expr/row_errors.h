// Errors of single rows (division by zero, overflow, a bad cast, an undecodable record). Other rows
// are evaluated all the same; the table's on_error decides what happens to the record.
// Thread-compatible: one per task.
#ifndef MILLRACE_COMMON_EXPR_ROW_ERRORS_H_
#define MILLRACE_COMMON_EXPR_ROW_ERRORS_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "common/base/excerpt.h"

namespace millrace {

struct RowError {
  uint32_t row = 0;  // physical row of the batch under evaluation
  absl::Status status;
};

// Only the first error of each row counts. Messages may quote values of any length, so they are
// shortened here, before they are kept or passed on.
class RowErrors {
 public:
  void Add(uint32_t row, absl::Status status) {
    errors_.push_back({row, WithExcerpt(std::move(status))});
  }
  bool empty() const { return errors_.empty(); }
  const std::vector<RowError>& errors() const { return errors_; }
  void Clear() { errors_.clear(); }
  // Returns the errors that were added, and forgets them.
  std::vector<RowError> Take() { return std::exchange(errors_, {}); }

 private:
  std::vector<RowError> errors_;
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_ROW_ERRORS_H_
