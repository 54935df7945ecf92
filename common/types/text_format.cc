#include "common/types/text_format.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/utf8.h"
#include "common/columnar/owned_values.h"
#include "common/types/datetime_text.h"
#include "common/types/interval_text.h"
#include "common/types/jsonb_text.h"
#include "common/types/number_text.h"
#include "common/types/numeric.h"

namespace millrace {
namespace {

template <typename T>
absl::Status Store(absl::StatusOr<T> value, Column* out, size_t row) {
  if (!value.ok()) {
    return value.status();
  }
  out->mutable_values<T>()[row] = *value;
  return absl::OkStatus();
}

absl::Status StoreNumeric(std::string_view text, Column* out, size_t row) {
  ASSIGN_OR_RETURN(NumericValue value, Numeric::Parse(text));
  if (out->type().precision != 0) {
    ASSIGN_OR_RETURN(value, FitNumeric(value, out->type()));
  }
  SetNumeric(value, out, row);
  return absl::OkStatus();
}

absl::Status StoreJsonb(std::string_view text, Column* out, size_t row) {
  std::string canonical;
  RETURN_IF_ERROR(AppendCanonicalJsonb(text, &canonical));
  out->SetTextCopy(row, canonical);
  return absl::OkStatus();
}

// Reads the elements of an array's text form.
class ArrayReader {
 public:
  explicit ArrayReader(std::string_view text)
      : text_(ToStd(absl::StripAsciiWhitespace(ToAbsl(text)))) {}

  struct Element {
    std::string text;
    bool null = false;
  };

  // False when malformed.
  bool Read(std::vector<Element>* elements) {
    if (text_.size() < 2 || text_.front() != '{' || text_.back() != '}') {
      return false;
    }
    text_ = text_.substr(1, text_.size() - 2);
    SkipSpace();
    if (at_ == text_.size()) {
      return true;
    }
    while (true) {
      Element element;
      if (!ReadElement(&element)) {
        return false;
      }
      elements->push_back(std::move(element));
      SkipSpace();
      if (at_ == text_.size()) {
        return true;
      }
      if (text_[at_++] != ',') {
        return false;
      }
    }
  }

 private:
  void SkipSpace() {
    while (at_ < text_.size() && absl::ascii_isspace(static_cast<unsigned char>(text_[at_]))) {
      ++at_;
    }
  }

  bool ReadElement(Element* element) {
    SkipSpace();
    if (at_ < text_.size() && text_[at_] == '"') {
      return ReadQuoted(&element->text);
    }
    bool escaped = false;
    size_t kept = 0;  // without the spaces at the end
    while (at_ < text_.size() && text_[at_] != ',') {
      char c = text_[at_++];
      if (c == '{' || c == '}' || c == '"') {
        return false;
      }
      bool literal = c == '\\';
      if (literal) {
        if (at_ == text_.size()) {
          return false;
        }
        c = text_[at_++];
        escaped = true;
      }
      element->text.push_back(c);
      if (literal || !absl::ascii_isspace(static_cast<unsigned char>(c))) {
        kept = element->text.size();
      }
    }
    element->text.resize(kept);
    element->null = !escaped && absl::EqualsIgnoreCase(element->text, "NULL");
    return !element->text.empty();
  }

  bool ReadQuoted(std::string* out) {
    ++at_;
    while (at_ < text_.size() && text_[at_] != '"') {
      if (text_[at_] == '\\' && ++at_ == text_.size()) {
        return false;
      }
      out->push_back(text_[at_++]);
    }
    return at_++ < text_.size();
  }

