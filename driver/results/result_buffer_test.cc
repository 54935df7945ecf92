#include "driver/results/result_buffer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "common/base/steady_time.h"
#include "driver/results/ended_results.h"

namespace millrace::driver {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

proto::BatchResults Results(int64_t batch, size_t bytes = 10000) {
  proto::BatchResults results;
  results.set_batch(batch);
  results.add_tables()->set_rows(std::string(bytes, 'x'));
  return results;
}

// Reads the entries that the buffer has now.
std::vector<int64_t> ReadNow(ResultBuffer::Reader& reader, bool* end) {
  std::vector<int64_t> batches;
  *end = false;
  while (!*end) {
    const ResultBuffer::Entry entry = reader.Next(absl::InfinitePast(), end);
    if (entry == nullptr) {
      break;
    }
    batches.push_back(entry->batch());
  }
  return batches;
}

class ResultBufferTest : public ::testing::Test {
 protected:
  std::shared_ptr<ResultBuffer> New(int64_t max_bytes, bool hold) {
    return std::make_shared<ResultBuffer>(max_bytes, /*rows=*/true, hold,
                                          [this](bool held) { held_reports_.push_back(held); });
  }
  std::vector<bool> held_reports_;
  bool end_ = false;
};

TEST_F(ResultBufferTest, GivesWhatIsKeptFromTheBatchAskedFor) {
  const auto buffer = New(1 << 20, false);
  for (int64_t batch = 1; batch <= 4; ++batch) {
    buffer->Add(Results(batch));
  }
  EXPECT_THAT(ReadNow(*ResultBuffer::NewReader(buffer, 0), &end_), ElementsAre(1, 2, 3, 4));
  EXPECT_FALSE(end_);
  EXPECT_THAT(ReadNow(*ResultBuffer::NewReader(buffer, 3), &end_), ElementsAre(3, 4));
  EXPECT_THAT(ReadNow(*ResultBuffer::NewReader(buffer, 9), &end_), IsEmpty());
}

TEST_F(ResultBufferTest, DropsTheOldestButNeverTheNewest) {
  const auto buffer = New(35000, false);
  const auto slow = ResultBuffer::NewReader(buffer, 0);
  for (int64_t batch = 1; batch <= 9; ++batch) {
    buffer->Add(Results(batch));
  }
  EXPECT_THAT(ReadNow(*slow, &end_), ElementsAre(7, 8, 9)) << "a slow follower misses batches";
  buffer->Add(Results(10, 500000));
  EXPECT_THAT(ReadNow(*slow, &end_), ElementsAre(10));
  EXPECT_THAT(held_reports_, IsEmpty());
}

TEST_F(ResultBufferTest, EndComesAfterEverything) {
  const auto buffer = New(1 << 20, false);
  const auto reader = ResultBuffer::NewReader(buffer, 0);
  buffer->Add(Results(1));
  proto::BatchResults last;
  last.set_phase(proto::PHASE_FINISHED);
  buffer->Finish(last);
  EXPECT_EQ(reader->Next(absl::InfinitePast(), &end_)->batch(), 1);
  EXPECT_FALSE(end_);
  EXPECT_EQ(reader->Next(absl::InfinitePast(), &end_)->phase(), proto::PHASE_FINISHED);
  EXPECT_TRUE(end_);
}

TEST_F(ResultBufferTest, WakesAFollower) {
  const auto buffer = New(1 << 20, false);
  const auto reader = ResultBuffer::NewReader(buffer, 0);
  std::thread writer([&] { buffer->Add(Results(1)); });
  const ResultBuffer::Entry entry = reader->Next(SteadyNow() + absl::Seconds(30), &end_);
  writer.join();
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->batch(), 1);
}

TEST_F(ResultBufferTest, HoldsUntilTheFollowerHasTaken) {
  const auto buffer = New(35000, true);
  for (int64_t batch = 1; batch <= 4; ++batch) {
    buffer->Add(Results(batch));
  }
  EXPECT_THAT(held_reports_, ElementsAre(true)) << "even before a follower comes";
  auto reader = ResultBuffer::NewReader(buffer, 0);
  reader->Next(absl::InfinitePast(), &end_);
  EXPECT_THAT(held_reports_, ElementsAre(true, false));
  EXPECT_THAT(ReadNow(*reader, &end_), ElementsAre(2, 3, 4)) << "nothing was dropped";
  for (int64_t batch = 5; batch <= 9; ++batch) {
    buffer->Add(Results(batch));
  }
  EXPECT_THAT(held_reports_, ElementsAre(true, false, true));
  reader.reset();
  EXPECT_THAT(held_reports_, ElementsAre(true, false, true, false)) << "nobody is left to wait for";
  buffer->Add(Results(10));
  EXPECT_EQ(held_reports_.size(), 4u);
}

// A batch without rows takes a hundred bytes of memory for ten on the wire, a million times a day.
TEST_F(ResultBufferTest, AJobWithoutRowsKeepsItsNewestEntryOnly) {
  const auto buffer =
      std::make_shared<ResultBuffer>(1 << 20, /*rows=*/false, /*hold=*/false, [](bool) {});
  const auto reader = ResultBuffer::NewReader(buffer, 0);
  for (int64_t batch = 1; batch <= 100000; ++batch) {
    proto::BatchResults progress;
    progress.set_batch(batch);
    buffer->Add(progress);
  }
  EXPECT_THAT(ReadNow(*reader, &end_), ElementsAre(100000));
  proto::BatchResults progress;
  progress.set_batch(100001);
  buffer->Add(progress);
  EXPECT_THAT(ReadNow(*reader, &end_), ElementsAre(100001));
  EXPECT_THAT(ReadNow(*ResultBuffer::NewReader(buffer, 0), &end_), ElementsAre(100001));
}

