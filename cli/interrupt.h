// Ctrl-C and SIGTERM as a callback on an ordinary thread: the first asks for an orderly end, the
// second ends the process at once.
#ifndef MILLRACE_CLI_INTERRUPT_H_
#define MILLRACE_CLI_INTERRUPT_H_

#include <functional>
#include <thread>

namespace millrace::cli {

// Blocks SIGINT and SIGTERM in the calling thread and those it starts later. Call first in main(),
// before any thread.
void BlockInterrupts();

// While one lives, the first signal calls `on_first` (on a thread of its own, once) and the second
// exits with kExitFailed. REQUIRES: BlockInterrupts() was called; at most one lives at a time.
class InterruptListener {
 public:
  explicit InterruptListener(std::function<void()> on_first);
  InterruptListener(const InterruptListener&) = delete;
  InterruptListener& operator=(const InterruptListener&) = delete;
  ~InterruptListener();  // waits for a running `on_first`

 private:
  void Listen();

  std::function<void()> on_first_;
  int end_event_;  // eventfd that ends the thread
  std::thread thread_;
};

}  // namespace millrace::cli

#endif  // MILLRACE_CLI_INTERRUPT_H_
