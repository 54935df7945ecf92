// The work of an epoch that is under way: each task, and each call that uses the epoch's parts,
// holds a token. Once the work is to end and the last token has been dropped, the parts can be
// taken down: nobody uses them any more, and nobody begins to.
//
// Thread-safe.
#ifndef MILLRACE_EXECUTOR_EPOCH_EPOCH_WORK_H_
#define MILLRACE_EXECUTOR_EPOCH_EPOCH_WORK_H_

#include <functional>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace millrace::executor {

class EpochWork {
 public:
  using Token = std::shared_ptr<const void>;

  // Gives tokens from now on. When the last has been dropped after End, `when_over` is called where
  // that happened, once; it must not block, and may destroy this. Call once.
  void Begin(std::function<void()> when_over) {
    absl::MutexLock lock(&mutex_);
    token_ = Token(this, [when_over = std::move(when_over)](const void*) { when_over(); });
  }

  // Null before Begin and after End.
  Token Take() {
    absl::MutexLock lock(&mutex_);
    return token_;
  }

  // Gives no more tokens. Returns the last one, so that the work is not over before the caller has
  // dropped it; null before Begin and after an earlier End.
  [[nodiscard]] Token End() {
    absl::MutexLock lock(&mutex_);
    return std::exchange(token_, nullptr);
  }

 private:
  absl::Mutex mutex_;
  Token token_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_EPOCH_EPOCH_WORK_H_
