// Random (version 4) UUIDs for incarnations, executors and drivers.
#ifndef MILLRACE_COMMON_BASE_UUID_H_
#define MILLRACE_COMMON_BASE_UUID_H_

#include <string>

namespace millrace {

// 36 characters, lower case. From the system's random source; thread-safe.
std::string NewUuid();

}  // namespace millrace

#endif  // MILLRACE_COMMON_BASE_UUID_H_
