// The version of this build: it goes into registrations, plans, journals and snapshots, so that a
// message about something old can say which version wrote it.
#ifndef MILLRACE_COMMON_BASE_VERSION_H_
#define MILLRACE_COMMON_BASE_VERSION_H_

namespace millrace {

inline constexpr char kEngineVersion[] = "0.1.0";

}  // namespace millrace

#endif  // MILLRACE_COMMON_BASE_VERSION_H_
