#include "connectors/formats/csv/csv_record.h"

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "connectors/formats/utf8.h"

namespace millrace {
namespace {

// Reads a quoted field that begins at `at` (its opening quote); moves `at` behind the closing one.
absl::Status ReadQuoted(std::string_view record, size_t number, size_t* at, CsvField* field) {
  size_t begin = *at + 1;
  size_t end = begin;
  field->quoted = true;
  while (true) {
    end = record.find('"', end);
    if (end == std::string_view::npos) {
      return absl::InvalidArgumentError(absl::StrCat("field ", number, ": no closing quote"));
    }
    if (end + 1 >= record.size() || record[end + 1] != '"') {
      break;
    }
    field->escaped = true;
    end += 2;
  }
  field->text = record.substr(begin, end - begin);
  *at = end + 1;
  return absl::OkStatus();
}

}  // namespace

absl::Status SplitCsvRecord(std::string_view record, char delimiter,
                            std::vector<CsvField>* fields) {
  fields->clear();
  const bool has_line_end =
      record.find('\n') != std::string_view::npos || record.find('\r') != std::string_view::npos;
  size_t at = 0;
  while (true) {
    CsvField field;
    if (at < record.size() && record[at] == '"') {
      RETURN_IF_ERROR(ReadQuoted(record, fields->size() + 1, &at, &field));
      if (at < record.size() && record[at] != delimiter) {
        return absl::InvalidArgumentError(
            absl::StrCat("field ", fields->size() + 1, ": text after the closing quote"));
      }
    } else {
      size_t end = record.find(delimiter, at);
      end = end == std::string_view::npos ? record.size() : end;
      field.text = record.substr(at, end - at);
      if (field.text.find('"') != std::string_view::npos) {
        return absl::InvalidArgumentError(absl::StrCat(
            "field ", fields->size() + 1, ": a quote inside a field that does not begin with one"));
      }
      if (has_line_end && field.text.find_first_of("\r\n") != std::string_view::npos) {
        return absl::InvalidArgumentError(absl::StrCat(
            "field ", fields->size() + 1, ": a line end outside of quotes; a record is one line"));
      }
      at = end;
    }
    fields->push_back(field);
    if (at >= record.size()) {
      return absl::OkStatus();
    }
    ++at;  // the delimiter
  }
}

size_t CsvRecordEnds::Next(std::string_view bytes, size_t at) {
  for (; at < bytes.size(); ++at) {
    if (bytes[at] == '\n' && place_ != Place::kQuoted) {
      place_ = Place::kRecordStart;
      return at + 1;
    }
    place_ = After(bytes[at]);
  }
  return std::string_view::npos;
}

CsvRecordEnds::Place CsvRecordEnds::After(char c) const {
  switch (place_) {
    case Place::kQuoted:
      return c == '"' ? Place::kQuoteInQuoted : Place::kQuoted;
    case Place::kQuoteInQuoted:
      if (c == '"') {
        return Place::kQuoted;  // a doubled quote
      }
      return c == delimiter_ ? Place::kFieldStart : Place::kUnquoted;
    case Place::kRecordStart:
      if (kByteOrderMark.find(c) != std::string_view::npos) {
        return Place::kRecordStart;
      }
      [[fallthrough]];
    case Place::kFieldStart:
      if (c == '"') {
        return Place::kQuoted;
      }
      [[fallthrough]];
    case Place::kUnquoted:
      return c == delimiter_ ? Place::kFieldStart : Place::kUnquoted;
  }
  return Place::kUnquoted;
}

void AppendUnescaped(const CsvField& field, std::string* out) {
  std::string_view rest = field.text;
  while (field.escaped) {
    size_t quote = rest.find('"');
    if (quote == std::string_view::npos) {
      break;
    }
    out->append(rest.substr(0, quote + 1));
    rest.remove_prefix(quote + 2);
  }
  out->append(rest);
}

void AppendCsvField(std::string_view text, char delimiter, bool force, std::string* out) {
  const char special[] = {delimiter, '"', '\n', '\r'};
  // Quoted, since a reader skips a byte order mark at the start of a file.
  if (!force && !text.starts_with(kByteOrderMark) &&
      text.find_first_of(std::string_view(special, sizeof(special))) == std::string_view::npos) {
    out->append(text);
    return;
  }
  out->push_back('"');
  for (char c : text) {
    if (c == '"') {
      out->push_back('"');
    }
    out->push_back(c);
  }
  out->push_back('"');
}

}  // namespace millrace
