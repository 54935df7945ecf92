// Checks the formats against JSON (RFC 8259), CSV (RFC 4180) and PostgreSQL's text forms.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "connectors/formats/csv/csv_format.h"
#include "connectors/formats/csv/csv_record.h"
#include "connectors/formats/formats_testing.h"
#include "connectors/formats/json/json_format.h"
#include "connectors/formats/raw/raw_format.h"
#include "connectors/formats/utf8.h"

namespace millrace {
namespace {

TEST(Utf8, FindsBadBytesWhereverTheyStand) {
  for (size_t length = 1; length < 40; ++length) {
    for (size_t at = 0; at < length; ++at) {
      std::string text(length, 'x');
      EXPECT_TRUE(IsText(text));
      for (char bad : {'\xff', '\x80', '\0'}) {
        text[at] = bad;
        EXPECT_FALSE(IsText(text)) << length << " " << at << " " << static_cast<int>(bad);
      }
    }
  }
  EXPECT_TRUE(IsText("grüße, 漢字, 😀"));
  EXPECT_FALSE(IsText("\xed\xa0\x80"));  // a surrogate
  EXPECT_FALSE(IsText("\xc0\xaf"));      // overlong
}

TEST(RawFormat, PassesValuesAndKeysOn) {
  auto format = NewRawFormat();
  EXPECT_EQ(Decode(*format, Table({{"value", proto::TYPE_TEXT}}),
                   {"a", "", "<none>", "a longer text, not inline"})
                .rows,
            (Rows{"a", "", "NULL", "a longer text, not inline"}));
  proto::Source keyed = Table({{"id", proto::TYPE_TEXT}, {"body", proto::TYPE_BYTEA}});
  keyed.add_primary_key("id");
  EXPECT_EQ(Decode(*format, keyed, {"v", "<none>"}, {"k1", "k2"}).rows,
            (Rows{"k1|\\x76", "k2|NULL"}));
  // Without a PRIMARY KEY a column called key is the key.
  EXPECT_EQ(
      Decode(*format, Table({{"v", proto::TYPE_TEXT}, {"key", proto::TYPE_TEXT}}), {"a"}, {"b"})
          .rows,
      Rows{"a|b"});
}

TEST(RawFormat, RefusesWhatIsNotText) {
  auto format = NewRawFormat();
  Decoded decoded = Decode(*format, Table({{"line", proto::TYPE_TEXT}}), {"ok", "\xff", "ok"});
  ASSERT_EQ(decoded.errors.size(), 1u);
  EXPECT_TRUE(absl::StrContains(decoded.errors[0], "1: the value (column line) is not valid UTF-8"))
      << decoded.errors[0];
  EXPECT_TRUE(Decode(*format, Table({{"line", proto::TYPE_BYTEA}}), {"\xff"}).errors.empty());

  absl::Status status = format->ValidateSource(Table({{"n", proto::TYPE_INT64}}));
  EXPECT_TRUE(absl::StrContains(status.message(), "column n of table t is bigint")) << status;
  EXPECT_FALSE(
      format->ValidateSource(Table({{"a", proto::TYPE_TEXT}, {"b", proto::TYPE_TEXT}})).ok());
}

TEST(RawFormat, EncodesUpserts) {
  auto format = NewRawFormat();
  proto::Sink sink = Target({{"k", proto::TYPE_TEXT}, {"v", proto::TYPE_TEXT}});
  sink.add_key_columns(0);
  sink.set_mode(proto::SINK_UPSERT);
  Batch batch(
      {Values(proto::TYPE_TEXT, {"a", "b", "c"}), Values(proto::TYPE_TEXT, {"1", "2", "NULL"})}, 3);
  batch.set_weights(Values(proto::TYPE_INT64, {"1", "-1", "1"}));
  EXPECT_EQ(Encode(*format, sink, batch), (Rows{"a -> 1", "b -> none", "c -> none"}));
}

TEST(JsonFormat, ReadsEveryType) {
  auto format = NewJsonFormat();
  proto::Source source = Table({{"b", proto::TYPE_BOOL},
                                {"i", proto::TYPE_INT32},
                                {"l", proto::TYPE_INT64},
                                {"d", proto::TYPE_FLOAT64},
                                {"n", proto::TYPE_NUMERIC},
                                {"t", proto::TYPE_TEXT},
                                {"day", proto::TYPE_DATE},
                                {"at", proto::TYPE_TIMESTAMPTZ},
                                {"j", proto::TYPE_JSONB}});
  Decoded decoded = Decode(
      *format, source,
      {R"({"b": true, "i": 7, "l": 9223372036854775807, "d": 1.5, "n": 12345678901234567890.10,
                                "t": "x", "day": "2026-01-31", "at": "2026-01-31T12:00:00Z", "j": {"b":1, "a" :[2]}})",
       R"({"b": null, "other": [1, {"i": 3}], "t": 12.50})", "{}",
       R"({"i": "7", "at": 1500, "t": {"a": 1}, "b": "f", "d": 3})"});
  EXPECT_EQ(decoded.errors, Rows{});
  EXPECT_EQ(decoded.rows, (Rows{"t|7|9223372036854775807|1.5|12345678901234567890.10|x|2026-01-31|"
                                "2026-01-31 12:00:00+00|{\"a\": [2], \"b\": 1}",
                                "NULL|NULL|NULL|NULL|NULL|12.50|NULL|NULL|NULL",
                                "NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL",
                                "f|7|NULL|3|NULL|{\"a\": 1}|NULL|1970-01-01 00:00:01.5+00|NULL"}));
}

