#include "common/base/status.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace millrace {

absl::Status Annotate(const absl::Status& status, std::string_view context) {
  if (status.ok()) {
    return status;
  }
  return Reworded(status, absl::StrCat(ToAbsl(context), ": ", status.message()));
}

absl::Status Reworded(const absl::Status& status, std::string_view message) {
  absl::Status reworded(status.code(), ToAbsl(message));
  status.ForEachPayload([&reworded](absl::string_view type, const absl::Cord& payload) {
    reworded.SetPayload(type, payload);
  });
  return reworded;
}

}  // namespace millrace
