// Finds names in the system's time zone data, in any case. Thread-safe; each zone is read once and
// stays for the life of the process.
#ifndef MILLRACE_COMMON_TYPES_ZONE_NAMES_H_
#define MILLRACE_COMMON_TYPES_ZONE_NAMES_H_

#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace millrace {

struct ZoneName {
  std::string name;  // as the data write it
  absl::TimeZone zone;
};

// Nothing if there is no such zone. A name that only has a meaning on this machine ('localtime') is
// none: executors on other machines would get another time.
std::optional<ZoneName> FindZoneName(std::string_view name);

// Whether the system has time zone data at all.
bool HasZoneNames();

}  // namespace millrace

#endif  // MILLRACE_COMMON_TYPES_ZONE_NAMES_H_
