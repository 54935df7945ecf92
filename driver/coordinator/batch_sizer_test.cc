#include "driver/coordinator/batch_sizer.h"

#include <gtest/gtest.h>

namespace millrace::driver {
namespace {

TEST(BatchSizerTest, NothingKnownIsTakenForMuch) {
  const BatchSizer sizer;
  EXPECT_EQ(sizer.CostPerOffset(RecordSize()), BatchSizer::kUnknownBytes);
}

TEST(BatchSizerTest, LargerRecordsAreBelievedAtOnceAndSmallerOnesSlowly) {
  const BatchSizer sizer;
  RecordSize size;
  size.Read(1000, 100 * 1000, 1000);
  EXPECT_EQ(sizer.CostPerOffset(size), 100);
  size.Read(1, 50'000, 1);
  EXPECT_EQ(sizer.CostPerOffset(size), 50'000);
  size.Read(1000, 100 * 1000, 1000);
  EXPECT_GT(sizer.CostPerOffset(size), 30'000);
  for (int batch = 0; batch < 50; ++batch) {
    size.Read(1000, 100 * 1000, 1000);
  }
  EXPECT_LT(sizer.CostPerOffset(size), 110);
}

TEST(BatchSizerTest, WhatIsFetchedTellsOfTheNextBatch) {
  const BatchSizer sizer;
  RecordSize size;
  size.Read(1000, 100 * 1000, 1000);
  size.Fetched(9000);
  EXPECT_EQ(sizer.CostPerOffset(size), 9000);
  size.Fetched(0);  // nothing is fetched just now
  EXPECT_EQ(sizer.CostPerOffset(size), 9000);
  size.Fetched(10);
  EXPECT_EQ(sizer.CostPerOffset(size), 100);
}

TEST(BatchSizerTest, RecordsWithoutBytesAreKnownToBeSmall) {
  const BatchSizer sizer;
  RecordSize size;
  size.Read(0, 0, 1000);
  EXPECT_EQ(sizer.CostPerOffset(size), BatchSizer::kUnknownBytes) << "a gap says nothing";
  size.Read(1000, 0, 1000);
  EXPECT_EQ(sizer.CostPerOffset(size), 1);
}

// A line of 60 MB in a file: the record belongs to the offset where it begins, and the 60 million
// offsets behind that were planned by twenties, a batch each.
TEST(BatchSizerTest, OffsetsBehindAHugeRecordAreNotTakenForMoreOfThem) {
  const BatchSizer sizer;
  RecordSize size;
  size.Read(1, 60'000'000, 288);
  EXPECT_GT(sizer.CostPerOffset(size), 200'000);
  for (int batch = 0; batch < 50; ++batch) {
    size.Read(0, 0, 20);
  }
  EXPECT_LT(sizer.CostPerOffset(size), 2);
  EXPECT_GE(sizer.CostPerOffset(size), 1) << "known to be small";
}

TEST(BatchSizerTest, OutputThatIsLargerThanItsInputCounts) {
  BatchSizer sizer;
  RecordSize size;
  size.Read(1000, 100 * 1000, 1000);
  sizer.OnBatch(1000, 100 * 1000, 100'000 * 1000);
  EXPECT_EQ(sizer.CostPerOffset(size), 100'000);
  sizer.OnBatch(0, 0, 0);
  EXPECT_EQ(sizer.CostPerOffset(size), 100'000) << "an empty batch says nothing";
  for (int batch = 0; batch < 100; ++batch) {
    sizer.OnBatch(100'000, 10'000'000, 2'000'000);
  }
  EXPECT_EQ(sizer.CostPerOffset(size), 100) << "input costs at least itself";
}

TEST(BatchSizerTest, MuchOutputOfLittleInputDoesNotKeepBatchesSmall) {
  BatchSizer sizer;
  RecordSize size;
  size.Read(1000, 100 * 1000, 1000);
  sizer.OnBatch(0, 0, 50'000'000);  // state that expires, without any input
  EXPECT_EQ(sizer.CostPerOffset(size), 100);
  sizer.OnBatch(1, 100, 50'000'000);  // a window that closes
  EXPECT_EQ(sizer.CostPerOffset(size), 50'000'000);
  for (int batch = 0; batch < 25; ++batch) {
    sizer.OnBatch(1, 100, 100);  // batches are small again
  }
  EXPECT_EQ(sizer.CostPerOffset(size), 100);
}

TEST(BatchSizerTest, TwoBatchesAndAWrongEstimateFitIntoWhatSinksMayHold) {
  for (const int64_t memory : {int64_t{8} << 20, int64_t{512} << 20, int64_t{8} << 30}) {
    const int64_t may_be_held = memory / 2;
    EXPECT_LE(2 * BatchSizer::BatchBytes(memory) + BatchSizer::BatchBytes(memory) / 2, may_be_held);
    EXPECT_LE(BatchSizer::LittleHeldBytes(memory) + 2 * BatchSizer::BatchBytes(memory),
              may_be_held);
  }
  EXPECT_EQ(BatchSizer::BatchBytes(int64_t{512} << 20), int64_t{96} << 20);
  EXPECT_GT(BatchSizer::BatchBytes(0), 0) << "an executor that does not say";
  EXPECT_GT(BatchSizer::BatchBytes(1), 0);
}

}  // namespace
}  // namespace millrace::driver
