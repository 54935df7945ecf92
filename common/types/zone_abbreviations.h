// Abbreviations of time zones, as in times: 'CET', 'EDT', 'MSK'. The time zone data have them too,
// but do not tell which of several places is meant. Pure functions.
#ifndef MILLRACE_COMMON_TYPES_ZONE_ABBREVIATIONS_H_
#define MILLRACE_COMMON_TYPES_ZONE_ABBREVIATIONS_H_

#include <cstdint>
#include <string_view>

namespace millrace {

struct ZoneAbbreviation {
  std::string_view name;    // in lower case
  int32_t offset_s;         // east of UTC
  std::string_view region;  // not empty: what the abbreviation meant there at the time in question
};

// Null if there is none.
const ZoneAbbreviation* FindZoneAbbreviation(std::string_view lower_case);

}  // namespace millrace

#endif  // MILLRACE_COMMON_TYPES_ZONE_ABBREVIATIONS_H_
