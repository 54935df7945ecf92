#include "driver/coordinator/excluded_executors.h"

#include <gtest/gtest.h>

#include <vector>

namespace millrace::driver {
namespace {

const char kWords[] = "it does not see the snapshots";

TEST(ExcludedExecutorsTest, StaysOutTwiceAsLongEachTime) {
  ExcludedExecutors excluded(100, 350);
  const ExecutorId id("e1");
  EXPECT_FALSE(excluded.IsExcluded(id, 0));
  int64_t now_us = 1000;
  for (const int64_t out_us : {100, 200, 350, 350}) {
    EXPECT_EQ(excluded.Exclude(id, "blue", kWords, now_us),
              "executor blue: it does not see the snapshots");
    EXPECT_TRUE(excluded.IsExcluded(id, now_us + out_us - 1)) << out_us;
    EXPECT_FALSE(excluded.IsExcluded(id, now_us + out_us)) << out_us;
    now_us += 1000;
  }
  EXPECT_EQ(excluded.all().size(), 1u) << "its time is over, its record is not clean";
  excluded.Forgive(id);
  EXPECT_TRUE(excluded.all().empty());
  excluded.Exclude(id, "blue", kWords, now_us);
  EXPECT_FALSE(excluded.IsExcluded(id, now_us + 100)) << "as if for the first time";
}

TEST(ExcludedExecutorsTest, ForgetsWhoIsGone) {
  ExcludedExecutors excluded(100, 350);
  excluded.Exclude(ExecutorId("e1"), "blue", kWords, 0);
  excluded.Exclude(ExecutorId("e2"), "red", kWords, 0);
  excluded.KeepLive({{.id = ExecutorId("e2")}, {.id = ExecutorId("e3")}});
  EXPECT_FALSE(excluded.IsExcluded(ExecutorId("e1"), 0));
  EXPECT_TRUE(excluded.IsExcluded(ExecutorId("e2"), 0));
}

}  // namespace
}  // namespace millrace::driver
