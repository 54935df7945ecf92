// Time zones: what was when on a clock. Names and rules come from the system's time zone data
// (Debian's package tzdata, or the directory in TZDIR), through Abseil. Values of a job may depend
// on them, so all executors of a job should have the same version.
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
  // A clock that always shows UTC plus so much. `name` as FindRegion would take it, and what people
  // call its time.
  static TimeZone Fixed(int64_t offset_s, std::string name, std::string abbreviation);

  // By what SET timezone takes: a full name ('Europe/Berlin', whatever its case) or POSIX's form of
  // a fixed offset ('UTC+3', which is three hours *west*). INVALID_ARGUMENT as PostgreSQL words it.
  static absl::StatusOr<TimeZone> FindRegion(std::string_view name);
  // What SET timezone takes besides: a number of hours east of UTC.
  static absl::StatusOr<TimeZone> FindSetting(std::string_view value);
  // By what AT TIME ZONE takes: an abbreviation ('CEST') before all that.
  static absl::StatusOr<TimeZone> Find(std::string_view name);
  // Only an abbreviation; NOT_FOUND if it is none.
  static absl::StatusOr<TimeZone> FindAbbreviation(std::string_view name);

  // As the time zone data write it; FindRegion finds the zone by it, if it was not an abbreviation.
  const std::string& name() const { return name_; }
  bool is_region() const { return kind_ == Kind::kRegion; }
  bool is_utc() const { return kind_ == Kind::kFixed && offset_s_ == 0; }

  // How far the zone's clock was ahead of UTC, in seconds, at a moment in microseconds since 1970.
  int64_t OffsetAt(int64_t utc_us) const;
  // The same when the zone's clock showed `local_us`. Of the times that a clock never showed (it
  // was put forward over them) what it would have shown without the change counts; of those that it
  // showed twice, the second.
  int64_t OffsetAtLocal(int64_t local_us) const;
  // What people called the zone's time then: 'CEST'.
  std::string AbbreviationAt(int64_t utc_us) const;

  // Between moments and what the clock shows. OUT_OF_RANGE, as PostgreSQL words it, when the result
  // is no timestamp; infinities stay.
  absl::StatusOr<int64_t> ToLocal(int64_t utc_us) const;
  absl::StatusOr<int64_t> ToUtc(int64_t local_us) const;

 private:
  enum class Kind {
    kFixed,         // offset_s_
    kRegion,        // zone_
    kAbbreviation,  // what abbreviation_ meant in zone_ at the time
  };

  int64_t AbbreviationOffsetAt(int64_t utc_us) const;

  Kind kind_ = Kind::kFixed;
  int64_t offset_s_ = 0;
  absl::TimeZone zone_;
  std::string name_ = "UTC";
  std::string abbreviation_ = "UTC";  // not of a region, which has several
};

// What the text of a time leaves to whoever reads it.
struct SessionTime {
  TimeZone zone;                  // of texts that name none
  std::optional<int64_t> now_us;  // for 'now', 'today' and the like; without it they are errors
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_TYPES_TIME_ZONE_H_
