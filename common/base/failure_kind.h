// The kind of a failure, which decides what is done next. Only this file decides on kinds: code
// that makes an error whose status code alone would mislead marks it with WithFailureKind at once;
// all other code asks FailureKindOf, and never reads the message. The kind travels as a payload of
// the status, which Annotate keeps.
//
//   kEnvironment  Something outside is away, full or slow: a broker, a disk, an executor; or a
//                 deadline has passed. The job begins a new epoch after a pause, for as long as it
//                 takes.
//   kUndecided    It may pass, or come back each time. The job begins a new epoch; the same failure
//                 of the same batch several times in a row ends the job.
//   kCertain      The same input fails the same way each time. The job ends as FAILED.
//   kTooLarge     The batch needs more memory than it may have. The job withdraws the batch and
//                 plans a half of it.
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

// The kind that the status is marked with; otherwise it follows from the code: UNAVAILABLE,
// DEADLINE_EXCEEDED and CANCELLED are kEnvironment, ABORTED, INTERNAL and UNKNOWN are kUndecided,
// all others kCertain.
FailureKind FailureKindOf(const absl::Status& status);

}  // namespace millrace

#endif  // MILLRACE_COMMON_BASE_FAILURE_KIND_H_
