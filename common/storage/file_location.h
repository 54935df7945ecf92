// Where a user's text says that files are: options, settings and flags name them by a path or by a
// file:// URL. Pure.
#ifndef MILLRACE_COMMON_STORAGE_FILE_LOCATION_H_
#define MILLRACE_COMMON_STORAGE_FILE_LOCATION_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace millrace {

// The path in "file:///path", or the text itself if it is a path (or a glob, or empty). What
// follows file:// is taken as it is: no %XX. INVALID_ARGUMENT, with the reason alone, for a URL
// with a host or of another scheme, which would otherwise be a relative path that nobody means.
absl::StatusOr<std::string> PathOfLocation(std::string_view location);

}  // namespace millrace

#endif  // MILLRACE_COMMON_STORAGE_FILE_LOCATION_H_
