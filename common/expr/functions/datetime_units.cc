#include "common/expr/functions/datetime_units.h"

#include <array>
#include <optional>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace millrace {
namespace {

struct FieldName {
  std::string_view name;
  DateTimeField field;
};

// What is no unit but can be extracted, by the words that PostgreSQL has for dates.
constexpr std::array kFieldNames = {
    FieldName{"dow", DateTimeField::kDow},       FieldName{"isodow", DateTimeField::kIsodow},
    FieldName{"doy", DateTimeField::kDoy},       FieldName{"isoyear", DateTimeField::kIsoyear},
    FieldName{"julian", DateTimeField::kJulian}, FieldName{"jd", DateTimeField::kJulian},
    FieldName{"j", DateTimeField::kJulian},      FieldName{"epoch", DateTimeField::kEpoch},
    FieldName{"mm", DateTimeField::kMinute},
};

std::optional<DateTimeField> UnitOf(std::string_view text) {
  return FindTimeUnit(absl::AsciiStrToLower(ToAbsl(text)));
}

absl::Status NotAUnit(std::string_view text, const char* what, const SqlType& type) {
  return absl::InvalidArgumentError(absl::StrCat("unit \"", absl::AsciiStrToLower(ToAbsl(text)),
                                                 "\" not ", what, " for type ", type.ToString()));
}

}  // namespace

absl::Status UnrecognizedField(std::string_view text, const SqlType& type) {
  return NotAUnit(text, "recognized", type);
}
absl::Status UnsupportedField(std::string_view text, const SqlType& type) {
  return NotAUnit(text, "supported", type);
}

absl::StatusOr<DateTimeField> ParseDateTimeField(std::string_view text, const SqlType& type) {
  if (const std::optional<DateTimeField> unit = UnitOf(text); unit.has_value()) {
    return *unit;
  }
  const std::string lower = absl::AsciiStrToLower(ToAbsl(text));
  for (const FieldName& candidate : kFieldNames) {
    if (candidate.name == lower) {
      return candidate.field;
    }
  }
  return UnrecognizedField(text, type);
}

absl::Status CheckExtract(std::string_view text, const SqlType& type) {
  ASSIGN_OR_RETURN(const DateTimeField field, ParseDateTimeField(text, type));
  const bool of_time = field <= DateTimeField::kHour;
  const bool of_zone = field >= DateTimeField::kTimezone;
  bool has = true;
  switch (type.id) {
    case TypeId::kDate:
      has = !of_time && !of_zone;
      break;
    case TypeId::kTimestamp:
      has = !of_zone;
      break;
    case TypeId::kInterval:
      has = field == DateTimeField::kEpoch ||
            (field < DateTimeField::kDow && field != DateTimeField::kWeek);
      break;
    default:
      break;
  }
  return has ? absl::OkStatus() : UnsupportedField(text, type);
}

absl::Status CheckTruncate(std::string_view text, const SqlType& type) {
  ASSIGN_OR_RETURN(const DateTimeField field, ParseDateTimeField(text, type));
  if (!UnitOf(text).has_value()) {
    return UnrecognizedField(text, type);
  }
  const bool interval = type.id == TypeId::kInterval;
  if (field >= DateTimeField::kTimezone || (interval && field == DateTimeField::kWeek)) {
    return UnsupportedField(text, type);
  }
  return absl::OkStatus();
}

}  // namespace millrace
