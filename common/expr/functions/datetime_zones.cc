// Time zones in queries: AT TIME ZONE, date_trunc with a zone, and the effect of a script's own
// time zone (SET timezone) on casts, extract, date_trunc and intervals. The latter are functions
// with " in zone" appended to the usual name and the zone as a further argument, so that a plan
// states all that its values depend on. See kInZone.
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/expr/functions/datetime.h"
#include "common/expr/functions/families.h"
#include "common/expr/in_zone.h"
#include "common/types/calendar.h"
#include "common/types/datetime_text.h"
#include "common/types/interval_text.h"

namespace millrace {
namespace {

using FindZone = absl::StatusOr<TimeZone> (*)(std::string_view name);

// Keeps the last zone that a thread asked for: a call mostly has just one.
absl::StatusOr<const TimeZone*> LastZone(std::string_view name, FindZone find, std::string* last,
                                         TimeZone* zone) {
  if (last->empty() || *last != name) {
    last->clear();
    ASSIGN_OR_RETURN(*zone, find(name));
    *last = std::string(name);
  }
  return zone;
}

absl::StatusOr<TimestampTz> AtZone(Timestamp moment, const TimeZone& zone) {
  ASSIGN_OR_RETURN(const int64_t utc_us, zone.ToUtc(moment.micros));
  return TimestampTz{utc_us};
}

absl::StatusOr<Timestamp> AtZone(TimestampTz moment, const TimeZone& zone) {
  ASSIGN_OR_RETURN(const int64_t local_us, zone.ToLocal(moment.micros));
  return Timestamp{local_us};
}

template <typename T>
void AddAtTimeZone(FunctionList* list) {
  using Result = std::conditional_t<std::is_same_v<T, Timestamp>, TimestampTz, Timestamp>;
  // An infinity is the same in any zone, and in what is none.
  list->Add("timezone", [](std::string_view name, T moment) -> absl::StatusOr<Result> {
    if (!IsFiniteTimestamp(moment.micros)) {
      return Result{moment.micros};
    }
    ASSIGN_OR_RETURN(const TimeZone* zone, ZoneOf(name));
    return AtZone(moment, *zone);
  });
  list->Add("timezone", [](const Interval& interval, T moment) -> absl::StatusOr<Result> {
    if (!IsFiniteTimestamp(moment.micros)) {
      return Result{moment.micros};
    }
    ASSIGN_OR_RETURN(const TimeZone zone, ZoneOfInterval(interval));
    return AtZone(moment, zone);
  });
}

std::string InZone(std::string_view name) { return absl::StrCat(ToAbsl(name), kInZone); }

Date DateOf(int64_t local_us) {
  if (!IsFiniteTimestamp(local_us)) {
    return {local_us == kTimestampInfinity ? kDateInfinity : kDateMinusInfinity};
  }
  return {static_cast<int32_t>(FloorDiv(local_us, kMicrosPerDay))};
}

absl::StatusOr<SessionTime> SessionOf(std::string_view name, std::optional<int64_t> now_us) {
  ASSIGN_OR_RETURN(const TimeZone* zone, SessionZoneOf(name));
  return SessionTime{.zone = *zone, .now_us = now_us};
}

absl::StatusOr<Date> ReadDate(std::string_view text, const SessionTime& session) {
  ASSIGN_OR_RETURN(const int32_t days, ParseDate(text, session));
  return Date{days};
}
absl::StatusOr<Timestamp> ReadTimestamp(std::string_view text, const SessionTime& session) {
  ASSIGN_OR_RETURN(const int64_t micros, ParseTimestamp(text, session));
  return Timestamp{micros};
}
absl::StatusOr<TimestampTz> ReadTimestampTz(std::string_view text, const SessionTime& session) {
  ASSIGN_OR_RETURN(const int64_t micros, ParseTimestampTz(text, session));
  return TimestampTz{micros};
}

// From text, with and without the time that 'now' and 'today' mean.
template <typename T>
void AddRead(FunctionList* list, absl::StatusOr<T> (*read)(std::string_view, const SessionTime&)) {
  list->Add(InZone("cast"),
            [read](std::string_view text, std::string_view zone) -> absl::StatusOr<T> {
              ASSIGN_OR_RETURN(const SessionTime session, SessionOf(zone, std::nullopt));
              return read(text, session);
            });
  list->Add(
      InZone("cast"),
      [read](std::string_view text, std::string_view zone, TimestampTz now) -> absl::StatusOr<T> {
        ASSIGN_OR_RETURN(const SessionTime session, SessionOf(zone, now.micros));
        return read(text, session);
      });
}

void AddCasts(FunctionList* list) {
  AddRead<Date>(list, ReadDate);
  AddRead<Timestamp>(list, ReadTimestamp);
  AddRead<TimestampTz>(list, ReadTimestampTz);
  list->Add(InZone("cast"),
            [](TimestampTz moment, std::string_view name) -> absl::StatusOr<std::string> {
              ASSIGN_OR_RETURN(const TimeZone* zone, SessionZoneOf(name));
              std::string text;
              AppendTimestampTz(moment.micros, *zone, &text);
              return text;
            });
  list->Add(InZone("cast"),
            [](TimestampTz moment, std::string_view name) -> absl::StatusOr<Timestamp> {
              ASSIGN_OR_RETURN(const TimeZone* zone, SessionZoneOf(name));
              return AtZone(moment, *zone);
            });
  list->Add(InZone("cast"), [](TimestampTz moment, std::string_view name) -> absl::StatusOr<Date> {
    ASSIGN_OR_RETURN(const TimeZone* zone, SessionZoneOf(name));
    ASSIGN_OR_RETURN(const Timestamp local, AtZone(moment, *zone));
    return DateOf(local.micros);
  });
  list->Add(InZone("cast"),
            [](Timestamp moment, std::string_view name) -> absl::StatusOr<TimestampTz> {
              ASSIGN_OR_RETURN(const TimeZone* zone, SessionZoneOf(name));
              return AtZone(moment, *zone);
            });
  list->Add(InZone("cast"), [](Date date, std::string_view name) -> absl::StatusOr<TimestampTz> {
    ASSIGN_OR_RETURN(const TimeZone* zone, SessionZoneOf(name));
    ASSIGN_OR_RETURN(const int64_t local_us, StartOfDay(date));
    return AtZone(Timestamp{local_us}, *zone);
  });
}

absl::StatusOr<TimestampTz> Move(TimestampTz moment, const Interval& interval,
                                 std::string_view name) {
  ASSIGN_OR_RETURN(const TimeZone* zone, SessionZoneOf(name));
  ASSIGN_OR_RETURN(const int64_t micros, AddInterval(moment.micros, interval, *zone));
  return TimestampTz{micros};
}

void AddArithmeticInZone(FunctionList* list) {
  list->Add(InZone("+"), [](TimestampTz moment, const Interval& interval, std::string_view zone) {
    return Move(moment, interval, zone);
  });
  list->Add(InZone("+"), [](const Interval& interval, TimestampTz moment, std::string_view zone) {
    return Move(moment, interval, zone);
  });
  list->Add(InZone("-"),
            [](TimestampTz moment, const Interval& interval,
               std::string_view zone) -> absl::StatusOr<TimestampTz> {
              ASSIGN_OR_RETURN(const Interval negative, NegateInterval(interval));
              return Move(moment, negative, zone);
            });
}

void AddFieldsInZone(FunctionList* list) {
  list->Add(InZone("extract"),
            [](std::string_view field, TimestampTz moment,
               std::string_view name) -> absl::StatusOr<std::optional<NumericValue>> {
              ASSIGN_OR_RETURN(const TimeZone* zone, SessionZoneOf(name));
              return ExtractInZone(field, moment, *zone);
            });
  list->Add(InZone("date_part"),
            [](std::string_view field, TimestampTz moment,
               std::string_view name) -> absl::StatusOr<std::optional<double>> {
              ASSIGN_OR_RETURN(const TimeZone* zone, SessionZoneOf(name));
              ASSIGN_OR_RETURN(const std::optional<NumericValue> part,
                               ExtractInZone(field, moment, *zone));
              return part.has_value() ? std::optional<double>((*part)->ToDouble()) : std::nullopt;
            });
  list->Add(InZone("date_trunc"),
            [](std::string_view field, TimestampTz moment,
               std::string_view name) -> absl::StatusOr<TimestampTz> {
              ASSIGN_OR_RETURN(const TimeZone* zone, SessionZoneOf(name));
              return TruncateInZone(field, moment, *zone);
            });
  list->Add("date_trunc",
            [](std::string_view field, TimestampTz moment,
               std::string_view name) -> absl::StatusOr<TimestampTz> {
              if (!IsFiniteTimestamp(moment.micros)) {
                return moment;
              }
              ASSIGN_OR_RETURN(const TimeZone* zone, ZoneOf(name));
              return TruncateInZone(field, moment, zone->WholeRegion());
            });
}

}  // namespace

absl::StatusOr<TimeZone> ZoneOfInterval(const Interval& interval) {
  if (interval.months != 0 || interval.days != 0) {
    std::string text;
    AppendInterval(interval, &text);
    return absl::InvalidArgumentError(
        absl::StrCat("interval time zone \"", text, "\" must not include months or days"));
  }
  return TimeZone::Fixed(interval.micros / kMicrosPerSecond, "", "");
}

absl::StatusOr<const TimeZone*> ZoneOf(std::string_view name) {
  thread_local std::string last;
  thread_local TimeZone zone;
  return LastZone(name, TimeZone::Find, &last, &zone);
}

absl::StatusOr<const TimeZone*> SessionZoneOf(std::string_view name) {
  thread_local std::string last;
  thread_local TimeZone zone;
  return LastZone(name, TimeZone::FindRegion, &last, &zone);
}

void AddDateTimeZones(FunctionList* list) {
  AddAtTimeZone<Timestamp>(list);
  AddAtTimeZone<TimestampTz>(list);
  AddCasts(list);
  AddArithmeticInZone(list);
  AddFieldsInZone(list);
}

}  // namespace millrace
