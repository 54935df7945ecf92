// Each check accepts what a right job writes, and says so when a record is lost, twice, out of
// order or made of another prefix: a ledger that cannot fail proves nothing.
#include "tests/chaos/checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/chaos/latency_histogram.h"

namespace millrace::chaos {
namespace {

Truth SmallTruth() {
  Truth truth;
  truth.seed = 7;
  truth.partitions = 2;
  truth.hot_keys = 3;
  truth.cold_keys = 10;
  return truth;
}

class ChecksTest : public testing::Test {
 protected:
  void Use(const char* output) {
    check_ =
        NewCheck(output, truth_, &findings_, [this](int32_t p, int64_t n) { ++seen_[{p, n}]; });
    ASSERT_NE(check_, nullptr);
  }

  void Add(const std::string& value, int lane = 0, const std::string& key = "") {
    check_->Add({lane, key, std::string_view(value), "here"});
  }

  std::string RowOf(int32_t p, int64_t n) const {
    const Record record = truth_.At(p, n);
    char x[40];
    std::snprintf(x, sizeof(x), "%.17g", record.x);
    return absl::StrCat(R"({"p":)", p, R"(,"n":)", n, R"(,"k":")", truth_.KeyOf(p, n),
                        R"(","amount":)", 2 * record.amount, R"(,"x":)", x, "}");
  }

  // The aggregate of the first `count` records of a group, behind its key columns.
  std::string AggregateOf(const std::string& key_columns, const Group& group, int64_t count) const {
    int64_t amount = 0;
    ExactSum sum;
    for (int64_t i = 0; i < count; ++i) {
      const Record record = truth_.At(group.partition, group.At(i));
      amount += record.amount;
      sum.Add(record.x_units);
    }
    char x[40];
    std::snprintf(x, sizeof(x), "%.17g", sum.Rounded());
    return absl::StrCat("{", key_columns, R"(,"count":)", count, R"(,"amount":)", amount,
                        R"(,"x":)", x, "}");
  }

  std::string KeyRow(const std::string& key, int64_t count) const {
    return AggregateOf(absl::StrCat(R"("k":")", key, "\""), *truth_.OfKey(key), count);
  }

  // lost, duplicated, regressed, wrong
  std::vector<int64_t> Counted() const {
    return {findings_.count(Fault::kLost), findings_.count(Fault::kDuplicated),
            findings_.count(Fault::kRegressed), findings_.count(Fault::kWrong)};
  }

  const Truth truth_ = SmallTruth();
  Findings findings_;
  std::map<std::pair<int32_t, int64_t>, int> seen_;
  std::unique_ptr<OutputCheck> check_;
};

using testing::ElementsAre;

TEST_F(ChecksTest, RowsThatAreAllThereAreRight) {
  Use("plain");
  for (int32_t p = 0; p < 2; ++p) {
    for (int64_t n = 0; n < 100; ++n) {
      if (truth_.PassesFilter(p, n)) {
        Add(RowOf(p, n), /*lane=*/static_cast<int>(n % 3));
      }
    }
  }
  EXPECT_TRUE(check_->Complete({100, 100}));
  check_->ExpectBelow(check_->Frontier());
  check_->Finish({100, 100});
  EXPECT_THAT(Counted(), ElementsAre(0, 0, 0, 0));
  for (const auto& [record, times] : seen_) {
    EXPECT_EQ(times, 1);
  }
}

TEST_F(ChecksTest, RowsLostTwiceAndOutOfOrderAreFound) {
  Use("plain");
  std::vector<int64_t> passing;
  for (int64_t n = 0; passing.size() < 4; ++n) {
    if (truth_.PassesFilter(0, n)) {
      passing.push_back(n);
    }
  }
  Add(RowOf(0, passing[0]));
  Add(RowOf(0, passing[2]));
  Add(RowOf(0, passing[1]));              // after a later one, in the same lane
  Add(RowOf(0, passing[1]), /*lane=*/1);  // again, elsewhere
  EXPECT_THAT(Counted(), ElementsAre(0, 1, 1, 0));
  EXPECT_FALSE(check_->Complete({passing[3] + 1, 0}));
  check_->Finish({passing[3] + 1, 0});
  EXPECT_THAT(Counted(), ElementsAre(1, 1, 1, 0));
}

TEST_F(ChecksTest, AGapWhileTheJobRunsIsFound) {
  Use("plain");
  int64_t n = 5;
  while (!truth_.PassesFilter(1, n)) {
    ++n;
  }
  Add(RowOf(1, n));
  check_->ExpectBelow(check_->Frontier());
  EXPECT_THAT(Counted(), ElementsAre(0, 0, 1, 0));
}

