#include "common/types/jsonb_scan.h"

#include <gtest/gtest.h>

#include <string>

#include "common/types/jsonb_order.h"
#include "common/types/jsonb_text.h"

namespace millrace {
namespace {

std::string Repeat(int times, const std::string& text) {
  std::string out;
  for (int i = 0; i < times; ++i) {
    out += text;
  }
  return out;
}

std::string Arrays(int depth) { return Repeat(depth, "[") + Repeat(depth, "]"); }

std::string Objects(int depth) { return Repeat(depth, "{\"a\": ") + "1" + Repeat(depth, "}"); }

// Text from a disk or a network may not be canonical; each level of it used to take a frame of the
// stack.
TEST(JsonbScanTest, NoDepthEndsTheStack) {
  constexpr int kLevels = 3000;
  EXPECT_FALSE(JsonbContains(Arrays(kLevels), Arrays(kLevels)));
  EXPECT_FALSE(JsonbContains(Objects(kLevels), Objects(kLevels)));
  EXPECT_EQ(CompareJsonb(Arrays(kLevels), Arrays(kLevels)), 0);
  EXPECT_EQ(CompareJsonb(Objects(kLevels), Objects(kLevels)), 0);
}

TEST(JsonbScanTest, ContainsWhatReadersTake) {
  EXPECT_TRUE(JsonbContains(Arrays(kMaxJsonbDepth + 1), Arrays(kMaxJsonbDepth + 1)));
  EXPECT_TRUE(JsonbContains(Objects(kMaxJsonbDepth), Objects(kMaxJsonbDepth)));
}

TEST(JsonbScanTest, NestsTooDeeplyIsWhatReadersRefuse) {
  for (const std::string& json :
       {Arrays(kMaxJsonbDepth), Arrays(kMaxJsonbDepth + 1), Arrays(kMaxJsonbDepth + 2),
        Objects(kMaxJsonbDepth), Objects(kMaxJsonbDepth + 1), std::string("\"[[\""),
        std::string("[1, [], {}]"), "[" + Objects(kMaxJsonbDepth) + "]",
        "[1, " + Objects(kMaxJsonbDepth - 1) + ", []]",
        "[\"]\", " + Arrays(kMaxJsonbDepth + 1) + "]"}) {
    std::string canonical;
    EXPECT_EQ(NestsTooDeeply(json), !AppendCanonicalJsonb(json, &canonical).ok())
        << json.substr(0, 20);
  }
}

}  // namespace
}  // namespace millrace