  std::string_view text_;
  size_t at_ = 0;
};

absl::Status StoreArray(std::string_view text, Column* out, size_t row) {
  ASSIGN_OR_RETURN(ColumnPtr elements, ParseArray(text, out->type().ElementType()));
  auto begin = static_cast<uint32_t>(out->child() == nullptr ? 0 : out->child()->size());
  out->mutable_values<ListView>()[row] = {.begin = begin,
                                          .size = static_cast<uint32_t>(elements->size())};
  out->set_child(out->child() == nullptr ? elements : Concatenate({out->child(), elements}));
  return absl::OkStatus();
}

void AppendBytea(std::string_view bytes, std::string* out) {
  static constexpr char kDigits[] = "0123456789abcdef";
  out->append("\\x");
  for (char c : bytes) {
    auto byte = static_cast<unsigned char>(c);
    out->push_back(kDigits[byte >> 4]);
    out->push_back(kDigits[byte & 15]);
  }
}

void AppendElement(std::string_view text, std::string* out) {
  bool quote = text.empty() || absl::EqualsIgnoreCase(ToAbsl(text), "NULL");
  for (char c : text) {
    quote = quote || c == '"' || c == '\\' || c == '{' || c == '}' || c == ',' ||
            absl::ascii_isspace(static_cast<unsigned char>(c));
  }
  if (!quote) {
    out->append(text);
    return;
  }
  out->push_back('"');
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out->push_back('\\');
    }
    out->push_back(c);
  }
  out->push_back('"');
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

absl::StatusOr<std::string> ParseHexBytea(std::string_view text) {
  std::string bytes;
  for (size_t i = 0; i < text.size();) {
    if (absl::ascii_isspace(static_cast<unsigned char>(text[i]))) {
      ++i;
      continue;
    }
    int high = HexValue(text[i]);
    int low = i + 1 < text.size() ? HexValue(text[i + 1]) : 0;
    if (high < 0 || low < 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "invalid hexadecimal digit: \"", ToAbsl(CharacterAt(text, high < 0 ? i : i + 1)), "\""));
    }
    if (i + 1 == text.size()) {
      return absl::InvalidArgumentError("invalid hexadecimal data: odd number of digits");
    }
    bytes.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return bytes;
}

}  // namespace

absl::StatusOr<NumericValue> FitNumeric(const Numeric& value, const SqlType& type) {
  if (type.precision == 0 || value.IsNaN()) {
    return NumericValue(value);
  }
  auto overflow = [] { return absl::OutOfRangeError("numeric field overflow"); };
  if (!value.IsFinite()) {
    return overflow();
  }
  absl::StatusOr<NumericValue> fitted = value.Rescale(type.scale);
  if (!fitted.ok() || (!fitted->view().IsZero() &&
                       fitted->view().LeadingExponent() >= type.precision - type.scale)) {
    return overflow();
  }
  return fitted;
}

absl::StatusOr<std::string> ParseBytea(std::string_view text) {
  return text.starts_with("\\x") ? ParseHexBytea(text.substr(2)) : ParseEscapedBytea(text);
}

absl::StatusOr<std::string> ParseEscapedBytea(std::string_view text) {
  std::string bytes;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      bytes.push_back(text[i]);
      continue;
    }
    auto octal = [&](size_t at, char most) {
      return at < text.size() && text[at] >= '0' && text[at] <= most;
    };
    if (i + 1 < text.size() && text[i + 1] == '\\') {
      bytes.push_back('\\');
      ++i;
    } else if (octal(i + 1, '3') && octal(i + 2, '7') && octal(i + 3, '7')) {
      bytes.push_back(static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                        (text[i + 3] - '0')));
      i += 3;
    } else {
      return absl::InvalidArgumentError("invalid input syntax for type bytea");
    }
  }
  return bytes;
}

absl::StatusOr<ColumnPtr> ParseArray(std::string_view text, const SqlType& element) {
  std::vector<ArrayReader::Element> elements;
  if (!ArrayReader(text).Read(&elements)) {
    return absl::InvalidArgumentError(
        absl::StrCat("malformed array literal: \"", ToAbsl(text), "\""));
  }
  auto column = std::make_shared<Column>(element, elements.size());
  for (size_t i = 0; i < elements.size(); ++i) {
    if (elements[i].null) {
      column->SetNull(i);
    } else {
      RETURN_IF_ERROR(ParseValue(elements[i].text, column.get(), i));
    }
  }
  return column;
}

