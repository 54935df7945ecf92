// Time zones: convert between moments and what a local clock shows. Names and rules come from the
// system's time zone data (Debian's package tzdata, or the directory in TZDIR), through Abseil.
// Values of a job may depend on them, so all executors of a job should have the same version.
//
// A TimeZone is a value, cheap to copy and safe from any thread.
#ifndef MILLRACE_COMMON_TYPES_TIME_ZONE_H_
#define MILLRACE_COMMON_TYPES_TIME_ZONE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace millrace {

class TimeZone {
 public:
  // UTC.
  TimeZone() = default;
  // A zone whose clock always shows UTC plus `offset_s`. `name`: one that FindRegion takes.
  // `abbreviation`: what people call its time.
  static TimeZone Fixed(int64_t offset_s, std::string name, std::string abbreviation);

  // Finds a zone by what SET timezone takes: a full name ('Europe/Berlin', in any case) or POSIX's
  // form of a fixed offset ('UTC+3', which is three hours *west*). INVALID_ARGUMENT as PostgreSQL
  // words it.
  static absl::StatusOr<TimeZone> FindRegion(std::string_view name);
  // The same, and also a number of hours east of UTC, as SET timezone takes it.
  static absl::StatusOr<TimeZone> FindSetting(std::string_view value);
  // Finds a zone by what AT TIME ZONE takes: an abbreviation ('CEST') first, then what FindRegion
  // takes.
  static absl::StatusOr<TimeZone> Find(std::string_view name);
  // Finds an abbreviation only; NOT_FOUND if it is none.
  static absl::StatusOr<TimeZone> FindAbbreviation(std::string_view name);

  // The name in the spelling of the time zone data. FindRegion finds the zone by it, unless it is
  // an abbreviation.
  const std::string& name() const { return name_; }
  bool is_region() const { return kind_ == Kind::kRegion; }
  bool is_utc() const { return kind_ == Kind::kFixed && offset_s_ == 0; }

  // The region that an abbreviation was found in, whose clock is the abbreviation's at some times
  // only; any other zone itself.
  TimeZone WholeRegion() const;

  // The seconds by which the zone's clock was ahead of UTC at a moment, in microseconds since 1970.
  int64_t OffsetAt(int64_t utc_us) const;
  // The same at the moment when the zone's clock showed `local_us`. A time that the clock skipped
  // (it was put forward) counts as if the clock had not been changed; a time that it showed twice
  // means the second one.
  int64_t OffsetAtLocal(int64_t local_us) const;
  // What people called the zone's time then: 'CEST'.
  std::string AbbreviationAt(int64_t utc_us) const;

  // What the clock shows at a moment, which may lie a little before the first timestamp.
  // OUT_OF_RANGE if it lies behind the last; infinities stay.
  absl::StatusOr<int64_t> ClockAt(int64_t utc_us) const;
  // Convert between moments and what the clock shows. OUT_OF_RANGE, as PostgreSQL words it, when
  // the result is no timestamp; infinities stay.
  absl::StatusOr<int64_t> ToLocal(int64_t utc_us) const;
  absl::StatusOr<int64_t> ToUtc(int64_t local_us) const;

 private:
  enum class Kind {
    kFixed,         // offset_s_
    kRegion,        // zone_
    kAbbreviation,  // the offset that abbreviation_ had in zone_ at the time
  };

  int64_t AbbreviationOffsetAt(int64_t utc_us) const;

  Kind kind_ = Kind::kFixed;
  int64_t offset_s_ = 0;
  absl::TimeZone zone_;
  std::string name_ = "UTC";
  std::string abbreviation_ = "UTC";  // unused for a region, which has several
};

// The parts of a time that its text may leave open.
struct SessionTime {
  TimeZone zone;                  // for texts that name no zone
  std::optional<int64_t> now_us;  // for 'now', 'today' and the like; without it they are errors
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_TYPES_TIME_ZONE_H_
