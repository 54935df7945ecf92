// Why something failed, as far as that decides what is done next. This is the one place that says
// it: whoever makes an error whose code alone would mislead marks it with WithFailureKind, where it
// is born; everybody else asks FailureKindOf, and never the message. The kind travels as a payload
// of the status, which Annotate keeps.
//
//   kind          | what it means                              | what a running job does
//   kEnvironment  | something outside is away, full or slow:   | begins anew after a pause, for as
//                 | a broker, a disk, an executor, a deadline  | long as it takes
//   kUndecided    | may pass, or come back each time           | begins anew; the same failure of
//   the
//                 |                                            | same batch some times in a row
//                 ends it
//   kCertain      | the same input fails the same way          | ends as FAILED
//   kTooLarge     | the batch needs more memory than it may    | withdraws the batch and plans a
//   half
//                 | have                                       |
#ifndef MILLRACE_COMMON_BASE_FAILURE_KIND_H_
#define MILLRACE_COMMON_BASE_FAILURE_KIND_H_

#include "absl/status/status.h"

namespace millrace {

// The numbers are those of proto::FailureKind.
enum class FailureKind {
  kEnvironment = 1,
  kUndecided = 2,
  kCertain = 3,
  kTooLarge = 4,
};

// `status` with its kind. REQUIRES: it is not OK.
absl::Status WithFailureKind(absl::Status status, FailureKind kind);

// As marked; else by the code: UNAVAILABLE, DEADLINE_EXCEEDED and CANCELLED are of the environment,
// ABORTED, INTERNAL and UNKNOWN are undecided, all others certain.
FailureKind FailureKindOf(const absl::Status& status);

}  // namespace millrace

#endif  // MILLRACE_COMMON_BASE_FAILURE_KIND_H_
