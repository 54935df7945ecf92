#include "common/types/json_value_text.h"

#include "absl/strings/str_cat.h"
#include "common/types/datetime_text.h"
#include "common/types/jsonb_text.h"
#include "common/types/text_format.h"

namespace millrace {
namespace {

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
      if (column.type().id == TypeId::kTimestamp) {
        AppendIsoTimestamp(column.value<int64_t>(row), out);
      } else if (column.type().id == TypeId::kTimestampTz) {
        AppendIsoTimestampTz(column.value<int64_t>(row), TimeZone(), out);
      } else {
        AppendValue(column, row, out);
      }
      out->push_back('"');
  }
}

}  // namespace millrace
