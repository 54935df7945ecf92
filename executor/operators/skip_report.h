// What on_error left out of a split or a batch. A plain value.
#ifndef MILLRACE_EXECUTOR_OPERATORS_SKIP_REPORT_H_
#define MILLRACE_EXECUTOR_OPERATORS_SKIP_REPORT_H_

#include <cstdint>
#include <string>

namespace millrace::executor {

// The records (behind an exchange: rows) that on_error = 'skip' or 'table:…' left out.
struct SkipReport {
  int64_t records = 0;
  std::string first_error;  // the first failure with table and record; empty if there is none
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_OPERATORS_SKIP_REPORT_H_
