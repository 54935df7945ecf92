#include "common/types/json_value_text.h"

#include "absl/strings/str_cat.h"
#include "common/types/jsonb_text.h"
#include "common/types/text_format.h"

namespace millrace {
namespace {

// Appends a timestamp as PostgreSQL's to_json prints it: a T between date and time, the zone with
// its minutes.
void AppendIsoTimestamp(const Column& column, size_t row, std::string* out) {
  size_t begin = out->size();
  AppendValue(column, row, out);
  if (size_t space = out->find(' ', begin); space != std::string::npos) {
    (*out)[space] = 'T';
  }
  size_t zone = out->find('+', begin);
  if (zone != std::string::npos && (out->size() == zone + 3 || (*out)[zone + 3] == ' ')) {
    out->insert(zone + 3, ":00");  // " BC" may follow
  }
}

// NaN and infinities are no JSON numbers: they become strings.
void AppendJsonNumber(const Column& column, size_t row, std::string* out) {
  std::string text;
  AppendValue(column, row, &text);
  bool is_number = text.back() >= '0' && text.back() <= '9';
  absl::StrAppend(out, is_number ? "" : "\"", text, is_number ? "" : "\"");
}

}  // namespace

void AppendJsonValue(const Column& column, size_t row, std::string* out) {
  if (column.IsNull(row)) {
    *out += "null";
    return;
  }
  switch (column.type().id) {
    case TypeId::kBool:
      *out += column.value<uint8_t>(row) != 0 ? "true" : "false";
      return;
    case TypeId::kText:
      AppendJsonString(column.value<TextView>(row).view(), out);
      return;
    case TypeId::kJsonb:
      AppendValue(column, row, out);
      return;
    case TypeId::kInt16:
    case TypeId::kInt32:
    case TypeId::kInt64:
    case TypeId::kFloat32:
    case TypeId::kFloat64:
    case TypeId::kNumeric:
      AppendJsonNumber(column, row, out);
      return;
    default:
      out->push_back('"');
      if (column.type().id == TypeId::kBytea) {
        out->push_back('\\');  // escapes the backslash of the \x that follows
      }
      if (column.type().id == TypeId::kTimestamp || column.type().id == TypeId::kTimestampTz) {
        AppendIsoTimestamp(column, row, out);
      } else {
        AppendValue(column, row, out);
      }
      out->push_back('"');
  }
}

}  // namespace millrace
