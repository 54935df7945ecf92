// What this build calls itself: in registrations, plans, journals and snapshots, so that a message
// about something old can say who wrote it.
#ifndef MILLRACE_COMMON_BASE_VERSION_H_
#define MILLRACE_COMMON_BASE_VERSION_H_

namespace millrace {

inline constexpr char kEngineVersion[] = "0.1.0";

}  // namespace millrace

#endif  // MILLRACE_COMMON_BASE_VERSION_H_
