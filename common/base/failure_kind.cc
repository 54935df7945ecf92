#include "common/base/failure_kind.h"

#include <optional>
#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace millrace {
namespace {

constexpr char kPayload[] = "millrace/failure-kind";

FailureKind KindOfCode(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kCancelled:
      return FailureKind::kEnvironment;
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
      return FailureKind::kUndecided;
    default:
      return FailureKind::kCertain;
  }
}

}  // namespace

absl::Status WithFailureKind(absl::Status status, FailureKind kind) {
  status.SetPayload(kPayload, absl::Cord(absl::StrCat(static_cast<int>(kind))));
  return status;
}

FailureKind FailureKindOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kPayload);
  int kind = 0;
  if (payload.has_value() && absl::SimpleAtoi(std::string(*payload), &kind) &&
      kind >= static_cast<int>(FailureKind::kEnvironment) &&
      kind <= static_cast<int>(FailureKind::kTooLarge)) {
    return static_cast<FailureKind>(kind);
  }
  return KindOfCode(status.code());
}

}  // namespace millrace
