// Snapshot files that are being copied: they are not removed until the copy is made, whatever the
// job does meanwhile. Thread-safe.
#ifndef MILLRACE_DRIVER_JOBS_PINNED_FILES_H_
#define MILLRACE_DRIVER_JOBS_PINNED_FILES_H_

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>

namespace millrace {

class PinnedFiles : public std::enable_shared_from_this<PinnedFiles> {
 public:
  // Pins files, by their names in the store, until the result is destroyed. Names of two jobs
  // differ: they begin with the job's incarnation. REQUIRES: the pins are held by a shared_ptr.
  std::shared_ptr<void> Pin(std::set<std::string> names) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      pinned_.insert(names.begin(), names.end());
    }
    const auto unpin = [pins = shared_from_this(), names = std::move(names)](void*) {
      std::lock_guard<std::mutex> lock(pins->mutex_);
      for (const std::string& name : names) {
        pins->pinned_.erase(pins->pinned_.find(name));
      }
    };
    return std::shared_ptr<void>(this, unpin);
  }

  std::set<std::string> names() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return {pinned_.begin(), pinned_.end()};
  }

 private:
  mutable std::mutex mutex_;
  std::multiset<std::string> pinned_;
};

}  // namespace millrace

#endif  // MILLRACE_DRIVER_JOBS_PINNED_FILES_H_
