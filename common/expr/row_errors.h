// Errors of single rows (division by zero, overflow, a bad cast, an undecodable record). They do
// not stop the evaluation of the other rows; what becomes of the record is the table's on_error.
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

// At most one error per row counts: the first added. Messages quote values of any length, so they
// are cut here, before anybody keeps or passes them on.
class RowErrors {
 public:
  void Add(uint32_t row, absl::Status status) {
    errors_.push_back({row, WithExcerpt(std::move(status))});
  }
  bool empty() const { return errors_.empty(); }
  const std::vector<RowError>& errors() const { return errors_; }
  void Clear() { errors_.clear(); }
  // What was added, and forgets it.
  std::vector<RowError> Take() { return std::exchange(errors_, {}); }

 private:
  std::vector<RowError> errors_;
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_ROW_ERRORS_H_
