#include "common/types/time_zone.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/civil_time.h"
#include "common/base/status.h"
#include "common/base/utf8.h"
#include "common/types/calendar.h"
#include "common/types/zone_abbreviations.h"
#include "common/types/zone_names.h"

namespace millrace {
namespace {

constexpr size_t kMostNameBytes = 255;

// Quotes the whole characters among the bytes that a name may have.
absl::Status NotRecognized(std::string_view name) {
  size_t end = std::min(name.size(), kMostNameBytes);
  while (end > 0 && end < name.size() && IsContinuationByte(name[end])) {
    --end;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("time zone \"", ToAbsl(name.substr(0, end)), "\" not recognized"));
}

// Removes digits from the front of `text` and returns their number.
std::optional<int64_t> TakeNumber(std::string_view* text) {
  int64_t value = 0;
  const size_t digits = std::min(text->find_first_not_of("0123456789"), text->size());
  if (std::from_chars(text->data(), text->data() + digits, value).ec != std::errc()) {
    return std::nullopt;
  }
  text->remove_prefix(digits);
  return value;
}

// POSIX: a name that may be empty or in <>, then the offset *west* of UTC: [+-]hh[:mm[:ss]].
std::optional<TimeZone> PosixZone(std::string_view spec) {
  std::string_view rest = spec;
  std::string_view name;
  if (rest.starts_with('<')) {
    const size_t end = rest.find('>');
    if (end == std::string_view::npos) {
      return std::nullopt;
    }
    name = rest.substr(1, end - 1);
    rest.remove_prefix(end + 1);
  } else {
    const size_t end = std::min(rest.find_first_of("0123456789,+-"), rest.size());
    name = rest.substr(0, end);
    rest.remove_prefix(end);
  }
  const bool east = rest.starts_with('-');
  if (east || rest.starts_with('+')) {
    rest.remove_prefix(1);
  }
  constexpr std::array<int64_t, 3> kUnits = {3600, 60, 1};
  constexpr std::array<int64_t, 3> kMost = {24 * 7 - 1, 59, 60};
  int64_t west_s = 0;
  for (size_t i = 0; i < kUnits.size(); ++i) {
    if (i > 0) {
      if (rest.empty()) {
        break;
      }
      if (rest[0] != ':') {
        return std::nullopt;
      }
      rest.remove_prefix(1);
    }
    const std::optional<int64_t> number = TakeNumber(&rest);
    if (!number.has_value() || *number > kMost[i]) {
      return std::nullopt;
    }
    west_s += *number * kUnits[i];
  }
  if (!rest.empty()) {
    return std::nullopt;  // rules of daylight saving time in the name itself
  }
  return TimeZone::Fixed(east ? west_s : -west_s, std::string(spec),
                         std::string(name.empty() ? spec : name));
}

absl::CivilSecond CivilOf(int64_t local_us) {
  return absl::CivilSecond() + FloorDiv(local_us, kMicrosPerSecond);
}

}  // namespace

TimeZone TimeZone::Fixed(int64_t offset_s, std::string name, std::string abbreviation) {
  TimeZone zone;
  zone.offset_s_ = offset_s;
  zone.name_ = std::move(name);
  zone.abbreviation_ = std::move(abbreviation);
  return zone;
}

absl::StatusOr<TimeZone> TimeZone::FindRegion(std::string_view name) {
  if (absl::EqualsIgnoreCase(ToAbsl(name), "utc") || absl::EqualsIgnoreCase(ToAbsl(name), "gmt")) {
    const std::string upper = absl::AsciiStrToUpper(ToAbsl(name));
    return Fixed(0, upper, upper);
  }
  if (name.size() > kMostNameBytes) {
    return NotRecognized(name);
  }
  if (const std::optional<ZoneName> found = FindZoneName(name)) {
    TimeZone zone;
    zone.kind_ = Kind::kRegion;
    zone.zone_ = found->zone;
    zone.name_ = found->name;
    return zone;
  }
  if (std::optional<TimeZone> posix = PosixZone(name)) {
    return *std::move(posix);
  }
  return HasZoneNames() ? NotRecognized(name)
                        : absl::InvalidArgumentError(absl::StrCat(
                              NotRecognized(name).message(),
                              ": this machine has no time zone data; install the package tzdata"));
}

absl::StatusOr<TimeZone> TimeZone::FindAbbreviation(std::string_view name) {
  const ZoneAbbreviation* known = FindZoneAbbreviation(absl::AsciiStrToLower(ToAbsl(name)));
  if (known == nullptr) {
    return absl::NotFoundError(NotRecognized(name).message());
  }
  std::string upper = absl::AsciiStrToUpper(ToAbsl(name));
  if (known->region.empty()) {
    return Fixed(known->offset_s, upper, upper);
  }
  ASSIGN_OR_RETURN(TimeZone zone, FindRegion(known->region));
  zone.kind_ = Kind::kAbbreviation;
  zone.abbreviation_ = std::move(upper);
  return zone;
}

absl::StatusOr<TimeZone> TimeZone::FindSetting(std::string_view value) {
  constexpr double kMostHours = 167;
  double hours = 0;
  if (!absl::SimpleAtod(ToAbsl(value), &hours)) {
    return FindRegion(value);
  }
  if (!(hours >= -kMostHours && hours <= kMostHours)) {
    return NotRecognized(value);
  }
  const auto seconds = static_cast<int64_t>(std::llrint(hours * 3600));
  const int64_t size = std::abs(seconds);
  const std::string clock =
      absl::StrFormat("%02d:%02d:%02d", size / 3600, size / 60 % 60, size % 60);
  const char* sign = seconds < 0 ? "-" : "+";
  return FindRegion(absl::StrCat("<", sign, clock, ">", seconds < 0 ? "+" : "-", clock));
}

absl::StatusOr<TimeZone> TimeZone::Find(std::string_view name) {
  absl::StatusOr<TimeZone> abbreviation = FindAbbreviation(name);
  return absl::IsNotFound(abbreviation.status()) ? FindRegion(name) : std::move(abbreviation);
}

TimeZone TimeZone::WholeRegion() const {
  TimeZone zone = *this;
  zone.kind_ = kind_ == Kind::kAbbreviation ? Kind::kRegion : kind_;
  return zone;
}

int64_t TimeZone::OffsetAt(int64_t utc_us) const {
  switch (kind_) {
    case Kind::kFixed:
      return offset_s_;
    case Kind::kRegion:
      return zone_.At(absl::FromUnixMicros(utc_us)).offset;
    case Kind::kAbbreviation:
      break;
  }
  return AbbreviationOffsetAt(utc_us);
}

// The abbreviation may have meant other offsets in other years, or none. The last use before the
// moment counts, else the first one after it, else the offset that the clock had.
int64_t TimeZone::AbbreviationOffsetAt(int64_t utc_us) const {
  absl::Time time = absl::FromUnixMicros(utc_us);
  const absl::TimeZone::CivilInfo now = zone_.At(time);
  absl::TimeZone::CivilInfo info = now;
  absl::TimeZone::CivilTransition change;
  while (info.zone_abbr != abbreviation_ && zone_.PrevTransition(time, &change)) {
    time = zone_.At(change.to).trans - absl::Nanoseconds(1);
    info = zone_.At(time);
  }
  time = absl::FromUnixMicros(utc_us);
  while (info.zone_abbr != abbreviation_ && zone_.NextTransition(time, &change)) {
    time = zone_.At(change.to).trans;
    info = zone_.At(time);
  }
  return info.zone_abbr == abbreviation_ ? info.offset : now.offset;
}

int64_t TimeZone::OffsetAtLocal(int64_t local_us) const {
  if (kind_ == Kind::kFixed) {
    return offset_s_;
  }
  const absl::CivilSecond civil = CivilOf(local_us);
  const absl::TimeZone::TimeInfo info = zone_.At(civil);
  const absl::Time chosen = info.kind == absl::TimeZone::TimeInfo::REPEATED ? info.post : info.pre;
  const int64_t utc_s = absl::ToUnixSeconds(chosen);
  if (kind_ == Kind::kAbbreviation) {
    return AbbreviationOffsetAt(utc_s * kMicrosPerSecond);
  }
  return civil - absl::CivilSecond() - utc_s;
}

std::string TimeZone::AbbreviationAt(int64_t utc_us) const {
  return kind_ == Kind::kRegion ? zone_.At(absl::FromUnixMicros(utc_us)).zone_abbr : abbreviation_;
}

absl::StatusOr<int64_t> TimeZone::ClockAt(int64_t utc_us) const {
  int64_t local_us = 0;
  if (!IsFiniteTimestamp(utc_us)) {
    return utc_us;
  }
  if (__builtin_add_overflow(utc_us, OffsetAt(utc_us) * kMicrosPerSecond, &local_us) ||
      !IsFiniteTimestamp(local_us)) {
    return absl::OutOfRangeError("timestamp out of range");
  }
  return local_us;
}

absl::StatusOr<int64_t> TimeZone::ToLocal(int64_t utc_us) const {
  ASSIGN_OR_RETURN(const int64_t local_us, ClockAt(utc_us));
  if (IsFiniteTimestamp(utc_us) && !IsValidTimestamp(local_us)) {
    return absl::OutOfRangeError("timestamp out of range");
  }
  return local_us;
}

absl::StatusOr<int64_t> TimeZone::ToUtc(int64_t local_us) const {
  int64_t utc_us = 0;
  if (!IsFiniteTimestamp(local_us)) {
    return local_us;
  }
  if (__builtin_sub_overflow(local_us, OffsetAtLocal(local_us) * kMicrosPerSecond, &utc_us) ||
      !IsValidTimestamp(utc_us)) {
    return absl::OutOfRangeError("timestamp out of range");
  }
  return utc_us;
}

}  // namespace millrace
