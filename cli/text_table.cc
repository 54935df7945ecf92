#include "cli/text_table.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/check.h"
#include "common/base/utf8.h"

namespace millrace::cli {
namespace {

std::string CellText(const Cell& cell) {
  if (const auto* text = std::get_if<std::string>(&cell)) {
    return *text;
  }
  if (const auto* number = std::get_if<int64_t>(&cell)) {
    return WithThousands(*number);
  }
  return absl::StrFormat("%.1f", std::get<double>(cell));
}

nlohmann::ordered_json CellJson(const Cell& cell) {
  return std::visit([](const auto& value) { return nlohmann::ordered_json(value); }, cell);
}

}  // namespace

size_t DisplayWidth(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return !IsContinuationByte(c); }));
}

std::string Printable(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    const size_t length = Utf8CharacterBytes(text, i);
    if (c == '\n' || c == '\t' || c == '\r' || c == '\\') {
      result += '\\';
      result += c == '\n' ? 'n' : c == '\t' ? 't' : c == '\r' ? 'r' : '\\';
      ++i;
    } else if (length == 0 ||
               (length == 1 && (static_cast<unsigned char>(c) < 0x20 || c == 0x7f))) {
      absl::StrAppendFormat(&result, "\\x%02x", static_cast<unsigned char>(c));
      ++i;
    } else {
      result.append(text.substr(i, length));
      i += length;
    }
  }
  return result;
}

void TextTable::AddRow(std::vector<Cell> cells) {
  MILLRACE_CHECK(cells.size() == columns_.size()) << cells.size() << " cells";
  rows_.push_back(std::move(cells));
}

void TextTable::Print(OutputFormat format, std::ostream& out) const {
  format == OutputFormat::kJson ? PrintJson(out) : PrintAligned(out);
}

void TextTable::PrintAligned(std::ostream& out) const {
  std::vector<size_t> widths;
  widths.reserve(columns_.size());
  for (const ColumnName& column : columns_) {
    widths.push_back(DisplayWidth(column.title));
  }
  for (const auto& row : rows_) {
    for (size_t c = 0; c < row.size(); ++c) {
      widths[c] = std::max(widths[c], DisplayWidth(CellText(row[c])));
    }
  }
  const auto print_line = [&](const auto& text_of, const auto& right_aligned) {
    std::string line;
    for (size_t c = 0; c < columns_.size(); ++c) {
      const std::string text = text_of(c);
      const std::string padding(widths[c] - DisplayWidth(text), ' ');
      absl::StrAppend(&line, c == 0 ? "" : "  ", right_aligned(c) ? padding : "", text,
                      right_aligned(c) ? "" : padding);
    }
    out << line.substr(0, line.find_last_not_of(' ') + 1) << '\n';
  };
  const auto is_number = [&](size_t c) {
    return !rows_.empty() && !std::holds_alternative<std::string>(rows_[0][c]);
  };
  print_line([&](size_t c) { return columns_[c].title; }, is_number);
  for (const auto& row : rows_) {
    print_line([&](size_t c) { return CellText(row[c]); }, is_number);
  }
  out.flush();
}

void TextTable::PrintJson(std::ostream& out) const {
  nlohmann::ordered_json array = nlohmann::ordered_json::array();
  for (const auto& row : rows_) {
    nlohmann::ordered_json object;
    for (size_t c = 0; c < row.size(); ++c) {
      object[columns_[c].key] = CellJson(row[c]);
    }
    array.push_back(std::move(object));
  }
  out << array.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << std::endl;
}

}  // namespace millrace::cli