TEST_F(ResultBufferTest, SmallEntriesCountWithTheMemoryTheyTake) {
  const auto buffer = New(1 << 20, false);
  for (int64_t batch = 1; batch <= 100000; ++batch) {
    proto::BatchResults empty;
    empty.set_batch(batch);
    buffer->Add(empty);
  }
  // Counted by their few bytes on the wire, more than 100,000 entries would fit.
  EXPECT_LT(ReadNow(*ResultBuffer::NewReader(buffer, 0), &end_).size(), 10000u);
}

// The buffer of a job that has ended with so many entries.
std::shared_ptr<ResultBuffer> EndedWith(int64_t entries, bool hold) {
  auto buffer = std::make_shared<ResultBuffer>(1 << 20, /*rows=*/true, hold, [](bool) {});
  for (int64_t batch = 1; batch <= entries; ++batch) {
    buffer->Add(Results(batch));
  }
  buffer->Finish({});
  return buffer;
}

TEST(EndedResultsTest, OnlyTheNewestAreKeptTogetherWithinTheBound) {
  EndedResults ended;
  std::vector<std::shared_ptr<ResultBuffer>> buffers;
  for (size_t job = 0; job < 2 * EndedResults::kMaxJobs; ++job) {
    buffers.push_back(
        std::make_shared<ResultBuffer>(1 << 20, /*rows=*/true, /*hold=*/false, nullptr));
    proto::BatchResults results;
    results.set_batch(1);
    buffers.back()->Add(results);
    buffers.back()->Finish({});
    ended.Add(buffers.back(), 1 << 20);
  }
  size_t kept = 0;
  for (const auto& buffer : buffers) {
    kept += buffer->kept_bytes() > 0 ? 1 : 0;
  }
  EXPECT_EQ(kept, EndedResults::kMaxJobs);
  EXPECT_GT(buffers.back()->kept_bytes(), 0);
  bool end = false;
  const auto reader = ResultBuffer::NewReader(buffers.front(), 0);
  EXPECT_NE(reader->Next(absl::InfiniteFuture(), &end), nullptr);
  EXPECT_TRUE(end) << "how it ended stays";
}

TEST(EndedResultsTest, WhoReadsGetsTheRest) {
  auto buffer = std::make_shared<ResultBuffer>(1 << 20, /*rows=*/true, /*hold=*/false, nullptr);
  for (int64_t batch = 1; batch <= 2; ++batch) {
    proto::BatchResults results;
    results.set_batch(batch);
    buffer->Add(results);
  }
  buffer->Finish({});
  bool end = false;
  auto reader = ResultBuffer::NewReader(buffer, 2);
  EndedResults ended;
  ended.Add(buffer, /*max_bytes=*/1);
  ended.Add(std::make_shared<ResultBuffer>(1, true, false, nullptr), /*max_bytes=*/1);
  EXPECT_EQ(reader->Next(absl::InfiniteFuture(), &end)->batch(), 2);
  EXPECT_FALSE(end);
  reader.reset();
  EXPECT_EQ(buffer->kept_bytes(), 0);
}

// With `hold`, the rows were promised to a follower that may come after the job's end.
TEST(EndedResultsTest, WhatIsHeldForTheFirstFollowerStaysUntilItHasTakenIt) {
  const auto held = EndedWith(2, /*hold=*/true);
  constexpr int64_t kMaxBytes = 35'000;  // of three entries
  EndedResults ended;
  ended.Add(held, kMaxBytes);
  const auto second = EndedWith(1, /*hold=*/false);
  const auto third = EndedWith(1, /*hold=*/false);
  ended.Add(second, kMaxBytes);
  EXPECT_GT(second->kept_bytes(), 0);
  ended.Add(third, kMaxBytes);
  EXPECT_EQ(second->kept_bytes(), 0) << "what is held counts";
  EXPECT_GT(third->kept_bytes(), 0);

  bool end = false;
  auto reader = ResultBuffer::NewReader(held, 0);
  EXPECT_THAT(ReadNow(*reader, &end), ElementsAre(1, 2, 0));
  EXPECT_TRUE(end);
  reader.reset();
  EXPECT_EQ(held->kept_bytes(), 0);
  const auto fourth = EndedWith(1, /*hold=*/false);
  ended.Add(fourth, kMaxBytes);
  EXPECT_GT(third->kept_bytes(), 0) << "what was taken counts no more";
}

TEST(EndedResultsTest, WhatIsHeldForTheFirstFollowerCountsAlsoWhenLaterJobsEnd) {
  constexpr int64_t kMaxBytes = 35'000;  // of three entries
  EndedResults ended;
  const auto held = EndedWith(2, /*hold=*/true);
  ended.Add(held, kMaxBytes);
  const auto second = EndedWith(2, /*hold=*/false);
  ended.Add(second, kMaxBytes);
  EXPECT_GT(second->kept_bytes(), 0) << "the newest stay";
  const auto third = EndedWith(1, /*hold=*/false);
  ended.Add(third, kMaxBytes);
  EXPECT_EQ(second->kept_bytes(), 0) << "beside what was let go and is still held";
  EXPECT_GT(third->kept_bytes(), 0);
  EXPECT_GT(held->kept_bytes(), 0);
}

}  // namespace
}  // namespace millrace::driver
