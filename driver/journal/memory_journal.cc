
#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "driver/journal/journal.h"

namespace millrace::driver {
namespace {

class MemoryJournal : public Journal {
 public:
  explicit MemoryJournal(JournalState* state) : state_(state) {}

  void Append(std::vector<proto::JournalRecord> records, Done done) override {
    absl::Status applied;
    {
      absl::MutexLock lock(&mutex_);
      applied = state_->Apply(records);
    }
    done(applied);
  }

  absl::Status Reopen() override { return absl::OkStatus(); }

 private:
  absl::Mutex mutex_;
  JournalState* const state_ ABSL_PT_GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<Journal> NewMemoryJournal(JournalState* state) {
  return std::make_unique<MemoryJournal>(state);
}

}  // namespace millrace::driver
