// Keeps one partition to a number of records a second, where plans are made of positions: offsets
// of a compacted topic have holes, those of a file are bytes. Learns from what was read how many
// positions a record takes; what was read beyond the limit, since records turned out to be smaller,
// is taken off the next batches. Pure; thread-compatible.
#ifndef MILLRACE_DRIVER_BATCH_RECORD_PACE_H_
#define MILLRACE_DRIVER_BATCH_RECORD_PACE_H_

#include <cstdint>

namespace millrace {

class RecordPace {
 public:
  // Positions that may be planned now, with `records_per_second` as the limit. The first call
  // grants `first_us` of it; what is not used is kept for `most_us`. REQUIRES: records_per_second >
  // 0; moments do not go back.
  int64_t Allowed(int64_t records_per_second, int64_t first_us, int64_t most_us, int64_t now_us);

  // A split of so many positions had so many records.
  void OnRead(int64_t positions, int64_t records);

 private:
  double records_left_ = 0;  // that may be read; below zero after too many
  int64_t granted_us_ = -1;  // up to when; −1 = never
  double positions_per_record_ = 1;
  bool measured_ = false;
  double holes_ = 1;  // how much wider the view is while nothing is found
};

}  // namespace millrace

#endif  // MILLRACE_DRIVER_BATCH_RECORD_PACE_H_
