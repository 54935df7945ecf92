// How fast records become columns: ten declared columns of which all, two or none are read, and two
// declared ones in records of ten fields. Bytes per second are those of the payloads.
#include <benchmark/benchmark.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "connectors/formats/csv/csv_format.h"
#include "connectors/formats/json/json_format.h"

namespace millrace {
namespace {

constexpr size_t kRecords = 1000;

struct Field {
  const char* name;
  proto::TypeKind type;
};
const std::vector<Field> kFields = {
    {"id", proto::TYPE_INT64},          {"user", proto::TYPE_TEXT},
    {"amount", proto::TYPE_FLOAT64},    {"price", proto::TYPE_NUMERIC},
    {"at", proto::TYPE_TIMESTAMPTZ},    {"ok", proto::TYPE_BOOL},
    {"agent", proto::TYPE_TEXT},        {"count", proto::TYPE_INT32},
    {"seen_ms", proto::TYPE_TIMESTAMP}, {"city", proto::TYPE_TEXT}};

// The fields of record i, as JSON has them.
std::vector<std::string> Values(size_t i) {
  return {absl::StrCat(1000000 + i * 7),
          absl::StrCat("\"user-", i % 97, "\""),
          absl::StrCat(i % 1000, ".", 1234567 + i),
          absl::StrCat(i, ".25"),
          absl::StrCat("\"2026-01-31T12:", 10 + i % 50, ":00.125Z\""),
          i % 3 == 0 ? "true" : "false",
          "\"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\"",
          absl::StrCat(i % 10000),
          absl::StrCat(1700000000000 + i),
          "\"Winterthur\""};
}

std::vector<std::string> JsonRecords() {
  std::vector<std::string> records;
  for (size_t i = 0; i < kRecords; ++i) {
    std::vector<std::string> values = Values(i);
    std::string record = "{";
    for (size_t field = 0; field < kFields.size(); ++field) {
      absl::StrAppend(&record, field == 0 ? "" : ",", "\"", kFields[field].name,
                      "\":", values[field]);
    }
    records.push_back(record + "}");
  }
  return records;
}

std::vector<std::string> CsvRecords() {
  std::vector<std::string> records;
  for (size_t i = 0; i < kRecords; ++i) {
    std::vector<std::string> values = Values(i);
    values[8] = values[4];  // CSV has no timestamps as numbers
    std::string record;
    for (size_t field = 0; field < values.size(); ++field) {
      absl::StrAppend(&record, field == 0 ? "" : ",", values[field]);
    }
    records.push_back(record);
  }
  return records;
}

proto::Source Table(const std::vector<int>& declared, size_t read) {
  proto::Source source;
  source.set_table("t");
  for (int field : declared) {
    proto::Field* column = source.add_declared();
    column->set_name(kFields[static_cast<size_t>(field)].name);
    column->mutable_type()->set_kind(kFields[static_cast<size_t>(field)].type);
  }
  for (size_t i = 0; i < read; ++i) {
    proto::SourceColumn* column = source.add_columns();
    column->set_name(source.declared(static_cast<int>(i)).name());
    *column->mutable_type() = source.declared(static_cast<int>(i)).type();
    column->set_declared(static_cast<int>(i));
  }
  return source;
}

void Decode(benchmark::State& state, const Format& format, const proto::Source& source,
            const std::vector<std::string>& records) {
  std::vector<std::string_view> values(records.begin(), records.end());
  std::vector<std::string_view> keys(records.size());
  int64_t bytes = 0;
  for (const std::string& record : records) {
    bytes += static_cast<int64_t>(record.size());
  }
  auto decoder = format.CreateDecoder(source);
  for (auto _ : state) {
    RowErrors errors;
    auto columns = (*decoder)->Decode(
        {.values = values.data(), .keys = keys.data(), .count = values.size(), .owner = nullptr},
        &errors);
    if (!columns.ok() || !errors.empty()) {
      state.SkipWithError("a record is bad");
      return;
    }
    benchmark::DoNotOptimize(columns);
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * bytes);
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * records.size()));
}

const std::vector<int> kAll = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};

void Json(benchmark::State& state) {
  Decode(state, *NewJsonFormat(), Table(kAll, static_cast<size_t>(state.range(0))), JsonRecords());
}
BENCHMARK(Json)->ArgName("read")->Arg(10)->Arg(2)->Arg(0);

void JsonFewDeclared(benchmark::State& state) {
  Decode(state, *NewJsonFormat(), Table({0, 1}, 2), JsonRecords());
}
BENCHMARK(JsonFewDeclared);

void Csv(benchmark::State& state) {
  Decode(state, *NewCsvFormat(), Table(kAll, static_cast<size_t>(state.range(0))), CsvRecords());
}
BENCHMARK(Csv)->ArgName("read")->Arg(10)->Arg(2)->Arg(0);

}  // namespace
}  // namespace millrace

BENCHMARK_MAIN();
