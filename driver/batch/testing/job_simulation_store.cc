// The simulated driver's looks at the store of snapshots. They take their time, and see what is
// there when they are made.
#include <utility>

#include "absl/strings/str_cat.h"
#include "driver/batch/testing/job_simulation.h"

namespace millrace {

void JobSimulation::Take(MarkStore& mark) {
  store_work_.push_back([this, epoch = mark.epoch] {
    proto::StoreMark written;
    written.set_name(absl::StrCat("mark-", epoch.value()));
    written.set_nonce(absl::StrCat("nonce-", epoch.value()));
    world_.marks[written.name()] = written.nonce();
    return StoreMarked{epoch, written};
  });
}

void JobSimulation::Take(CheckStoreAnswer& check) {
  store_work_.push_back([this, check] {
    const auto found = world_.marks.find(check.answer.name());
    const bool seen = found != world_.marks.end() && found->second == check.answer.nonce();
    return StoreAnswerChecked{check.epoch, check.from,
                              seen ? absl::OkStatus() : absl::NotFoundError("no answer")};
  });
}

void JobSimulation::Take(CheckSnapshotFiles& check) {
  store_work_.push_back([this, check] {
    SnapshotFilesChecked checked{.epoch = check.epoch, .batch = check.batch};
    for (const proto::SnapshotFile& file : check.files) {
      if (checked.status.ok() && !world_.store.contains(file.name())) {
        checked.file = file.name();
        checked.status = absl::DataLossError(absl::StrCat(file.name(), " is gone"));
        ++unseen_snapshots;
      }
    }
    return checked;
  });
}

void JobSimulation::FinishStoreWork(uint64_t looks) {
  for (; looks > 0 && !store_work_.empty(); --looks) {
    const JobEvent event = store_work_.front()();
    store_work_.pop_front();
    Handle(event);
  }
}

}  // namespace millrace
