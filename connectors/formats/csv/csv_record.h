// RFC 4180 records: fields apart by a delimiter, quoted with " where needed, " doubled inside
// quotes. Pure functions.
#ifndef MILLRACE_CONNECTORS_FORMATS_CSV_CSV_RECORD_H_
#define MILLRACE_CONNECTORS_FORMATS_CSV_CSV_RECORD_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace millrace {

struct CsvField {
  std::string_view text;  // between the quotes if quoted
  bool quoted = false;
  bool escaped = false;  // holds "" that stand for one "
};

// Splits one record (without its line end) into `fields`, which view `record`. INVALID_ARGUMENT
// says what is wrong with quotes or line ends, and in which field.
absl::Status SplitCsvRecord(std::string_view record, char delimiter, std::vector<CsvField>* fields);

// Finds where records end in bytes that may come in pieces. As SplitCsvRecord has it, a quote
// begins a quoted field only where the field begins: a stray one (`5" pipe`) spoils its own record,
// and not those behind it. A byte order mark in front of a record is passed over.
class CsvRecordEnds {
 public:
  explicit CsvRecordEnds(char delimiter) : delimiter_(delimiter) {}

  // The position behind the line end that ends the record to which bytes[at] belongs; npos if
  // `bytes` do not have it: the next call then goes on with the bytes that follow them.
  size_t Next(std::string_view bytes, size_t at);

 private:
  enum class Place { kRecordStart, kFieldStart, kUnquoted, kQuoted, kQuoteInQuoted };

  Place After(char c) const;

  char delimiter_;
  Place place_ = Place::kRecordStart;
};

// Appends a field's text with doubled quotes made single.
void AppendUnescaped(const CsvField& field, std::string* out);

// Appends `text` as one field, quoted if it needs to be or if `force`.
void AppendCsvField(std::string_view text, char delimiter, bool force, std::string* out);

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_FORMATS_CSV_CSV_RECORD_H_