TEST(JsonFormat, UnescapesText) {
  auto format = NewJsonFormat();
  EXPECT_EQ(Decode(*format, Table({{"t", proto::TYPE_TEXT}}),
                   {R"({"t": "line\nbreak \"quoted\" é 😀"})",
                    R"({"t": "no escapes but longer than twelve"})", R"({"t": ""})"})
                .rows,
            (Rows{"line\nbreak \"quoted\" é 😀", "no escapes but longer than twelve", ""}));
}

TEST(JsonFormat, SaysWhatIsWrongWithARecord) {
  auto format = NewJsonFormat();
  proto::Source source = Table({{"i", proto::TYPE_INT32}});
  std::vector<std::string> bad = {"",
                                  "nonsense",
                                  "[1]",
                                  R"({"i": 1)",
                                  R"({"i": 1} x)",
                                  R"({"i": "x"})",
                                  R"({"i": 3000000000})",
                                  R"({"i": 1.5})",
                                  "{\"i\": 1, \"t\": \"\xff\"}",
                                  "\"i\""};
  Decoded decoded = Decode(*format, source, bad);
  EXPECT_EQ(decoded.errors.size(), bad.size());
  EXPECT_TRUE(absl::StrContains(decoded.errors[5],
                                "column i: invalid input syntax for type integer: \"x\""))
      << decoded.errors[5];
  EXPECT_TRUE(absl::StrContains(decoded.errors[0], "not a JSON object")) << decoded.errors[0];
  // A bad record does not disturb the next.
  EXPECT_EQ(Decode(*format, source, {"{", R"({"i": 2})"}).rows[1], "2");
}

TEST(JsonFormat, ATombstoneHasItsKey) {
  auto format = NewJsonFormat();
  proto::Source source = Table({{"id", proto::TYPE_INT64}, {"v", proto::TYPE_TEXT}});
  source.add_primary_key("id");
  EXPECT_EQ(Decode(*format, source, {"<none>", R"({"id": 2, "v": "x"})"},
                   {R"({"id": 1})", R"({"id": 2})"})
                .rows,
            (Rows{"1|NULL", "2|x"}));
  (*source.mutable_options())["key.format"] = "raw";
  EXPECT_EQ(Decode(*format, source, {"<none>"}, {"17"}).rows, Rows{"17|NULL"});
}

