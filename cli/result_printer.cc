#include "cli/result_printer.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "cli/text_table.h"
#include "common/base/status.h"
#include "common/columnar/batch_codec.h"
#include "common/types/json_value_text.h"
#include "common/types/jsonb_text.h"
#include "common/types/text_format.h"

namespace millrace::cli {
namespace {

std::string JsonText(std::string_view text) {
  std::string quoted;
  AppendJsonString(text, &quoted);
  return quoted;
}

// Weight of a row as so many lines; a removed one starts with "-".
int64_t Copies(const Batch& rows, uint32_t row) { return std::abs(rows.weight(row)); }
// Columns of the table; the rows may have one more (IsReplaced).
size_t ColumnsOf(const proto::BatchResults::Table& table) {
  return static_cast<size_t>(table.columns_size());
}

// The driver's bytes are those of the table: its columns, and perhaps the mark of IsReplaced.
absl::Status CheckColumns(const proto::BatchResults::Table& table, const Batch& rows) {
  const size_t found = rows.column_count();
  const size_t named = ColumnsOf(table);
  const bool marked = found == named + 1 && rows.column(named)->type().id == TypeId::kBool;
  if (rows.empty() || found == named || marked) {
    return absl::OkStatus();
  }
  return absl::DataLossError(
      absl::StrCat("table ", table.table(), " has ", named, " columns, its rows have ", found));
}

// A removal whose key has a new value in this batch: nothing that a person need see.
bool IsReplaced(const proto::BatchResults::Table& table, const Batch& rows, uint32_t row) {
  const size_t mark = ColumnsOf(table);
  return rows.column_count() > mark && rows.column(mark)->value<uint8_t>(row) != 0;
}

const char* SignOf(const Batch& rows, uint32_t row) { return rows.weight(row) < 0 ? "-" : ""; }

}  // namespace

std::string TimeText(int64_t micros, OutputFormat format) {
  return absl::FormatTime(
      format == OutputFormat::kJson ? "%Y-%m-%dT%H:%M:%S+00:00" : "%Y-%m-%d %H:%M:%S+00",
      absl::FromUnixMicros(micros), absl::UTCTimeZone());
}

absl::Status ResultPrinter::Print(const proto::BatchResults& results) {
  std::vector<Batch> tables;
  bool has_rows = false;
  for (const auto& table : results.tables()) {
    ASSIGN_OR_RETURN(Batch rows, DecodeBatch(table.rows()));
    RETURN_IF_ERROR(CheckColumns(table, rows));
    has_rows |= !rows.empty();
    tables.push_back(std::move(rows));
  }
  if (format_ == OutputFormat::kJson) {
    for (int t = 0; t < results.tables_size(); ++t) {
      PrintJson(results, results.tables(t), tables[t]);
    }
    console_.out.flush();
    return absl::OkStatus();
  }
  if (results.batch() == 0 || (!has_rows && !show_empty_)) {
    return absl::OkStatus();
  }
  PrintHeader(results);
  for (int t = 0; t < results.tables_size(); ++t) {
    if (results.tables_size() > 1) {
      console_.out << results.tables(t).table() << '\n';
    }
    PrintText(results.tables(t), tables[t]);
  }
  console_.out << std::endl;
  return absl::OkStatus();
}

void ResultPrinter::PrintHeader(const proto::BatchResults& results) {
  const std::string header = absl::StrCat(
      "-- batch ", results.batch(), ", ", TimeText(results.batch_time_us(), OutputFormat::kTable),
      ", ", WithThousands(results.records_per_second()), " records/s");
  if (console_.out_is_terminal) {
    console_.out << "\033[1m" << header << "\033[0m\n";
  } else {
    console_.out << header << '\n';
  }
  printed_any_ = true;
}

void ResultPrinter::PrintText(const proto::BatchResults::Table& table, const Batch& rows) {
  if (table.columns_size() > 2) {
    PrintWide(table, rows);
    return;
  }
  rows.rows().ForEach([&](uint32_t row) {
    if (IsReplaced(table, rows, row)) {
      return;
    }
    std::string line = SignOf(rows, row);
    for (size_t c = 0; c < ColumnsOf(table); ++c) {
      absl::StrAppend(&line, c == 0 ? "" : ": ", Printable(ValueToString(*rows.column(c), row)));
    }
    for (int64_t copy = 0; copy < Copies(rows, row); ++copy) {
      console_.out << line << '\n';
    }
  });
}

void ResultPrinter::PrintWide(const proto::BatchResults::Table& table, const Batch& rows) {
  if (!console_.out_is_terminal) {
    rows.rows().ForEach([&](uint32_t row) {
      if (IsReplaced(table, rows, row)) {
        return;
      }
      std::string line = SignOf(rows, row);
      for (size_t c = 0; c < ColumnsOf(table); ++c) {
        absl::StrAppend(&line, c == 0 ? "" : "\t", Printable(ValueToString(*rows.column(c), row)));
      }
      for (int64_t copy = 0; copy < Copies(rows, row); ++copy) {
        console_.out << line << '\n';
      }
    });
    return;
  }
  std::vector<TextTable::ColumnName> names;
  for (const std::string& column : table.columns()) {
    names.push_back({column, column});
  }
  TextTable text(std::move(names));
  rows.rows().ForEach([&](uint32_t row) {
    if (IsReplaced(table, rows, row)) {
      return;
    }
    std::vector<Cell> cells;
    cells.reserve(ColumnsOf(table));
    for (size_t c = 0; c < ColumnsOf(table); ++c) {
      cells.emplace_back(absl::StrCat(c == 0 ? SignOf(rows, row) : "",
                                      Printable(ValueToString(*rows.column(c), row))));
    }
    for (int64_t copy = 0; copy < Copies(rows, row); ++copy) {
      text.AddRow(cells);
    }
  });
  text.Print(OutputFormat::kTable, console_.out);
}

void ResultPrinter::PrintJson(const proto::BatchResults& results,
                              const proto::BatchResults::Table& table, const Batch& rows) {
  rows.rows().ForEach([&](uint32_t row) {
    std::string line = absl::StrCat(
        "{\"batch\":", results.batch(),
        ",\"time\":", JsonText(TimeText(results.batch_time_us(), OutputFormat::kJson)),
        ",\"table\":", JsonText(table.table()), ",\"weight\":", rows.weight(row), ",\"row\":{");
    for (size_t c = 0; c < ColumnsOf(table); ++c) {
      absl::StrAppend(&line, c == 0 ? "" : ",", JsonText(table.columns(static_cast<int>(c))), ":");
      AppendJsonValue(*rows.column(c), row, &line);
    }
    console_.out << line << "}}\n";
    printed_any_ = true;
  });
}

}  // namespace millrace::cli
