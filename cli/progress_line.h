// A line on stderr that is kept up to date while a job runs; nothing off a terminal.
// Thread-compatible.
#ifndef MILLRACE_CLI_PROGRESS_LINE_H_
#define MILLRACE_CLI_PROGRESS_LINE_H_

#include <cstdint>
#include <deque>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "cli/console.h"

namespace millrace::cli {

// Records/s over the last few seconds and how long the rest will take at that speed. Values in,
// values out.
class RateEstimate {
 public:
  // `time`: SteadyNow().
  void Add(absl::Time time, int64_t total_records);
  // 0 until there are two points.
  double RecordsPerSecond() const;
  // InfiniteDuration while nothing moves.
  absl::Duration TimeFor(int64_t records) const;

 private:
  std::deque<std::pair<absl::Time, int64_t>> points_;
};

class ProgressLine {
 public:
  ProgressLine(const Console& console, bool enabled)
      : console_(console), enabled_(enabled && console.err_is_terminal) {}

  void Update(int64_t total_records, int64_t lag_records);
  // Removes the line, so that other text can be written.
  void Clear();

 private:
  const Console& console_;
  bool enabled_;
  bool shown_ = false;
  RateEstimate rate_;
};

// "1,000 records, 500 records/s, lag 2,000, 4 s left".
std::string ProgressText(int64_t total_records, int64_t lag_records, const RateEstimate& rate);

}  // namespace millrace::cli

#endif  // MILLRACE_CLI_PROGRESS_LINE_H_