TEST(JsonFormat, WritesWhatPostgresWould) {
  auto format = NewJsonFormat();
  proto::Sink sink = Target({{"t", proto::TYPE_TEXT},
                             {"n", proto::TYPE_NUMERIC},
                             {"d", proto::TYPE_FLOAT64},
                             {"b", proto::TYPE_BOOL},
                             {"at", proto::TYPE_TIMESTAMPTZ},
                             {"raw", proto::TYPE_BYTEA},
                             {"j", proto::TYPE_JSONB}});
  Batch batch(
      {Values(proto::TYPE_TEXT, {"a\"b\\c\n\x01", "NULL"}),
       Values(proto::TYPE_NUMERIC, {"1.50", "NaN"}),
       Values(proto::TYPE_FLOAT64, {"0.1", "Infinity"}), Values(proto::TYPE_BOOL, {"true", "NULL"}),
       Values(proto::TYPE_TIMESTAMPTZ, {"2026-01-31 12:00:00+00", "NULL"}),
       Values(proto::TYPE_BYTEA, {"\\x00ff", "NULL"}),
       Values(proto::TYPE_JSONB, {"{\"a\":1}", "NULL"})},
      2);
  EXPECT_EQ(
      Encode(*format, sink, batch),
      (Rows{
          R"(none -> {"t":"a\"b\\c\n\u0001","n":1.50,"d":0.1,"b":true,"at":"2026-01-31T12:00:00+00:00","raw":"\\x00ff","j":{"a": 1}})",
          R"(none -> {"t":null,"n":"NaN","d":"Infinity","b":null,"at":null,"raw":null,"j":null})"}));
}

TEST(JsonFormat, WritesTimesBeforeChristAsPostgresWould) {
  Batch batch({Values(proto::TYPE_TIMESTAMPTZ, {"0044-03-15 12:00:00+00 BC"}),
               Values(proto::TYPE_TIMESTAMP, {"0044-03-15 12:00:00 BC"})},
              1);
  EXPECT_EQ(Encode(*NewJsonFormat(),
                   Target({{"z", proto::TYPE_TIMESTAMPTZ}, {"t", proto::TYPE_TIMESTAMP}}), batch),
            Rows{R"(none -> {"z":"0044-03-15T12:00:00+00:00 BC","t":"0044-03-15T12:00:00 BC"})"});
}

TEST(JsonFormat, NestsAndKeysWhatItWrites) {
  auto format = NewJsonFormat();
  Columns columns = {
      {"id", proto::TYPE_INT64}, {"name", proto::TYPE_TEXT}, {"v", proto::TYPE_INT32}};
  proto::Sink sink = Target(columns, {{"path.id", "meta.id"}, {"path.name", "meta.user.name"}});
  sink.add_key_columns(0);
  sink.set_mode(proto::SINK_UPSERT);
  Batch batch({Values(proto::TYPE_INT64, {"1", "2"}), Values(proto::TYPE_TEXT, {"ann", "bob"}),
               Values(proto::TYPE_INT32, {"5", "6"})},
              2);
  batch.set_weights(Values(proto::TYPE_INT64, {"1", "-1"}));
  EXPECT_EQ(Encode(*format, sink, batch),
            (Rows{R"({"id":1} -> {"meta":{"id":1,"user":{"name":"ann"}},"v":5})",
                  R"({"id":2} -> none)"}));
  (*sink.mutable_options())["key.format"] = "raw";
  EXPECT_EQ(Encode(*format, sink, batch)[1], "2 -> none");
  // If columns of one object did not stand together, the object would be opened twice.
  sink = Target(columns, {{"path.id", "m.id"}, {"path.v", "m.v"}});
  EXPECT_TRUE(absl::StrContains(format->ValidateSink(sink).message(), "must stand together"));
  // If one column's path went through another's, that value would be both an object and a scalar.
  EXPECT_FALSE(format->ValidateSink(Target(columns, {{"path.id", "v.x"}})).ok());
  EXPECT_FALSE(format->ValidateSource(Table(columns, {{"path.idd", "x"}})).ok());
}

TEST(CsvRecord, SplitsAsRfc4180Says) {
  std::vector<CsvField> fields;
  ASSERT_TRUE(SplitCsvRecord("a,\"b,\"\"c\"\"\",,\"\"", ',', &fields).ok());
  ASSERT_EQ(fields.size(), 4u);
  std::string second;
  AppendUnescaped(fields[1], &second);
  EXPECT_EQ(second, "b,\"c\"");
  EXPECT_FALSE(fields[2].quoted);
  EXPECT_TRUE(fields[3].quoted);
  ASSERT_TRUE(SplitCsvRecord("", ',', &fields).ok());
  EXPECT_EQ(fields.size(), 1u);
  ASSERT_TRUE(SplitCsvRecord("a,", ',', &fields).ok());
  EXPECT_EQ(fields.size(), 2u);
  EXPECT_FALSE(SplitCsvRecord("\"open", ',', &fields).ok());
  EXPECT_FALSE(SplitCsvRecord("\"a\"b,c", ',', &fields).ok());
  EXPECT_FALSE(SplitCsvRecord("a\"b,c", ',', &fields).ok());
}

