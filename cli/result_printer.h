// What print sinks show, as text for a person or as one JSON object per row. Thread-compatible.
#ifndef MILLRACE_CLI_RESULT_PRINTER_H_
#define MILLRACE_CLI_RESULT_PRINTER_H_

#include <string>

#include "absl/status/status.h"
#include "cli/console.h"
#include "common/columnar/batch.h"
#include "proto/jobs.pb.h"

namespace millrace::cli {

class ResultPrinter {
 public:
  // Writes to console.out. `show_empty`: a header also for batches without rows.
  ResultPrinter(const Console& console, OutputFormat format, bool show_empty)
      : console_(console), format_(format), show_empty_(show_empty) {}

  // Prints the batch's tables under a header with its number, time and records/s:
  //   -- batch 3, 2025-03-01 12:00:04+00, 1,000 records/s
  //   apple: 7
  // Two columns as `a: b`, one as it is, more aligned on a terminal and separated by tabs
  // elsewhere; removed rows after `-`, unless their key has a new value. As JSON all changes as
  // they are: weights add up. DATA_LOSS if the driver's bytes cannot be read.
  absl::Status Print(const proto::BatchResults& results);

  bool printed_any() const { return printed_any_; }

 private:
  void PrintHeader(const proto::BatchResults& results);
  void PrintText(const proto::BatchResults::Table& table, const Batch& rows);
  void PrintWide(const proto::BatchResults::Table& table, const Batch& rows);
  void PrintJson(const proto::BatchResults& results, const proto::BatchResults::Table& table,
                 const Batch& rows);

  const Console& console_;
  OutputFormat format_;
  bool show_empty_;
  bool printed_any_ = false;
};

// UTC microseconds to the second: as PostgreSQL prints a timestamptz, 2025-03-01 12:00:04+00, or in
// JSON as ISO 8601, 2025-03-01T12:00:04+00:00.
std::string TimeText(int64_t micros, OutputFormat format);

}  // namespace millrace::cli

#endif  // MILLRACE_CLI_RESULT_PRINTER_H_
