#include "executor/epoch/chunk_sizer.h"

#include <gtest/gtest.h>

namespace millrace::executor {
namespace {

TEST(ChunkSizerTest, GrowsOnlyOnceItIsKnownWhatRecordsBecome) {
  ChunkSizer sizer;
  EXPECT_EQ(sizer.rows(), ChunkSizer::kFirstRows);
  sizer.OnChunk(256, 256 * 100);
  EXPECT_EQ(sizer.rows(), 1024u);
  sizer.OnChunk(1024, 1024 * 100);
  sizer.OnChunk(4096, 4096 * 100);
  EXPECT_EQ(sizer.rows(), ChunkSizer::kMostRows);
}

TEST(ChunkSizerTest, RecordsThatBecomeLargeAreTakenFewAtATime) {
  ChunkSizer sizer;
  sizer.OnChunk(256, 256 * 100'000);
  EXPECT_EQ(sizer.rows(), static_cast<size_t>(ChunkSizer::kBytes / 100'000));
  sizer.OnChunk(83, int64_t{83} * 50'000'000);
  EXPECT_EQ(sizer.rows(), 1u);
  sizer.OnChunk(0, 0);
  EXPECT_EQ(sizer.rows(), 1u);
  sizer.OnChunk(1, 0);
  EXPECT_EQ(sizer.rows(), 4u) << "a filter may leave nothing";
}

}  // namespace
}  // namespace millrace::executor