void AppendArray(const Column& child, const ListView& list, std::string* out) {
  out->push_back('{');
  for (uint32_t i = 0; i < list.size; ++i) {
    if (i > 0) {
      out->push_back(',');
    }
    if (child.IsNull(list.begin + i)) {
      out->append("NULL");
      continue;
    }
    std::string text;
    AppendValue(child, list.begin + i, &text);
    AppendElement(text, out);
  }
  out->push_back('}');
}

absl::Status ParseValue(std::string_view text, Column* out, size_t row) {
  switch (out->type().id) {
    case TypeId::kBool: {
      ASSIGN_OR_RETURN(bool value, ParseBool(text));
      out->mutable_values<uint8_t>()[row] = value ? 1 : 0;
      return absl::OkStatus();
    }
    case TypeId::kInt16:
      return Store(ParseNumber<int16_t>(text), out, row);
    case TypeId::kInt32:
      return Store(ParseNumber<int32_t>(text), out, row);
    case TypeId::kInt64:
      return Store(ParseNumber<int64_t>(text), out, row);
    case TypeId::kFloat32:
      return Store(ParseNumber<float>(text), out, row);
    case TypeId::kFloat64:
      return Store(ParseNumber<double>(text), out, row);
    case TypeId::kNumeric:
      return StoreNumeric(text, out, row);
    case TypeId::kUnknown:
      break;
    case TypeId::kText:
      out->SetTextCopy(row, text);
      return absl::OkStatus();
    case TypeId::kBytea: {
      ASSIGN_OR_RETURN(std::string bytes, ParseBytea(text));
      out->SetTextCopy(row, bytes);
      return absl::OkStatus();
    }
    case TypeId::kDate:
      return Store(ParseDate(text), out, row);
    case TypeId::kTimestamp:
      return Store(ParseTimestamp(text), out, row);
    case TypeId::kTimestampTz:
      return Store(ParseTimestampTz(text), out, row);
    case TypeId::kInterval:
      return Store(ParseInterval(text), out, row);
    case TypeId::kJsonb:
      return StoreJsonb(text, out, row);
    case TypeId::kArray:
      return StoreArray(text, out, row);
  }
  return absl::InternalError("a value of unknown type cannot be read from text");
}

void AppendValue(const Column& column, size_t row, std::string* out) {
  switch (column.type().id) {
    case TypeId::kUnknown:
      return;
    case TypeId::kBool:
      out->push_back(column.value<uint8_t>(row) != 0 ? 't' : 'f');
      return;
    case TypeId::kInt16:
      return AppendNumber(static_cast<int64_t>(column.value<int16_t>(row)), out);
    case TypeId::kInt32:
      return AppendNumber(static_cast<int64_t>(column.value<int32_t>(row)), out);
    case TypeId::kInt64:
      return AppendNumber(column.value<int64_t>(row), out);
    case TypeId::kFloat32:
      return AppendNumber(column.value<float>(row), out);
    case TypeId::kFloat64:
      return AppendNumber(column.value<double>(row), out);
    case TypeId::kNumeric:
      out->append(column.value<Numeric>(row).ToString());
      return;
    case TypeId::kText:
    case TypeId::kJsonb:
      out->append(column.value<TextView>(row).view());
      return;
    case TypeId::kBytea:
      return AppendBytea(column.value<TextView>(row).view(), out);
    case TypeId::kDate:
      return AppendDate(column.value<int32_t>(row), out);
    case TypeId::kTimestamp:
      return AppendTimestamp(column.value<int64_t>(row), out);
    case TypeId::kTimestampTz:
      return AppendTimestampTz(column.value<int64_t>(row), out);
    case TypeId::kInterval:
      return AppendInterval(column.value<Interval>(row), out);
    case TypeId::kArray:
      return AppendArray(*column.child(), column.value<ListView>(row), out);
  }
}

std::string ValueToString(const Column& column, size_t row, std::string_view null_text) {
  if (column.IsNull(row)) {
    return std::string(null_text);
  }
  std::string text;
  AppendValue(column, row, &text);
  return text;
}

}  // namespace millrace
