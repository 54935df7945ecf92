#include "common/storage/file_location.h"

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace millrace {

absl::StatusOr<std::string> PathOfLocation(std::string_view location) {
  constexpr std::string_view kFileScheme = "file:";
  constexpr std::string_view kUrl = "://";
  if (location.starts_with(kFileScheme)) {
    const std::string_view rest = location.substr(kFileScheme.size());
    if (!rest.starts_with("///")) {
      return absl::InvalidArgumentError("file:// is followed by the path, not by a host");
    }
    return std::string(rest.substr(2));
  }
  const size_t scheme_end = location.find(kUrl);
  if (scheme_end != std::string_view::npos && scheme_end < location.find('/')) {
    return absl::InvalidArgumentError(
        absl::StrCat("there is no scheme ", ToAbsl(location.substr(0, scheme_end))));
  }
  return std::string(location);
}

}  // namespace millrace
