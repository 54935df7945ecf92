#include "connectors/formats/utf8.h"

#include <simdjson.h>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace millrace {

bool IsValidUtf8NonAscii(std::string_view bytes) {
  return simdjson::validate_utf8(bytes.data(), bytes.size());
}

absl::Status NotUtf8(std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(
      ToAbsl(what), " is not valid UTF-8; declare the column as bytea to take any bytes"));
}

}  // namespace millrace
