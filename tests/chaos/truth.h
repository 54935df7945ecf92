// What the chaos tests send: record n of partition p is a function of (seed, p, n), so that whoever
// reads an output knows what every record and every aggregate over a prefix must be, without asking
// the generator.
//
// The records of a group (a key, or a key in a window) lie in one partition and form an arithmetic
// progression of n, so "the first 17 records of this group" is a statement about known records. The
// sum of doubles is exact: every x is a multiple of 2^-40, and sums are kept as integers of that
// unit and rounded once. Values; thread-safe.
#ifndef MILLRACE_TESTS_CHAOS_TRUTH_H_
#define MILLRACE_TESTS_CHAOS_TRUTH_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::chaos {

__extension__ typedef __int128 Int128;

// A sum of doubles of mixed magnitude as an integer; exact up to 2^30 records.
class ExactSum {
 public:
  void Add(Int128 units) { units_ += units; }
  // Rounded to nearest even: what an exact accumulator must print.
  double Rounded() const;

 private:
  Int128 units_ = 0;  // of 2^-40
};

struct Record {
  int64_t amount = 0;  // -1000 … 1000
  Int128 x_units = 0;  // x in units of 2^-40
  double x = 0;        // magnitudes from 2^-40 to 2^55, both signs
};

// The records first, first + step, … below limit, of one partition.
struct Group {
  int32_t partition = 0;
  int64_t first = 0;
  int64_t step = 1;
  int64_t limit = int64_t{1} << 40;  // more than anyone sends

  int64_t At(int64_t ordinal) const { return first + ordinal * step; }
  // How many of the group are among the first `produced` records of its partition.
  int64_t CountBelow(int64_t produced) const;
};

struct Truth {
  uint64_t seed = 1;
  int32_t partitions = 4;
  int64_t hot_keys = 20;     // per partition; odd records go round them
  int64_t cold_keys = 5000;  // per partition; even records do

  static constexpr int64_t kLanes = 16;          // column g is n mod 16
  static constexpr int64_t kBucket = 1000;       // records of a partition in one window
  static constexpr int64_t kWindowSeconds = 10;  // and their time: 10 ms from record to record
  static constexpr int64_t kEpoch = 1767225600;  // 2026-01-01, the time of record 0

  Record At(int32_t partition, int64_t n) const;
  // The stateless pipeline's WHERE: amount % 10 <> 0.
  bool PassesFilter(int32_t partition, int64_t n) const;
  // The record as the JSON object that goes to the topic.
  std::string Json(int32_t partition, int64_t n) const;

  // Column k, e.g. "2h17" or "2c1234": partition, hot or cold, number.
  std::string KeyOf(int32_t partition, int64_t n) const;
  // All records of key k; nothing if there is no such key.
  std::optional<Group> OfKey(std::string_view key) const;
  // All records of partition p with n mod 16 = lane in the window that starts at `start` seconds
  // since 1970; nothing if no window starts there.
  std::optional<Group> OfWindow(int64_t partition, int64_t lane, int64_t start) const;
  // All records of partition p with n mod 16 = lane and n / 1000 = bucket.
  Group OfBucket(int32_t partition, int64_t lane, int64_t bucket) const;
};

}  // namespace millrace::chaos

#endif  // MILLRACE_TESTS_CHAOS_TRUTH_H_
