// What makes a record bad, and what the error says: the same whatever columns a query reads.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "connectors/formats/csv/csv_format.h"
#include "connectors/formats/formats_testing.h"
#include "connectors/formats/json/json_format.h"
#include "connectors/formats/raw/raw_format.h"

namespace millrace {
namespace {

const Columns kEveryType = {
    {"b", proto::TYPE_BOOL},        {"h", proto::TYPE_INT16},      {"i", proto::TYPE_INT32},
    {"l", proto::TYPE_INT64},       {"f", proto::TYPE_FLOAT32},    {"d", proto::TYPE_FLOAT64},
    {"n", proto::TYPE_NUMERIC},     {"t", proto::TYPE_TEXT},       {"y", proto::TYPE_BYTEA},
    {"day", proto::TYPE_DATE},      {"at", proto::TYPE_TIMESTAMP}, {"atz", proto::TYPE_TIMESTAMPTZ},
    {"took", proto::TYPE_INTERVAL}, {"j", proto::TYPE_JSONB}};

// Reads only the columns whose bit is set.
proto::Source Reading(const proto::Source& table, uint32_t read) {
  proto::Source source = table;
  source.clear_columns();
  for (const proto::SourceColumn& column : table.columns()) {
    if ((read >> column.declared() & 1) != 0) {
      *source.add_columns() = column;
    }
  }
  return source;
}

// The errors when all columns are read. Checks that they are the same when no column is read, each
// column alone, and all but one.
Rows ErrorsWhateverIsRead(const Format& format, const proto::Source& table, const Rows& values,
                          const Rows& keys = {}) {
  Rows errors = Decode(format, table, values, keys).errors;
  std::vector<uint32_t> subsets = {0};
  for (int i = 0; i < table.declared_size(); ++i) {
    subsets.push_back(1u << i);
    subsets.push_back(~(1u << i));
  }
  for (uint32_t read : subsets) {
    EXPECT_EQ(Decode(format, Reading(table, read), values, keys).errors, errors) << read;
  }
  return errors;
}

TEST(BadRecords, ColumnsThatNobodyReadsAreCheckedInJson) {
  auto format = NewJsonFormat();
  Rows values = {R"({"id":1})"};
  const Rows candidates = {"tru",
                           "true",
                           "1.5",
                           "99999999999999999999",
                           "1e400",
                           "1.",
                           "\"abc\"",
                           "\"\\\\x0\"",
                           "\"2026-02-30\"",
                           "\"\\u0000\"",
                           "\"\\ud800\"",
                           "\"\\x\"",
                           "\"2026-01-31\"",
                           "[1, 2]",
                           "{\"a\" 1}",
                           "{\"a\": \"\\u0000\"}",
                           "{\"a\": [1, {\"b\": null}]}",
                           "null",
                           "nul"};
  for (const auto& [name, type] : kEveryType) {
    for (const std::string& candidate : candidates) {
      values.push_back("{\"" + name + "\": " + candidate + "}");
    }
  }
  Rows errors = ErrorsWhateverIsRead(*format, Table(kEveryType), values);
  EXPECT_GT(errors.size(), values.size() / 3);
  EXPECT_LT(errors.size(), values.size());
  for (const std::string& error : errors) {
    EXPECT_TRUE(absl::StrContains(error, "byte")) << error;
  }
}

TEST(BadRecords, PathsThatNobodyReadsAreCheckedInJson) {
  auto format = NewJsonFormat();
  EXPECT_EQ(ErrorsWhateverIsRead(*format,
                                 Table({{"p", proto::TYPE_INT32}, {"q", proto::TYPE_INT32}},
                                       {{"path.p", "o.p"}, {"path.q", "o.q"}}),
                                 {R"({"o":{"p":1,"q":"x"}})", R"({"o":{"p":1}})"}),
            (Rows{"0: column q: invalid input syntax for type integer: \"x\" (at byte 17 of the "
                  "record)"}));
}

TEST(BadRecords, ColumnsThatNobodyReadsAreCheckedInCsv) {
  auto format = NewCsvFormat();
  Rows values;
  for (size_t i = 0; i < kEveryType.size(); ++i) {
    for (const char* candidate : {"x", "\"a\"\"b\"", "1", "2026-02-30", "\\x0", "{\"\"a\"\": 1}"}) {
      values.push_back(std::string(i, ',') + candidate +
                       std::string(kEveryType.size() - i - 1, ','));
    }
  }
  EXPECT_GT(ErrorsWhateverIsRead(*format, Table(kEveryType), values).size(), values.size() / 3);
}

TEST(BadRecords, ColumnsThatNobodyReadsAreCheckedInRaw) {
  auto format = NewRawFormat();
  EXPECT_EQ(
      ErrorsWhateverIsRead(*format, Table({{"key", proto::TYPE_TEXT}, {"value", proto::TYPE_TEXT}}),
                           {"\xff", "a", "b"}, {"k", "\xff", "k"})
          .size(),
      2u);
}

TEST(BadRecords, OfARepeatedNameTheLastValueCountsWhole) {
  auto format = NewJsonFormat();
  proto::Source paths = Table({{"p", proto::TYPE_INT32}, {"q", proto::TYPE_INT32}},
                              {{"path.p", "o.p"}, {"path.q", "o.q"}});
  EXPECT_EQ(Decode(*format, paths,
                   {R"({"o":{"p":1},"o":{"q":2}})", R"({"o":{"p":1,"q":3},"o":null})",
                    R"({"o":{"p":1},"o":7})", R"({"o":{"p":1,"p":2}})", R"({"o":7,"o":{"p":1}})"})
                .rows,
            (Rows{"NULL|2", "NULL|NULL", "NULL|NULL", "2|NULL", "1|NULL"}));
  proto::Source plain = Table({{"v", proto::TYPE_INT32}, {"t", proto::TYPE_TEXT}});
  Decoded decoded =
      Decode(*format, plain,
             {R"({"v":1,"v":null})", R"({"v":"abc","v":2})", R"({"v":2,"v":"abc"})",
              R"({"v":tru,"v":2})", R"({"t":"a","\u0074":"b"})", R"({"v":"x","v":null})"});
  EXPECT_EQ(decoded.rows,
            (Rows{"NULL|NULL", "2|NULL", "NULL|NULL", "NULL|NULL", "NULL|b", "NULL|NULL"}));
  ASSERT_EQ(decoded.errors.size(), 2u);
  EXPECT_TRUE(absl::StartsWith(decoded.errors[0], "2: column v: invalid input"))
      << decoded.errors[0];
  EXPECT_TRUE(absl::StartsWith(decoded.errors[1], "3: not a JSON object: ")) << decoded.errors[1];
}

TEST(BadRecords, TextHoldsNoNulAndNoHalfCharacters) {
  auto json = NewJsonFormat();
  Decoded decoded = Decode(
      *json, Table({{"s", proto::TYPE_TEXT}, {"j", proto::TYPE_JSONB}}),
      {R"({"s":"GET\u0000"})", R"({"s":"\ud800"})", R"({"s":"\udc00\ud800"})", R"({"j":"a\u0000"})",
       R"({"j":{"k\u0000":1}})", R"({"j":"\ud800"})", std::string("{\"s\":\"a\0\"}", 10),
       "{\"s\":\"\xff\"}", "{\"\xff\":1}", R"({"s":"ok\u0001"})"});
  EXPECT_EQ(
      decoded.errors,
      (Rows{"0: column s: unsupported Unicode escape sequence: \\u0000 cannot be converted to "
            "text (at byte 6 of the record)",
            "1: column s: the escape of a high surrogate is not followed by a low one (at byte "
            "6 of the record)",
            "2: column s: the escape of a low surrogate does not follow a high one (at byte 6 "
            "of the record)",
            "3: column j: unsupported Unicode escape sequence: \\u0000 cannot be converted to "
            "text (at byte 6 of the record)",
            "4: column j: unsupported Unicode escape sequence: \\u0000 cannot be converted to "
            "text (at byte 6 of the record)",
            "5: column j: the escape of a high surrogate is not followed by a low one (at byte "
            "6 of the record)",
            "6: the record holds a NUL, at byte 8, which text cannot",
            "7: the record is not valid UTF-8, at byte 7",
            "8: the record is not valid UTF-8, at byte 3"}));
  auto csv = NewCsvFormat();
  EXPECT_EQ(Decode(*csv, Table({{"a", proto::TYPE_TEXT}, {"b", proto::TYPE_TEXT}}),
                   {std::string("x,a\0b", 5), "x,\xe4", "x,ä"})
                .errors,
            (Rows{"0: the record holds a NUL, at byte 4, which text cannot",
                  "1: the record is not valid UTF-8, at byte 3"}));
  auto raw = NewRawFormat();
  EXPECT_EQ(Decode(*raw, Table({{"a", proto::TYPE_TEXT}}), {std::string("a\0", 2), "ä"}).errors,
            (Rows{"0: the value (column a) holds a NUL, at byte 2, which text cannot; declare the "
                  "column as bytea to take any bytes"}));
}

TEST(BadRecords, Utf16IsNamed) {
  const std::string little("\xff\xfe{\0\"\0a\0\"\0:\0001\0}\0", 16);
  const std::string big("\0{\0\"\0a\0\"\0:\0001\0}",
                        14);  // UTF-16 without a byte order mark, as in records behind the first
  auto json = NewJsonFormat();
  auto csv = NewCsvFormat();
  auto raw = NewRawFormat();
  for (const Format* format : {json.get(), csv.get(), raw.get()}) {
    Decoded decoded = Decode(*format, Table({{"a", proto::TYPE_TEXT}}), {little, big});
    ASSERT_EQ(decoded.errors.size(), 2u);
    EXPECT_TRUE(absl::StrContains(decoded.errors[0], "is UTF-16")) << decoded.errors[0];
    EXPECT_TRUE(absl::StrContains(decoded.errors[1], "is UTF-16")) << decoded.errors[1];
  }
}

// The files that log rotation leaves, and values that a producer has compressed by itself.
TEST(BadRecords, CompressionIsNamed) {
  auto json = NewJsonFormat();
  auto csv = NewCsvFormat();
  auto raw = NewRawFormat();
  for (const Format* format : {json.get(), csv.get(), raw.get()}) {
    Decoded decoded = Decode(*format, Table({{"a", proto::TYPE_TEXT}}),
                             {std::string("\x1F\x8B\x08\0\0\0\0\0", 8), "\x28\xB5\x2F\xFD\x04",
                              "BZh91AY&SY\xFF", "BZhou \xFF"});
    ASSERT_EQ(decoded.errors.size(), 4u);
    EXPECT_TRUE(absl::StrContains(decoded.errors[0], "is compressed (gzip); it must be UTF-8"))
        << decoded.errors[0];
    EXPECT_TRUE(absl::StrContains(decoded.errors[1], "(zstd)")) << decoded.errors[1];
    EXPECT_TRUE(absl::StrContains(decoded.errors[2], "(bzip2)")) << decoded.errors[2];
    EXPECT_TRUE(absl::StrContains(decoded.errors[3], "not valid UTF-8, at byte 7"))
        << decoded.errors[3];
  }
}

TEST(BadRecords, NumbersBeyondDoubleAreReadByOtherTypes) {
  auto format = NewJsonFormat();
  EXPECT_EQ(
      Decode(*format, Table({{"v", proto::TYPE_TEXT}}),
             {R"({"v":1e400})", R"({"v": -1.50E-400 })", R"({"v":123456789012345678901234567890})"})
          .rows,
      (Rows{"1e400", "-1.50E-400", "123456789012345678901234567890"}));
  Decoded jsonb = Decode(*format, Table({{"v", proto::TYPE_JSONB}}), {R"({"v":{"a":1e400}})"});
  EXPECT_EQ(jsonb.rows[0], "{\"a\": 1" + std::string(400, '0') + "}");
  EXPECT_EQ(Decode(*format, Table({{"v", proto::TYPE_FLOAT64}}),
                   {R"({"v":1e400})", R"({"w":1e400,"v":1})", R"({"v":1e-400})"})
                .errors,
            (Rows{"0: column v: \"1e400\" is out of range for type double precision (at byte 6 of "
                  "the record)",
                  "2: column v: \"1e-400\" is out of range for type double precision (at byte 6 of "
                  "the record)"}));
}

TEST(BadRecords, WhatIsNoJsonIsSaidInPlainWordsAndWhere) {
  auto format = NewJsonFormat();
  EXPECT_EQ(
      Decode(*format, Table({{"i", proto::TYPE_INT32}, {"t", proto::TYPE_TEXT}}),
             {"", "nonsense", " [1]", R"({"i": 1)", R"({"i": 1} x)", R"({"i" 1})", R"({"i": 1,})",
              R"({"i": 01})", R"({"t": "a)", R"({"t": {"a" 1}})", R"({"t": [1 2]})", R"({i: 1})",
              "{\"t\": \"a\nb\"}", R"({"t": "\q"})"})
          .errors,
      (Rows{"0: not a JSON object: it ends where a value is expected, at byte 1",
            "1: not a JSON object: a value is expected, at byte 1",
            "2: not a JSON object: it begins with another kind of value, at byte 2",
            "3: not a JSON object: ',' or '}' is expected, at byte 8",
            "4: not a JSON object: there is text after its end, at byte 10",
            "5: not a JSON object: ':' is expected, at byte 6",
            "6: not a JSON object: a name in quotes is expected, at byte 9",
            "7: not a JSON object: a number is malformed, at byte 7",
            "8: not a JSON object: a string has no end, at byte 7",
            "9: not a JSON object: ':' is expected, at byte 12",
            "10: not a JSON object: ',' or ']' is expected, at byte 10",
            "11: not a JSON object: a name in quotes is expected, at byte 2",
            "12: not a JSON object: a control character stands in a string without an escape, at "
            "byte 9",
            "13: not a JSON object: a backslash begins no escape, at byte 8"}));
}

TEST(BadRecords, CsvSaysFieldAndByte) {
  auto format = NewCsvFormat();
  Columns columns = {{"a", proto::TYPE_INT32}, {"b", proto::TYPE_INT32}};
  EXPECT_EQ(
      Decode(*format, Table(columns), {"12,x", "1,2\n3,4", "1,\"2"}).errors,
      (Rows{"0: column b: invalid input syntax for type integer: \"x\" (field 2, at byte 4 of "
            "the record)",
            "1: field 2: a line end outside of quotes; a record is one line",
            "2: field 2: no closing quote"}));
}

}  // namespace
}  // namespace millrace
