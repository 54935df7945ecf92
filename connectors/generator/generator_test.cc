#include "connectors/generator/generator.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/types/text_format.h"
#include "connectors/testing/table_testing.h"

namespace millrace::generator {
namespace {

proto::Source GeneratorTable(const Columns& columns, const Options& options) {
  proto::Source source = Table(columns, options);
  source.set_connector("generator");
  return source;
}

// Rows [begin, end) of a partition as text, column by column.
std::vector<std::vector<std::string>> Generate(const proto::Source& source,
                                               const std::string& partition, int64_t begin,
                                               int64_t end) {
  auto connector = NewGeneratorSourceConnector();
  EXPECT_TRUE(connector->Validate(source).ok()) << connector->Validate(source);
  auto reader = connector->CreateReader(source, SourceContext{});
  EXPECT_TRUE((*reader)->Assign({partition, Offset(begin)}).ok());
  auto chunk = (*reader)->Read(partition, Offset(end), 100000, 0, absl::InfiniteFuture());
  EXPECT_TRUE(chunk.ok()) << chunk.status();
  std::vector<std::vector<std::string>> columns;
  for (const ColumnPtr& column : chunk->batch.columns()) {
    columns.emplace_back();
    for (size_t row = 0; row < column->size(); ++row) {
      columns.back().push_back(ValueToString(*column, row));
    }
  }
  return columns;
}

class StoppedClock : public Clock {
 public:
  absl::Time Now() override { return absl::UnixEpoch() + absl::Nanoseconds(now_ns); }
  int64_t MonotonicNs() override { return now_ns; }
  int64_t now_ns = 0;
};

TEST(Generator, SequencesAreDenseOverAllPartitions) {
  proto::Source source = GeneratorTable(
      {{"n", proto::TYPE_INT64}, {"at", proto::TYPE_TIMESTAMP}},
      {{"partitions", "2"}, {"rows", "10"}, {"min.n", "100"}, {"min.at", "2026-01-01"}});
  auto first = Generate(source, "generator/0", 0, 5);
  EXPECT_EQ(first[0], (std::vector<std::string>{"100", "102", "104", "106", "108"}));
  EXPECT_EQ(first[1][1], "2026-01-01 00:00:02");
  EXPECT_EQ(Generate(source, "generator/1", 0, 5)[0],
            (std::vector<std::string>{"101", "103", "105", "107", "109"}));
}

TEST(Generator, ValuesDependOnSeedPartitionAndOffsetOnly) {
  Options options = {{"partitions", "2"}, {"rows", "2000"}, {"seed", "7"}};
  std::vector<std::pair<std::string, proto::TypeKind>> columns = {{"r", proto::TYPE_FLOAT64},
                                                                  {"t", proto::TYPE_TEXT}};
  auto whole = Generate(GeneratorTable(columns, options), "generator/0", 0, 1000);
  auto part = Generate(GeneratorTable(columns, options), "generator/0", 600, 700);
  for (size_t column = 0; column < 2; ++column) {
    EXPECT_EQ(part[column],
              std::vector<std::string>(whole[column].begin() + 600, whole[column].begin() + 700));
  }
  EXPECT_NE(whole, Generate(GeneratorTable(columns, options), "generator/1", 0, 1000));
  options[2].second = "8";
  EXPECT_NE(whole, Generate(GeneratorTable(columns, options), "generator/0", 0, 1000));
}

TEST(Generator, RandomValuesStayInTheirBoundsAndFillThem) {
  proto::Source source = GeneratorTable({{"i", proto::TYPE_INT32},
                                         {"d", proto::TYPE_FLOAT64},
                                         {"k", proto::TYPE_TEXT},
                                         {"b", proto::TYPE_BOOL}},
                                        {{"rows", "2000"},
                                         {"kind.i", "random"},
                                         {"min.i", "-3"},
                                         {"max.i", "3"},
                                         {"min.d", "10"},
                                         {"max.d", "11"},
                                         {"cardinality.k", "5"},
                                         {"length.k", "20"}});
  auto columns = Generate(source, "generator/0", 0, 2000);
  std::set<std::string> integers(columns[0].begin(), columns[0].end());
  EXPECT_EQ(integers, (std::set<std::string>{"-3", "-2", "-1", "0", "1", "2", "3"}));
  double sum = 0;
  for (const std::string& text : columns[1]) {
    double value = std::stod(text);
    EXPECT_GE(value, 10);
    EXPECT_LT(value, 11);
    sum += value;
  }
  EXPECT_NEAR(sum / 2000, 10.5, 0.05);
  std::set<std::string> keys(columns[2].begin(), columns[2].end());
  EXPECT_EQ(keys.size(), 5u);
  EXPECT_EQ(keys.begin()->size(), 20u);
  EXPECT_EQ(std::set<std::string>(columns[3].begin(), columns[3].end()).size(), 2u);
}

TEST(Generator, WordsComeFromAVocabulary) {
  proto::Source source = GeneratorTable(
      {{"line", proto::TYPE_TEXT}},
      {{"rows", "2000"}, {"kind.line", "words"}, {"cardinality.line", "50"}, {"length.line", "6"}});
  std::set<std::string> vocabulary;
  auto columns = Generate(source, "generator/0", 0, 2000);
  for (const std::string& line : columns[0]) {
    std::vector<std::string> words = absl::StrSplit(line, ' ');
    EXPECT_EQ(words.size(), 6u) << line;
    vocabulary.insert(words.begin(), words.end());
  }
  EXPECT_EQ(vocabulary.size(), 50u);
}

TEST(Generator, EndsGrowWithTheClock) {
  StoppedClock clock;
  clock.now_ns = 5000000000;
  auto connector = NewGeneratorSourceConnector(&clock);
  proto::Source source =
      GeneratorTable({{"n", proto::TYPE_INT64}}, {{"rows_per_second", "100"}, {"partitions", "2"}});
  auto enumerator = connector->CreateEnumerator(source, SourceContext{});
  ASSERT_TRUE(enumerator.ok());
  std::vector<PartitionName> partitions = *(*enumerator)->Discover(absl::Seconds(1));
  auto ends = [&] {
    auto found = (*enumerator)->Ends(partitions, absl::Seconds(1));
    return std::vector<int64_t>{(*found)[0].stable_end.value(), (*found)[1].stable_end.value()};
  };
  EXPECT_EQ(ends(), (std::vector<int64_t>{0, 0}));
  clock.now_ns += 50000000;  // five rows: three and two
  EXPECT_EQ(ends(), (std::vector<int64_t>{3, 2}));
  clock.now_ns += 950000000;
  EXPECT_EQ(ends(), (std::vector<int64_t>{50, 50}));
  EXPECT_FALSE(connector->Traits(source).bounded);
  // A job that was already further goes on from there at once instead of waiting.
  (*enumerator)
      ->Remember({{.name = partitions[0], .next = Offset(500)},
                  {.name = partitions[1], .next = Offset(500)}});
  EXPECT_EQ(ends(), (std::vector<int64_t>{500, 500}));
  clock.now_ns += 1000000000;
  EXPECT_EQ(ends(), (std::vector<int64_t>{550, 550}));
}

TEST(Generator, RefusesOptionsThatDoNotFit) {
  auto connector = NewGeneratorSourceConnector();
  auto refusal = [&](proto::TypeKind type, const Options& options) {
    return std::string(connector->Validate(GeneratorTable({{"col", type}}, options)).message());
  };
  EXPECT_TRUE(
      absl::StrContains(refusal(proto::TYPE_INT32, {{"kind.col", "words"}}), "words are text"));
  EXPECT_TRUE(absl::StrContains(refusal(proto::TYPE_INT32, {{"kind.col", "zipf"}}),
                                "sequence, random, words"));
  EXPECT_TRUE(absl::StrContains(refusal(proto::TYPE_INT32, {{"kind.cool", "random"}}),
                                "did you mean col?"));
  EXPECT_TRUE(absl::StrContains(refusal(proto::TYPE_INT32, {{"min.col", "x"}}), "option min.col"));
  EXPECT_TRUE(
      absl::StrContains(refusal(proto::TYPE_INT32, {{"min.col", "9"}, {"max.col", "3"}}), "below"));
  EXPECT_TRUE(absl::StrContains(refusal(proto::TYPE_JSONB, {}), "makes no jsonb"));
  EXPECT_TRUE(absl::StrContains(refusal(proto::TYPE_INT32, {{"rows_per_second", "-1"}}),
                                "rows_per_second"));
}

}  // namespace
}  // namespace millrace::generator
