// The store of snapshots in a simulation: what it loses, and the driver's work on it. That work
// takes some time, and sees the store as it is at the end of that time.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "driver/coordinator/testing/job_simulation.h"

namespace millrace::driver {

void JobSimulation::LoseNewestSnapshot() {
  const std::deque<proto::Snapshot>& kept = state_->history().snapshots();
  if (kept.empty() || kept.size() == 1) {
    return;
  }
  const proto::SnapshotLayer& last = kept.back().layers(kept.back().layers_size() - 1);
  const bool shared = std::any_of(kept.front().layers().begin(), kept.front().layers().end(),
                                  [&](const auto& l) { return l.batch() == last.batch(); });
  if (!shared && last.files_size() > 0) {
    world_.store.erase(last.files(0).name());
    ++lost_snapshots;
    StartDriver(/*settle=*/false);
  }
}

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

}  // namespace millrace::driver
