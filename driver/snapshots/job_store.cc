#include "driver/snapshots/job_store.h"

#include <spdlog/spdlog.h>

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/storage/checkpoint_store.h"
#include "driver/snapshots/savepoint.h"
#include "driver/snapshots/snapshot_check.h"

namespace millrace::driver {

JobStore::JobStore(Clock* clock, FileSystem* files, std::shared_ptr<const PinnedFiles> pinned,
                   std::string location, std::string incarnation)
    : files_(files),
      pinned_(std::move(pinned)),
      location_(std::move(location)),
      incarnation_(std::move(incarnation)),
      thread_(clock) {}

JobStore::~JobStore() {
  stop_.request_stop();
  thread_.Stop();
}

void JobStore::Mark(Epoch epoch, bool may_make,
                    std::function<void(absl::StatusOr<proto::StoreMark>)> done) {
  thread_.Post(
      [this, epoch, may_make, done = std::move(done)] { done(LeaveMarkFor(epoch, may_make)); });
}

absl::StatusOr<proto::StoreMark> JobStore::LeaveMarkFor(Epoch epoch, bool may_make) {
  ASSIGN_OR_RETURN(
      const std::unique_ptr<CheckpointStore> store,
      CheckpointStore::Open(location_, files_,
                            may_make ? MissingDirectories::kMake : MissingDirectories::kRefuse));
  if (mark_.has_value()) {
    store->Remove(mark_->name).IgnoreError();  // else it goes with old snapshots
    mark_.reset();
  }
  absl::StatusOr<StoreMark> mark =
      LeaveMark(store.get(), StoreMarkPrefix(incarnation_, epoch, "driver"));
  if (absl::IsNotFound(mark.status())) {
    return absl::NotFoundError(absl::StrCat(
        mark.status().message(), ". If the snapshots are lost, restore ",
        SnapshotDirectoryOf(incarnation_), " there from a copy, or make that directory, empty"));
  }
  RETURN_IF_ERROR(mark.status());
  mark_ = *std::move(mark);
  proto::StoreMark result;
  result.set_name(mark_->name);
  result.set_nonce(mark_->nonce);
  return result;
}

void JobStore::CheckAnswer(const proto::StoreMark& answer, std::function<void(absl::Status)> done) {
  thread_.Post([this, mark = StoreMark{.name = answer.name(), .nonce = answer.nonce()},
                done = std::move(done)] { done(ReadAnswer(mark)); });
}

absl::Status JobStore::ReadAnswer(const StoreMark& answer) {
  // The name comes from the executor, so only a file beside the job's snapshots is read and
  // removed.
  if (!answer.name.starts_with(absl::StrCat(SnapshotDirectoryOf(incarnation_), "/"))) {
    return absl::InvalidArgumentError(
        absl::StrCat("the file ", answer.name, " is not in the job's directory"));
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<CheckpointStore> store,
                   CheckpointStore::Open(location_, files_, MissingDirectories::kRefuse));
  RETURN_IF_ERROR(CheckMark(store.get(), answer));
  store->Remove(answer.name).IgnoreError();  // else it goes with old snapshots
  return absl::OkStatus();
}

void JobStore::CheckFiles(std::vector<proto::SnapshotFile> files,
                          std::function<void(Finding)> done) {
  thread_.Post([this, files = std::move(files), done = std::move(done)] { done(LookAt(files)); });
}

JobStore::Finding JobStore::LookAt(const std::vector<proto::SnapshotFile>& files) {
  const absl::StatusOr<std::unique_ptr<CheckpointStore>> store =
      CheckpointStore::Open(location_, files_, MissingDirectories::kRefuse);
  if (!store.ok()) {
    return {.file = "", .status = store.status()};
  }
  for (const proto::SnapshotFile& file : files) {
    absl::Status status = CheckSnapshotFile(store->get(), file, stop_.get_token());
    if (absl::IsDataLoss(status)) {
      if (absl::Status there = CheckStillThere(); !there.ok()) {
        status = std::move(there);
      }
    }
    if (!status.ok()) {
      return {.file = file.name(), .status = std::move(status)};
    }
  }
  return {};
}

absl::Status JobStore::CheckStillThere() {
  if (!mark_.has_value()) {
    return absl::OkStatus();  // a job that keeps no snapshots has none
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<CheckpointStore> store,
                   CheckpointStore::Open(location_, files_, MissingDirectories::kRefuse));
  const absl::Status there = CheckMark(store.get(), *mark_);
  return there.ok() ? there
                    : absl::UnavailableError(absl::StrCat(
                          location_, " is not what it was when the epoch began: is it mounted? ",
                          there.message()));
}

void JobStore::RemoveOld(Epoch epoch, BatchId batch, std::set<std::string> keep) {
  thread_.Post([this, epoch, batch, keep = std::move(keep)]() mutable {
    if (mark_.has_value()) {
      keep.insert(mark_->name);
    }
    keep.merge(pinned_->names());
    const absl::Status removed =
        RemoveOldSnapshots(location_, files_, incarnation_, epoch, batch, keep);
    if (!removed.ok()) {
      spdlog::warn("old snapshots in {} stay: {}", location_, ToStd(removed.message()));
    }
  });
}

}  // namespace millrace::driver
