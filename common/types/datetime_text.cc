#include "common/types/datetime_text.h"

#include <cstdlib>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/types/calendar.h"
#include "common/types/datetime_decoder.h"
#include "common/types/iso_time.h"

namespace millrace {
namespace {

absl::Status OutOfRange(std::string_view type, std::string_view text) {
  return absl::OutOfRangeError(absl::StrCat(ToAbsl(type), " out of range: \"", ToAbsl(text), "\""));
}

// The microseconds that a clock shows at the time in the text.
absl::StatusOr<int64_t> LocalMicros(std::string_view text, const DateTimeFields& fields) {
  switch (fields.kind) {
    case DateTimeFields::Kind::kEpoch:
      return 0;
    case DateTimeFields::Kind::kInfinity:
      return kTimestampInfinity;
    case DateTimeFields::Kind::kMinusInfinity:
      return kTimestampMinusInfinity;
    case DateTimeFields::Kind::kMoment:
      break;
  }
  const int64_t days = DaysFromCivil(fields.date.year, fields.date.month, fields.date.day);
  int64_t micros = 0;
  if (__builtin_mul_overflow(days, kMicrosPerDay, &micros) ||
      __builtin_add_overflow(micros, fields.time_us, &micros) || !IsValidTimestamp(micros)) {
    return OutOfRange("timestamp", text);
  }
  return micros;
}

// Returns whether the year is before Christ, which the caller appends behind everything else.
bool AppendCivil(int64_t days, std::string* out) {
  CivilDate date = CivilFromDays(days);
  bool bc = date.year <= 0;
  char buffer[40];
  int size = absl::SNPrintF(buffer, sizeof(buffer), "%04d-%02d-%02d",
                            bc ? 1 - date.year : date.year, date.month, date.day);
  out->append(buffer, static_cast<size_t>(size));
  return bc;
}

void AppendMoment(int64_t micros, char separator, std::string_view zone, std::string* out) {
  if (!IsFiniteTimestamp(micros)) {
    out->append(micros == kTimestampInfinity ? "infinity" : "-infinity");
    return;
  }
  bool bc = AppendCivil(FloorDiv(micros, kMicrosPerDay), out);
  out->push_back(separator);
  AppendTime(FloorMod(micros, kMicrosPerDay), out);
  out->append(zone);
  out->append(bc ? " BC" : "");
}

// +hh, with minutes where there are some or they are always wanted, and seconds where there are
// some.
void AppendOffset(int64_t offset_s, bool minutes, std::string* out) {
  const int64_t size = std::abs(offset_s);
  absl::StrAppendFormat(out, "%c%02d", offset_s < 0 ? '-' : '+', size / 3600);
  if (minutes || size % 3600 != 0) {
    absl::StrAppendFormat(out, ":%02d", size / 60 % 60);
  }
  if (size % 60 != 0) {
    absl::StrAppendFormat(out, ":%02d", size % 60);
  }
}

void AppendInZone(int64_t micros, const TimeZone& zone, bool iso, std::string* out) {
  int64_t offset_s = IsFiniteTimestamp(micros) ? zone.OffsetAt(micros) : 0;
  int64_t local_us = micros;
  // Near the end of the range, the clock would show a time that no timestamp can hold.
  if (__builtin_add_overflow(micros, offset_s * kMicrosPerSecond, &local_us)) {
    offset_s = 0;
    local_us = micros;
  }
  std::string offset;
  AppendOffset(offset_s, iso, &offset);
  AppendMoment(local_us, iso ? 'T' : ' ', offset, out);
}

}  // namespace

void AppendTime(int64_t micros, std::string* out) {
  int64_t hours = micros / kMicrosPerHour;
  auto seconds = static_cast<int>(micros % kMicrosPerHour / kMicrosPerSecond);
  auto fraction = static_cast<int>(micros % kMicrosPerSecond);
  char buffer[48];
  int size =
      absl::SNPrintF(buffer, sizeof(buffer), "%02d:%02d:%02d", hours, seconds / 60, seconds % 60);
  out->append(buffer, static_cast<size_t>(size));
  if (fraction != 0) {
    size = absl::SNPrintF(buffer, sizeof(buffer), ".%06d", fraction);
    std::string_view text(buffer, static_cast<size_t>(size));
    out->append(text.substr(0, text.find_last_not_of('0') + 1));
  }
}

absl::StatusOr<int32_t> ParseDate(std::string_view text, const SessionTime& session) {
  if (const std::optional<int32_t> days = ReadIsoDate(text); days.has_value()) {
    return *days;
  }
  ASSIGN_OR_RETURN(const DateTimeFields fields, DateTimeDecoder(text, "date", session).Decode());
  switch (fields.kind) {
    case DateTimeFields::Kind::kEpoch:
      return 0;
    case DateTimeFields::Kind::kInfinity:
      return kDateInfinity;
    case DateTimeFields::Kind::kMinusInfinity:
      return kDateMinusInfinity;
    case DateTimeFields::Kind::kMoment:
      break;
  }
  const int64_t days = DaysFromCivil(fields.date.year, fields.date.month, fields.date.day);
  if (!IsValidDate(days)) {
    return OutOfRange("date", text);
  }
  return static_cast<int32_t>(days);
}

absl::StatusOr<int64_t> ParseTimestamp(std::string_view text, const SessionTime& session) {
  if (const std::optional<int64_t> micros = ReadIsoTimestamp(text, false); micros.has_value()) {
    return *micros;
  }
  ASSIGN_OR_RETURN(const DateTimeFields fields,
                   DateTimeDecoder(text, "timestamp", session).Decode());
  return LocalMicros(text, fields);
}

absl::StatusOr<int64_t> ParseTimestampTz(std::string_view text, const SessionTime& session) {
  if (session.zone.is_utc()) {
    if (const std::optional<int64_t> micros = ReadIsoTimestamp(text, true); micros.has_value()) {
      return *micros;
    }
  }
  ASSIGN_OR_RETURN(const DateTimeFields fields,
                   DateTimeDecoder(text, "timestamp with time zone", session).Decode());
  if (fields.kind != DateTimeFields::Kind::kMoment) {
    return LocalMicros(text, fields);
  }
  // A clock may show a time outside of the range of timestamps.
  const int64_t days = DaysFromCivil(fields.date.year, fields.date.month, fields.date.day);
  int64_t local_us = 0;
  int64_t utc_us = 0;
  if (__builtin_mul_overflow(days, kMicrosPerDay, &local_us) ||
      __builtin_add_overflow(local_us, fields.time_us, &local_us) ||
      __builtin_sub_overflow(
          local_us,
          fields.offset_s.value_or(session.zone.OffsetAtLocal(local_us)) * kMicrosPerSecond,
          &utc_us) ||
      !IsValidTimestamp(utc_us)) {
    return OutOfRange("timestamp", text);
  }
  return utc_us;
}

void AppendDate(int32_t days, std::string* out) {
  if (!IsFiniteDate(days)) {
    out->append(days == kDateInfinity ? "infinity" : "-infinity");
    return;
  }
  out->append(AppendCivil(days, out) ? " BC" : "");
}

void AppendTimestamp(int64_t micros, std::string* out) { AppendMoment(micros, ' ', "", out); }
void AppendTimestampTz(int64_t micros, std::string* out) { AppendMoment(micros, ' ', "+00", out); }

void AppendTimestampTz(int64_t micros, const TimeZone& zone, std::string* out) {
  AppendInZone(micros, zone, false, out);
}

void AppendIsoTimestamp(int64_t micros, std::string* out) { AppendMoment(micros, 'T', "", out); }

void AppendIsoTimestampTz(int64_t micros, const TimeZone& zone, std::string* out) {
  AppendInZone(micros, zone, true, out);
}

}  // namespace millrace