TEST_F(ChecksTest, RowsThatWereNeverSentAreWrong) {
  Use("plain");
  int64_t n = 0;
  while (truth_.PassesFilter(0, n)) {
    ++n;
  }
  Add(RowOf(0, n));  // the filter drops it
  std::string changed = RowOf(0, n + 1);
  changed.replace(changed.find("\"amount\":"), 9, "\"amount\":1");
  Add(changed);
  Add("not a row");
  EXPECT_THAT(Counted(), ElementsAre(0, 0, 0, 3));
}

TEST_F(ChecksTest, RunningGroupsGoForwardOnly) {
  Use("running");
  Add(KeyRow("1h2", 1));
  Add(KeyRow("1h2", 4));
  EXPECT_THAT(Counted(), ElementsAre(0, 0, 0, 0));
  EXPECT_EQ(seen_.size(), 4u);
  Add(KeyRow("1h2", 4));
  Add(KeyRow("1h2", 3));
  EXPECT_THAT(Counted(), ElementsAre(0, 1, 1, 0));
}

TEST_F(ChecksTest, ARunningSumOfOtherRecordsIsWrong) {
  Use("running");
  // As if record 2 of the key had been counted twice and record 3 not at all.
  const Group group = *truth_.OfKey("0c1");
  int64_t amount = 0;
  for (const int64_t ordinal : {0, 1, 1}) {
    amount += truth_.At(0, group.At(ordinal)).amount;
  }
  Add(absl::StrCat(R"({"k":"0c1","count":3,"amount":)", amount, R"(,"x":0.5})"));
  EXPECT_THAT(Counted(), ElementsAre(0, 0, 0, 1));
}

TEST_F(ChecksTest, RunningGroupsThatEndTooEarlyAreLost) {
  Use("running");
  const Counts produced = {13, 0};  // keys 0h0 … 0h2 and 0c0 … 0c6 of partition 0
  for (const auto& [key, count] :
       std::map<std::string, int64_t>{{"0h0", 2}, {"0h1", 2}, {"0h2", 1}, {"0c0", 1}, {"0c1", 1}}) {
    Add(KeyRow(key, count));
  }
  EXPECT_FALSE(check_->Complete(produced));
  check_->Finish(produced);
  // 0h2 has one of two, and of 0c2 … 0c6 there is nothing; 6 odd and 7 even records were sent.
  EXPECT_EQ(findings_.count(Fault::kLost), 13 - 7);
  EXPECT_EQ(findings_.total(), 13 - 7);
}

TEST_F(ChecksTest, WindowsEndWhereTheirTimeDoes) {
  Use("windows");
  const std::string key = R"("p":1,"g":3,"start":1767225610)";
  const Group window = *truth_.OfWindow(1, 3, 1767225610);
  const int64_t all = window.CountBelow(1 << 20);
  EXPECT_EQ(all, 62 + (window.first + 62 * 16 < 2000 ? 1 : 0));
  Add(AggregateOf(key, window, all));
  EXPECT_THAT(Counted(), ElementsAre(0, 0, 0, 0));
  Add(AggregateOf(key, window, all + 1));
  EXPECT_THAT(Counted(), ElementsAre(0, 0, 0, 1));
}

TEST_F(ChecksTest, PartsThatOverlapAreFound) {
  Use("parts");
  const auto part = [&](int64_t low, int64_t high) {
    int64_t amount = 0;
    for (int64_t n = low; n <= high; n += 16) {
      amount += truth_.At(0, n).amount;
    }
    return absl::StrCat(R"({"p":0,"g":2,"start":1767225600,"count":)", (high - low) / 16 + 1,
                        R"(,"low":)", low, R"(,"high":)", high, R"(,"amount":)", amount, "}");
  };
  Add(part(2, 34));
  Add(part(50, 66));
  EXPECT_THAT(Counted(), ElementsAre(0, 0, 0, 0));
  Add(part(66, 82));
  EXPECT_THAT(Counted(), ElementsAre(0, 1, 0, 0));
  check_->Finish({3, 0});
  EXPECT_EQ(findings_.count(Fault::kLost), 2);   // records 0 and 1
  EXPECT_EQ(findings_.count(Fault::kWrong), 1);  // 82 of 3 records
}

