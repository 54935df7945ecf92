// Each format reads back what it writes.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "connectors/formats/csv/csv_format.h"
#include "connectors/formats/formats_testing.h"
#include "connectors/formats/json/json_format.h"
#include "connectors/formats/raw/raw_format.h"

namespace millrace {
namespace {

// The values of a column after they were written and read back. "NULL" is NULL.
Rows RoundTrip(const Format& format, proto::TypeKind kind, const Rows& values,
               const Options& options = {}) {
  proto::Sink sink = Target({{"v", kind}}, options);
  EXPECT_TRUE(format.ValidateSink(sink).ok()) << format.ValidateSink(sink);
  Batch batch({Values(kind, values)}, values.size());
  auto encoder = format.CreateEncoder(sink);
  auto encoded = (*encoder)->Encode(batch);
  EXPECT_TRUE(encoded.ok()) << encoded.status();
  Rows records;
  for (const EncodedRecords::Record& record : encoded->records) {
    records.push_back(record.value.data() == nullptr ? "<none>" : std::string(record.value));
  }
  Decoded decoded = Decode(format, Table({{"v", kind}}, options), records);
  EXPECT_EQ(decoded.errors, Rows{});
  return decoded.rows;
}

const Rows kTexts = {"",
                     "NULL",
                     "null",
                     "a",
                     " a ",
                     "a,b",
                     "a;b\tc",
                     "\"",
                     "\"\"",
                     "say \"hi\"",
                     "a\nb",
                     "a\n",
                     "a\r",
                     "\r\n",
                     "\n",
                     "\\",
                     "\\N",
                     "\\.",
                     "\x01\x1f\x7f",
                     "grüße, 漢字, 😀",
                     "\xEF\xBB\xBFmark",
                     "{\"a\": 1}",
                     "NA"};

TEST(RoundTrip, TextsOfEveryFormat) {
  auto json = NewJsonFormat();
  auto csv = NewCsvFormat();
  auto raw = NewRawFormat();
  EXPECT_EQ(RoundTrip(*json, proto::TYPE_TEXT, kTexts), kTexts);
  EXPECT_EQ(RoundTrip(*raw, proto::TYPE_TEXT, kTexts), kTexts);
  EXPECT_EQ(RoundTrip(*csv, proto::TYPE_TEXT, kTexts), kTexts);
  for (const char* null_string : {"NA", "\\N", "null", " "}) {
    for (const char* delimiter : {",", ";", "\\t", "|"}) {
      EXPECT_EQ(RoundTrip(*csv, proto::TYPE_TEXT, kTexts,
                          {{"null_string", null_string}, {"delimiter", delimiter}}),
                kTexts)
          << null_string << " " << delimiter;
    }
  }
}

TEST(RoundTrip, ValuesOfEveryType) {
  const std::vector<std::pair<proto::TypeKind, Rows>> values = {
      {proto::TYPE_BOOL, {"t", "f", "NULL"}},
      {proto::TYPE_INT16, {"-32768", "32767", "NULL"}},
      {proto::TYPE_INT32, {"-2147483648", "0", "NULL"}},
      {proto::TYPE_INT64, {"-9223372036854775808", "9223372036854775807", "NULL"}},
      {proto::TYPE_FLOAT32, {"1.1754944e-38", "-0", "NaN", "-Infinity", "1.6777216e+07", "NULL"}},
      {proto::TYPE_FLOAT64, {"5e-324", "1.7976931348623157e+308", "-0", "NaN", "Infinity", "NULL"}},
      {proto::TYPE_NUMERIC, {"1.50", "-0.0010", "NaN", "12345678901234567890.123456789", "NULL"}},
      {proto::TYPE_BYTEA, {"\\x", "\\x00ff0a0d22", "NULL"}},
      {proto::TYPE_DATE, {"2026-01-31", "0044-03-15 BC", "infinity", "NULL"}},
      {proto::TYPE_TIMESTAMP,
       {"2026-01-31 12:00:00", "1969-12-31 23:59:59.999999", "0044-03-15 00:00:00 BC", "-infinity",
        "NULL"}},
      {proto::TYPE_TIMESTAMPTZ,
       {"2026-01-31 12:00:00+00", "0044-03-15 00:00:00.5+00 BC", "infinity", "NULL"}},
      {proto::TYPE_INTERVAL, {"1 year 2 mons -3 days +04:05:06.7", "00:00:00", "NULL"}},
      {proto::TYPE_JSONB, {"{\"a\": [1, \"x\\ny\"]}", "\"text\"", "1.50", "true", "NULL"}}};
  auto json = NewJsonFormat();
  auto csv = NewCsvFormat();
  for (const auto& [kind, texts] : values) {
    EXPECT_EQ(RoundTrip(*json, kind, texts), texts) << kind;
    EXPECT_EQ(RoundTrip(*csv, kind, texts), texts) << kind;
  }
  EXPECT_EQ(RoundTrip(*NewRawFormat(), proto::TYPE_BYTEA, {"\\x", "\\x00ff0a0d", "NULL"}),
            (Rows{"\\x", "\\x00ff0a0d", "NULL"}));
}

TEST(RoundTrip, ALineEndBehindACsvRecordIsNoPartOfIt) {
  auto format = NewCsvFormat();
  Columns columns = {{"id", proto::TYPE_INT32}, {"t", proto::TYPE_TEXT}};
  EXPECT_EQ(Decode(*format, Table(columns), {"9,a\n", "9,a\r\n", "9,\"a\n\"\n", "9,\n"}).rows,
            (Rows{"9|a", "9|a", "9|a\n", "9|NULL"}));
}

TEST(RoundTrip, ANullStringThatWouldNotBeReadIsRefused) {
  auto format = NewCsvFormat();
  Columns columns = {{"a", proto::TYPE_TEXT}, {"b", proto::TYPE_TEXT}};
  for (const char* null_string : {",", "a,b", "\"", "\n"}) {
    EXPECT_FALSE(format->ValidateSink(Target(columns, {{"null_string", null_string}})).ok());
    EXPECT_FALSE(format->ValidateSource(Table(columns, {{"null_string", null_string}})).ok());
  }
}

}  // namespace
}  // namespace millrace
