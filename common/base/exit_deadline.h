// Bounds how long a process takes to end. When all that must be done has been done, destructors may
// still wait for calls to others that hang: a broker, a mount. Nothing depends on these any more,
// so the process need not.
#ifndef MILLRACE_COMMON_BASE_EXIT_DEADLINE_H_
#define MILLRACE_COMMON_BASE_EXIT_DEADLINE_H_

#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/monotonic_cond_var.h"

namespace millrace {

class ExitDeadline {
 public:
  // Ends the process with `code`, without running destructors, unless this object is destroyed
  // within `patience`. C streams are flushed.
  ExitDeadline(absl::Duration patience, int code);
  ~ExitDeadline();

  ExitDeadline(const ExitDeadline&) = delete;
  ExitDeadline& operator=(const ExitDeadline&) = delete;

 private:
  void Watch(absl::Time deadline, int code);

  absl::Mutex mutex_;
  MonotonicCondVar changed_;
  bool met_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread watch_;  // last: it uses all of the above
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_BASE_EXIT_DEADLINE_H_
