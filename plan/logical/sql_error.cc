#include "plan/logical/sql_error.h"

#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace millrace::plan {
namespace {

constexpr char kPositionPayload[] = "millrace/sql_position";

}  // namespace

absl::Status ErrorAt(int32_t position, std::string_view message) {
  return WithPosition(absl::InvalidArgumentError(ToAbsl(message)), position);
}

absl::Status WithPosition(const absl::Status& status, int32_t position) {
  if (status.ok() || position < 0 || ErrorPosition(status).has_value()) {
    return status;
  }
  absl::Status positioned(absl::StatusCode::kInvalidArgument, status.message());
  positioned.SetPayload(kPositionPayload, absl::Cord(absl::StrCat(position)));
  return positioned;
}

std::optional<int32_t> ErrorPosition(const absl::Status& status) {
  const auto payload = status.GetPayload(kPositionPayload);
  int32_t position = 0;
  if (!payload.has_value() || !absl::SimpleAtoi(std::string(*payload), &position)) {
    return std::nullopt;
  }
  return position;
}

}  // namespace millrace::plan
