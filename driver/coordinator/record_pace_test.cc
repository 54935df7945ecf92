#include "driver/coordinator/record_pace.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace millrace::driver {
namespace {

constexpr int64_t kSecondUs = 1'000'000;

// Reads a partition whose records are so many positions apart, in order; records read by second.
std::vector<int64_t> ReadAtPace(const std::vector<int64_t>& sizes, int64_t rate, int64_t span_us,
                                int64_t seconds) {
  RecordPace pace;
  std::vector<int64_t> read(static_cast<size_t>(seconds));
  size_t next = 0;
  int64_t into = 0;  // how far the next record lies behind the position
  for (int64_t now_us = 0; now_us < seconds * kSecondUs; now_us += span_us) {
    const int64_t allowed = pace.Allowed(rate, span_us, span_us, now_us);
    int64_t left = allowed;
    int64_t records = 0;
    // A record that begins before the end is the split's.
    while (next < sizes.size() && left > into) {
      left -= into;
      into = sizes[next++];
      ++records;
    }
    into -= left;
    pace.OnRead(allowed, records);
    read[static_cast<size_t>(now_us / kSecondUs)] += records;
  }
  return read;
}

TEST(RecordPaceTest, DenseOffsetsAreRecords) {
  RecordPace pace;
  EXPECT_EQ(pace.Allowed(1000, 100'000, 100'000, 0), 100);
  pace.OnRead(100, 100);
  EXPECT_EQ(pace.Allowed(1000, 100'000, 100'000, 100'000), 100);
  pace.OnRead(100, 100);
  EXPECT_EQ(pace.Allowed(1000, 100'000, 100'000, 10 * kSecondUs), 100)
      << "silence is not made up for";
}

TEST(RecordPaceTest, LowRatesAreKeptByShortBatches) {
  RecordPace pace;
  int64_t records = 0;
  for (int64_t now_us = 0; now_us < 10 * kSecondUs; now_us += 10'000) {
    const int64_t allowed = pace.Allowed(2, 10'000, 10'000, now_us);
    pace.OnRead(allowed, allowed);
    records += allowed;
  }
  EXPECT_GE(records, 19);
  EXPECT_LE(records, 21);
}

TEST(RecordPaceTest, BytesOfAFileAreLearnedToBeFewerRecords) {
  const std::vector<int64_t> read = ReadAtPace(std::vector<int64_t>(100'000, 90), 1000, 100'000, 5);
  EXPECT_GE(read[0], 800);
  for (size_t second = 1; second < read.size(); ++second) {
    EXPECT_NEAR(static_cast<double>(read[second]), 1000, 30) << second;
  }
}

TEST(RecordPaceTest, RecordsThatBecomeSmallerExceedTheLimitForAMomentOnly) {
  std::vector<int64_t> sizes(3000, 1000);
  sizes.resize(100'000, 10);
  const std::vector<int64_t> read = ReadAtPace(sizes, 1000, 100'000, 20);
  int64_t all = 0;
  for (const int64_t records : read) {
    all += records;
  }
  EXPECT_LE(all, 20 * 1000 + 10'000) << "one batch planned with the old size";
  EXPECT_NEAR(static_cast<double>(read.back()), 1000, 30);
}

TEST(RecordPaceTest, HolesOfACompactedTopicCountForNothing) {
  std::vector<int64_t> sizes;
  for (int i = 0; i < 10'000; ++i) {
    sizes.push_back(i % 10 == 0 ? 191 : 1);  // a hole in front of every tenth: 20 offsets a record
  }
  const std::vector<int64_t> read = ReadAtPace(sizes, 100, kSecondUs, 30);
  int64_t all = 0;
  for (size_t second = 3; second < read.size(); ++second) {
    all += read[second];
  }
  EXPECT_NEAR(static_cast<double>(all) / 27, 100, 20);
}

}  // namespace
}  // namespace millrace::driver
