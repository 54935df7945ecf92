// What functions are called that mean something else in another time zone.
#ifndef MILLRACE_COMMON_EXPR_IN_ZONE_H_
#define MILLRACE_COMMON_EXPR_IN_ZONE_H_

#include <string_view>

namespace millrace {

// Behind the name of a function: it takes the script's time zone as a further argument. With a
// blank in it, so that no script can call it. A plan has it only for time zones other than UTC.
inline constexpr char kInZone[] = " in zone";
inline constexpr std::string_view kCastInZone = "cast in zone";

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_IN_ZONE_H_
