// Names of functions whose result depends on the time zone.
#ifndef MILLRACE_COMMON_EXPR_IN_ZONE_H_
#define MILLRACE_COMMON_EXPR_IN_ZONE_H_

#include <string_view>

namespace millrace {

// Suffix of the name of a function that takes the script's time zone as a further argument. It has
// a blank in it, so that no script can call the function. Plans have it only for time zones other
// than UTC.
inline constexpr char kInZone[] = " in zone";
inline constexpr std::string_view kCastInZone = "cast in zone";

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_IN_ZONE_H_
