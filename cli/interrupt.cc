#include "cli/interrupt.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <utility>

#include "cli/console.h"
#include "common/base/check.h"

namespace millrace::cli {
namespace {

sigset_t InterruptSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}

}  // namespace

void BlockInterrupts() {
  const sigset_t signals = InterruptSignals();
  MILLRACE_CHECK(pthread_sigmask(SIG_BLOCK, &signals, nullptr) == 0);
}

InterruptListener::InterruptListener(std::function<void()> on_first)
    : on_first_(std::move(on_first)), end_event_(eventfd(0, EFD_CLOEXEC)) {
  MILLRACE_CHECK(end_event_ >= 0) << "eventfd: errno " << errno;
  thread_ = std::thread([this] { Listen(); });
}

InterruptListener::~InterruptListener() {
  const uint64_t one = 1;
  MILLRACE_CHECK(write(end_event_, &one, sizeof(one)) == sizeof(one));
  thread_.join();
  close(end_event_);
}

void InterruptListener::Listen() {
  const sigset_t signals = InterruptSignals();
  const int signal_file = signalfd(-1, &signals, SFD_CLOEXEC);
  MILLRACE_CHECK(signal_file >= 0) << "signalfd: errno " << errno;
  std::thread first;
  while (true) {
    pollfd files[] = {{signal_file, POLLIN, 0}, {end_event_, POLLIN, 0}};
    if (poll(files, 2, -1) < 0 && errno != EINTR) {
      break;
    }
    if ((files[1].revents & POLLIN) != 0) {
      break;
    }
    signalfd_siginfo received;
    if ((files[0].revents & POLLIN) == 0 ||
        read(signal_file, &received, sizeof(received)) != sizeof(received)) {
      continue;
    }
    if (first.joinable()) {
      std::fputs("\n", stderr);
      _exit(kExitFailed);  // asked twice: no destructors, whatever hangs is left behind
    }
    first = std::thread(on_first_);
  }
  if (first.joinable()) {
    first.join();
  }
  close(signal_file);
}

}  // namespace millrace::cli
