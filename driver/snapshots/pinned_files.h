// Snapshot files that are being copied: they are not removed until the copy is made, whatever the
// job does meanwhile. Thread-safe.
#ifndef MILLRACE_DRIVER_SNAPSHOTS_PINNED_FILES_H_
#define MILLRACE_DRIVER_SNAPSHOTS_PINNED_FILES_H_

#include <memory>
#include <set>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace millrace::driver {

class PinnedFiles : public std::enable_shared_from_this<PinnedFiles> {
 public:
  // Pins files, by their names in the store, until the result is destroyed. Names of two jobs
  // differ: they begin with the job's incarnation. REQUIRES: the pins are held by a shared_ptr.
  std::shared_ptr<void> Pin(std::set<std::string> names) {
    {
      absl::MutexLock lock(&mutex_);
      pinned_.insert(names.begin(), names.end());
    }
    const auto unpin = [pins = shared_from_this(), names = std::move(names)](void*) {
      absl::MutexLock lock(&pins->mutex_);
      for (const std::string& name : names) {
        pins->pinned_.erase(pins->pinned_.find(name));
      }
    };
    return std::shared_ptr<void>(this, unpin);
  }

  std::set<std::string> names() const {
    absl::MutexLock lock(&mutex_);
    return {pinned_.begin(), pinned_.end()};
  }

 private:
  mutable absl::Mutex mutex_;
  std::multiset<std::string> pinned_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_SNAPSHOTS_PINNED_FILES_H_
