// Rows of text in aligned columns, as the listing commands print them, or the same rows as JSON.
// Thread-compatible.
#ifndef MILLRACE_CLI_TEXT_TABLE_H_
#define MILLRACE_CLI_TEXT_TABLE_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "cli/console.h"

namespace millrace::cli {

// What a cell holds: text, or a number (right-aligned; a JSON number).
using Cell = std::variant<std::string, int64_t, double>;

class TextTable {
 public:
  struct ColumnName {
    std::string title;  // heading of the column
    std::string key;    // name in JSON
  };

  explicit TextTable(std::vector<ColumnName> columns) : columns_(std::move(columns)) {}

  // REQUIRES: one cell per column.
  void AddRow(std::vector<Cell> cells);

  // Table: a heading, then a line per row; nothing but the heading when there are none. JSON: one
  // array of objects.
  void Print(OutputFormat format, std::ostream& out) const;

 private:
  void PrintAligned(std::ostream& out) const;
  void PrintJson(std::ostream& out) const;

  std::vector<ColumnName> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// Characters that `text` takes on a terminal: UTF-8 code points, not bytes.
size_t DisplayWidth(std::string_view text);

// Text that may hold anything as one line: control characters and invalid UTF-8 escaped as \n, \t,
// \xNN.
std::string Printable(std::string_view text);

}  // namespace millrace::cli

#endif  // MILLRACE_CLI_TEXT_TABLE_H_
