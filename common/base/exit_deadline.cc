#include "common/base/exit_deadline.h"

#include <cstdio>
#include <cstdlib>

#include "common/base/steady_time.h"

namespace millrace {

ExitDeadline::ExitDeadline(absl::Duration patience, int code)
    : watch_([this, deadline = SteadyNow() + patience, code] { Watch(deadline, code); }) {}

ExitDeadline::~ExitDeadline() {
  {
    absl::MutexLock lock(&mutex_);
    met_ = true;
  }
  changed_.Signal();
  watch_.join();
}

void ExitDeadline::Watch(absl::Time deadline, int code) {
  absl::MutexLock lock(&mutex_);
  while (!met_) {
    if (changed_.WaitUntil(&mutex_, deadline) && !met_) {
      std::fflush(nullptr);
      std::_Exit(code);
    }
  }
}

}  // namespace millrace