TEST_F(ChecksTest, JoinedValuesKeepTheirOrder) {
  Use("joined");
  const auto row = [](const std::string& ids) {
    return absl::StrCat(R"({"g":1,"bucket":0,"ids":")", ids, R"("})");
  };
  Add(row("0.1 1.1"));
  Add(row("0.1 1.1 1.17 0.17"));
  EXPECT_THAT(Counted(), ElementsAre(0, 0, 0, 0));
  EXPECT_EQ(seen_.size(), 4u);
  Add(row("0.1 1.1 1.17 0.17"));
  EXPECT_THAT(Counted(), ElementsAre(0, 1, 0, 0));
  Add(row("1.1 0.1 1.17 0.17 0.33"));  // another order than the one that was out
  EXPECT_THAT(Counted(), ElementsAre(0, 1, 1, 0));
  Add(row("0.1 1.1 1.17 0.17 0.49"));  // 0.33 is left out
  EXPECT_THAT(Counted(), ElementsAre(0, 1, 1, 1));
  Add(row("0.1 1.1 1.17 0.170"));
  EXPECT_THAT(Counted(), ElementsAre(0, 1, 2, 1));
}

TEST_F(ChecksTest, TheHistogramIsThatOfAllKeys) {
  Use("histogram");
  const auto add = [&](int64_t touched, int64_t keys) {
    const std::string key = absl::StrCat(R"({"touched":)", touched, "}");
    if (keys == 0) {
      check_->Add({0, key, std::nullopt, "here"});
    } else {
      Add(absl::StrCat(R"({"touched":)", touched, R"(,"keys":)", keys, "}"), 0, key);
    }
  };
  const Counts produced = {6, 0};  // 3 hot keys and 3 cold ones, once each
  add(1, 6);
  EXPECT_TRUE(check_->Complete(produced));
  add(2, 1);
  EXPECT_FALSE(check_->Complete(produced));
  add(2, 0);
  EXPECT_TRUE(check_->Complete(produced));
  check_->Finish(produced);
  EXPECT_THAT(Counted(), ElementsAre(0, 0, 0, 0));
  add(1, 6);
  add(2, 0);
  EXPECT_THAT(Counted(), ElementsAre(0, 2, 0, 0));
  check_->Finish({7, 0});  // the 4th cold key
  EXPECT_THAT(Counted(), ElementsAre(0, 2, 0, 1));
}

TEST(TruthTest, GroupsCoverTheInput) {
  const Truth truth = SmallTruth();
  std::map<std::string, int64_t> counts;
  for (int64_t n = 0; n < 500; ++n) {
    const std::string key = truth.KeyOf(1, n);
    ASSERT_EQ(truth.OfKey(key)->At(counts[key]++), n) << key;
  }
  for (const auto& [key, count] : counts) {
    EXPECT_EQ(truth.OfKey(key)->CountBelow(500), count) << key;
  }
  for (int64_t bucket = 0; bucket < 3; ++bucket) {
    int64_t records = 0;
    for (int64_t lane = 0; lane < Truth::kLanes; ++lane) {
      const Group group = truth.OfBucket(0, lane, bucket);
      EXPECT_EQ(group.first % Truth::kLanes, lane);
      EXPECT_GE(group.first, bucket * Truth::kBucket);
      records += group.CountBelow(1 << 20);
    }
    EXPECT_EQ(records, Truth::kBucket);
  }
  EXPECT_FALSE(truth.OfKey("2h0"));
  EXPECT_FALSE(truth.OfKey("0h3"));
  EXPECT_FALSE(truth.OfWindow(0, 0, 1767225605));
}

TEST(TruthTest, SumsAreRoundedOnce) {
  const Truth truth = SmallTruth();
  ExactSum sum;
  double naive = 0;
  for (int64_t n = 0; n < 200; ++n) {
    const Record record = truth.At(0, n);
    EXPECT_EQ(std::ldexp(static_cast<double>(record.x_units), -40), record.x);
    sum.Add(record.x_units);
    naive += record.x;
  }
  // Magnitudes are mixed enough for a plain sum to be wrong, and order to matter.
  EXPECT_NE(sum.Rounded(), naive);
  EXPECT_EQ(sum.Rounded(), 8.851184513381064e+16);  // Python's math.fsum of the same 200
}

TEST(LatencyHistogramTest, KnowsPercentilesToThreePercent) {
  LatencyHistogram histogram;
  for (int64_t us = 1; us <= 100000; ++us) {
    histogram.Add(us);
  }
  EXPECT_NEAR(histogram.Ms(0.5), 50, 1.6);
  EXPECT_NEAR(histogram.Ms(0.99), 99, 3.2);
  EXPECT_EQ(histogram.Ms(1), 100);
}

}  // namespace
}  // namespace millrace::chaos