// What CsvRecordEnds makes of bytes that come in pieces; the last one has no end.
std::vector<std::string> CsvRecordsOf(std::string_view bytes, size_t piece) {
  CsvRecordEnds ends(',');
  std::vector<std::string> records(1);
  for (size_t begin = 0; begin < bytes.size(); begin += piece) {
    const std::string_view some = bytes.substr(begin, piece);
    size_t at = 0;
    for (size_t end = 0; (end = ends.Next(some, at)) != std::string_view::npos; at = end) {
      records.back().append(some.substr(at, end - at));
      records.emplace_back();
    }
    records.back().append(some.substr(at));
  }
  return records;
}

// When every quote was taken for the begin or the end of a field, a stray one made one record of
// all lines up to the next stray one, or up to the end of the file.
TEST(CsvRecord, AStrayQuoteSpoilsItsOwnRecordOnly) {
  const std::vector<std::string> records = {
      "5\" pipe,a\n",           "b,6\"\n",     "\"a\"b\",c\n", "\"x\ny\",\"\"\"\n\",z\n",
      "\xEF\xBB\xBF\"m\nn\"\n", "\"end\"\r\n", "\n",           ",\"\n\",\n",
      "\"never closed\n",
  };
  const std::string bytes = absl::StrJoin(records, "");
  for (const size_t piece : {bytes.size(), size_t{1}, size_t{3}}) {
    EXPECT_EQ(CsvRecordsOf(bytes, piece), records) << piece;
  }
}

TEST(CsvFormat, TellsNullFromEmpty) {
  auto format = NewCsvFormat();
  Columns columns = {{"a", proto::TYPE_TEXT}, {"b", proto::TYPE_INT32}};
  EXPECT_EQ(
      Decode(*format, Table(columns), {"x,1", "\"\",", ",7", "\"say \"\"hi\"\", please\",2"}).rows,
      (Rows{"x|1", "|NULL", "NULL|7", "say \"hi\", please|2"}));
  EXPECT_EQ(Decode(*format, Table(columns, {{"null_string", "NA"}, {"delimiter", "\\t"}}),
                   {"NA\tNA", "\t1"})
                .rows,
            (Rows{"NULL|NULL", "|1"}));
  Decoded decoded = Decode(*format, Table(columns), {"x", "x,y", "x,1,2"});
  ASSERT_EQ(decoded.errors.size(), 3u);
  EXPECT_TRUE(absl::StrContains(decoded.errors[0], "the record has 1 fields, the table 2 columns"))
      << decoded.errors[0];
  EXPECT_TRUE(absl::StrContains(decoded.errors[1], "column b: invalid input syntax"))
      << decoded.errors[1];
}

TEST(CsvFormat, WritesWhatItReads) {
  auto format = NewCsvFormat();
  Columns columns = {{"a", proto::TYPE_TEXT}, {"b", proto::TYPE_INT32}};
  Batch batch({Values(proto::TYPE_TEXT,
                      {"plain", "with,comma", "with \"quote\"", "two\nlines", "", "NULL"}),
               Values(proto::TYPE_INT32, {"1", "2", "3", "4", "NULL", "6"})},
              6);
  Rows encoded = Encode(*format, Target(columns), batch);
  EXPECT_EQ(encoded,
            (Rows{"none -> plain,1", "none -> \"with,comma\",2", "none -> \"with \"\"quote\"\"\",3",
                  "none -> \"two\nlines\",4", "none -> \"\",", "none -> ,6"}));
  std::vector<std::string> values;
  for (const std::string& record : encoded) {
    values.push_back(record.substr(8));
  }
  EXPECT_EQ(
      Decode(*format, Table(columns), values).rows,
      (Rows{"plain|1", "with,comma|2", "with \"quote\"|3", "two\nlines|4", "|NULL", "NULL|6"}));
}

}  // namespace
}  // namespace millrace
