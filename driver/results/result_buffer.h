// Keeps committed results of one job for clients that ask for them. Bounded by the memory that they
// take: the oldest go first. A job that shows no rows has only its progress to tell; of that the
// newest entry is kept. Thread-safe.
#ifndef MILLRACE_DRIVER_RESULTS_RESULT_BUFFER_H_
#define MILLRACE_DRIVER_RESULTS_RESULT_BUFFER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/monotonic_cond_var.h"
#include "proto/jobs.pb.h"

namespace millrace::driver {

class ResultBuffer {
 public:
  using Entry = std::shared_ptr<const proto::BatchResults>;

  // `rows`: whether entries have rows to show. With `hold`, entries stay until the follower has
  // taken them (or, before the first follower comes, for good), and `on_held` is called with true
  // when they take more than `max_bytes` and with false when there is room again. Without `hold`
  // the oldest entries are dropped, except the newest one. `on_held` is called without locks held.
  ResultBuffer(int64_t max_bytes, bool rows, bool hold, std::function<void(bool)> on_held);

  void Add(proto::BatchResults results);

  // No more entries will come; `last` (phase and message) ends every follower's stream. Idempotent:
  // the first call counts. A resumed job gets another buffer.
  void Finish(proto::BatchResults last);

  // Keeps no entries for readers that come later: they see only the end. Readers that have begun
  // still get the rest, and with `hold` so does the first follower, even if it has not come yet.
  // Idempotent.
  void LetGo();
  // The bytes of memory that kept entries take.
  int64_t kept_bytes() const;

  // Reads entries in order, from the oldest kept (or batch `from_batch`). One thread at a time.
  class Reader {
   public:
    ~Reader();
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

    // The next entry; null if there is none by `deadline` (SteadyNow()). Sets `*end` when the entry
    // is the last one, or there will be no more.
    Entry Next(absl::Time deadline, bool* end);

   private:
    friend class ResultBuffer;
    Reader(std::shared_ptr<ResultBuffer> buffer, int64_t next)
        : buffer_(std::move(buffer)), next_(next) {}

    std::shared_ptr<ResultBuffer> buffer_;
    int64_t next_;  // number of the next entry
  };
  static std::unique_ptr<Reader> NewReader(const std::shared_ptr<ResultBuffer>& buffer,
                                           int64_t from_batch);

 private:
  struct Kept {
    Entry entry;
    int64_t bytes;
  };

  void DropFirst() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Trim() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The number of the first entry that must stay.
  int64_t Untaken() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether a reader whose next entry is `next` need not wait: there is an entry, or there will be
  // no more.
  bool HasFor(int64_t next) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Tells on_held_ if it has changed whether entries take too much.
  void TellHeld() ABSL_LOCKS_EXCLUDED(mutex_, tell_mutex_);

  const int64_t max_bytes_;
  const bool rows_;
  const bool hold_;
  const std::function<void(bool)> on_held_;

  mutable absl::Mutex mutex_;
  MonotonicCondVar changed_;
  std::deque<Kept> kept_ ABSL_GUARDED_BY(mutex_);
  int64_t first_ ABSL_GUARDED_BY(mutex_) = 0;  // number of kept_.front()
  int64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // memory that kept_ takes
  Entry last_ ABSL_GUARDED_BY(mutex_);
  std::multiset<int64_t> readers_ ABSL_GUARDED_BY(mutex_);  // the next entry of each
  bool ever_read_ ABSL_GUARDED_BY(mutex_) = false;
  bool let_go_ ABSL_GUARDED_BY(mutex_) = false;
  bool over_limit_ ABSL_GUARDED_BY(mutex_) = false;  // untaken entries take more than max_bytes_
  absl::Mutex tell_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);  // makes calls of on_held_ come in order
  bool told_over_limit_ ABSL_GUARDED_BY(tell_mutex_) = false;  // what on_held_ was last told
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_RESULTS_RESULT_BUFFER_H_
