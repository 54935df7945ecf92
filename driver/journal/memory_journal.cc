#include <mutex>

#include "driver/journal/journal.h"

namespace millrace {
namespace {

class MemoryJournal : public Journal {
 public:
  explicit MemoryJournal(JournalState* state) : state_(state) {}

  void Append(std::vector<proto::JournalRecord> records, Done done) override {
    absl::Status applied;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      applied = state_->Apply(records);
    }
    done(applied);
  }

  absl::Status Reopen() override { return absl::OkStatus(); }

 private:
  std::mutex mutex_;
  JournalState* const state_;  // under mutex_
};

}  // namespace

std::unique_ptr<Journal> NewMemoryJournal(JournalState* state) {
  return std::make_unique<MemoryJournal>(state);
}

}  // namespace millrace
