#include "cli/result_printer.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "cli/text_table.h"
#include "common/base/status.h"
#include "common/columnar/batch_codec.h"
#include "common/types/text_format.h"

namespace millrace {
namespace {

std::string JsonText(std::string_view text) {
  return nlohmann::json(std::string(text))
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// Weight of a row as so many lines; a removed one starts with "-".
int64_t Copies(const Batch& rows, uint32_t row) { return std::abs(rows.weight(row)); }
const char* SignOf(const Batch& rows, uint32_t row) { return rows.weight(row) < 0 ? "-" : ""; }

}  // namespace

std::string TimeText(int64_t micros) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S+00", absl::FromUnixMicros(micros),
                          absl::UTCTimeZone());
}

void AppendJsonValue(const Column& column, size_t row, std::string* out) {
  if (column.IsNull(row)) {
    *out += "null";
    return;
  }
  const std::string text = ValueToString(column, row);
  const SqlType& type = column.type();
  if (type.id == TypeId::kBool) {
    *out += column.value<uint8_t>(row) != 0 ? "true" : "false";
  } else if (type.id == TypeId::kJsonb) {
    *out += text;
  } else if (type.IsNumber() && text != "NaN" && text.find("Inf") == std::string::npos) {
    *out += text;
  } else {
    *out += JsonText(text);
  }
}

absl::Status ResultPrinter::Print(const proto::BatchResults& results) {
  std::vector<Batch> tables;
  bool has_rows = false;
  for (const auto& table : results.tables()) {
    ASSIGN_OR_RETURN(Batch rows, DecodeBatch(table.rows()));
    has_rows |= !rows.empty();
    if (!rows.empty() && rows.column_count() != static_cast<size_t>(table.columns_size())) {
      return absl::DataLossError(absl::StrCat("table ", table.table(), " has ",
                                              table.columns_size(), " columns, its rows have ",
                                              rows.column_count()));
    }
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
  const std::string header =
      absl::StrCat("-- batch ", results.batch(), ", ", TimeText(results.batch_time_us()), ", ",
                   WithThousands(results.records_per_second()), " records/s");
  if (console_.out_is_terminal) {
    console_.out << "\033[1m" << header << "\033[0m\n";
  } else {
    console_.out << header << '\n';
  }
  printed_any_ = true;
}

void ResultPrinter::PrintText(const proto::BatchResults::Table& table, const Batch& rows) {
  if (rows.column_count() > 2) {
    PrintWide(table, rows);
    return;
  }
  rows.rows().ForEach([&](uint32_t row) {
    std::string line = SignOf(rows, row);
    for (size_t c = 0; c < rows.column_count(); ++c) {
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
      std::string line = SignOf(rows, row);
      for (size_t c = 0; c < rows.column_count(); ++c) {
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
    std::vector<Cell> cells;
    cells.reserve(rows.column_count());
    for (size_t c = 0; c < rows.column_count(); ++c) {
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
        "{\"batch\":", results.batch(), ",\"time\":", JsonText(TimeText(results.batch_time_us())),
        ",\"table\":", JsonText(table.table()), ",\"weight\":", rows.weight(row), ",\"row\":{");
    for (size_t c = 0; c < rows.column_count(); ++c) {
      absl::StrAppend(&line, c == 0 ? "" : ",", JsonText(table.columns(static_cast<int>(c))), ":");
      AppendJsonValue(*rows.column(c), row, &line);
    }
    console_.out << line << "}}\n";
    printed_any_ = true;
  });
}

}  // namespace millrace
