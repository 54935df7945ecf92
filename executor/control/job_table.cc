#include "executor/control/job_table.h"

#include <utility>

#include "absl/synchronization/blocking_counter.h"
#include "common/base/excerpt.h"
#include "common/base/status.h"

namespace millrace::executor {

void JobTable::OnRegistered(uint64_t session, const std::string& driver_id) {
  const bool same_driver = driver_id_.empty() || driver_id_ == driver_id;
  driver_id_ = driver_id;
  for (const std::shared_ptr<JobEpoch>& epoch : Running()) {
    if (same_driver) {
      epoch->Resend(session);
    } else {
      // A new driver starts new epochs of its jobs, with higher numbers from its journal; they wait
      // until these have closed.
      epoch->Stop(/*report=*/false);
    }
  }
}

void JobTable::OnMessage(uint64_t session, proto::DriverMessage message) {
  if (message.has_start_epoch()) {
    StartEpoch(session, std::move(*message.mutable_start_epoch()));
  } else if (message.has_run_batch()) {
    const proto::RunBatch& run = message.run_batch();
    if (std::shared_ptr<JobEpoch> epoch = Find(run.job_id(), run.epoch())) {
      epoch->RunBatch(run);
    }
  } else if (message.has_commit_batch()) {
    const proto::CommitBatch& commit = message.commit_batch();
    if (std::shared_ptr<JobEpoch> epoch = Find(commit.job_id(), commit.epoch())) {
      epoch->Commit(commit);
    }
  } else if (message.has_take_snapshot()) {
    const proto::TakeSnapshot& take = message.take_snapshot();
    if (std::shared_ptr<JobEpoch> epoch = Find(take.job_id(), take.epoch())) {
      epoch->TakeSnapshot(take);
    }
  } else if (message.has_stop_epoch()) {
    StopEpoch(session, message.stop_epoch());
  }
}

void JobTable::StartEpoch(uint64_t session, proto::StartEpoch message) {
  const JobId id(message.job_id());
  const Epoch epoch(message.epoch());
  {
    absl::MutexLock lock(&mutex_);
    if (epoch <= jobs_[id].epoch) {
      return;  // the epoch is over, or the message was sent again
    }
  }
  absl::StatusOr<EpochLayout> layout = EpochLayout::Make(std::move(message), runtime_.executor_id);
  if (!layout.ok()) {
    Refuse(session, id, epoch, layout.status());
    return;
  }
  auto next = std::make_shared<JobEpoch>(&runtime_, driver_, session, *std::move(layout));
  std::shared_ptr<JobEpoch> previous;
  {
    absl::MutexLock lock(&mutex_);
    previous = std::exchange(jobs_[id].running, next);
    jobs_[id].epoch = epoch;
    std::erase_if(alive_, [](const std::weak_ptr<JobEpoch>& alive) { return alive.expired(); });
    alive_.push_back(next);
  }
  // The sessions of the epoch before must be closed before the new ones claim their places.
  if (previous == nullptr) {
    next->Open();
  } else {
    previous->Stop(/*report=*/false, [next] { next->Open(); });
  }
}

void JobTable::Refuse(uint64_t session, const JobId& job, Epoch epoch, const absl::Status& status) {
  auto message = std::make_shared<proto::ExecutorMessage>();
  proto::EpochFailed* failed = message->mutable_epoch_failed();
  failed->set_job_id(job.value());
  failed->set_epoch(epoch.value());
  failed->set_code(static_cast<int32_t>(status.code()));
  failed->set_message(Excerpt(ToStd(status.message())));
  driver_->Send(session, std::move(message));
}

void JobTable::StopEpoch(uint64_t session, const proto::StopEpoch& message) {
  const JobId id(message.job_id());
  std::shared_ptr<JobEpoch> running;
  {
    absl::MutexLock lock(&mutex_);
    Job& job = jobs_[id];
    if (Epoch(message.epoch()) < job.epoch) {
      return;
    }
    job.epoch = Epoch(message.epoch());
    running = std::exchange(job.running, nullptr);
    // The driver may ask again for the same stop as often as it hears from the epoch.
    if (job.stopped != job.epoch) {
      job.stopped = job.epoch;
      stopped_.Note(id, job.epoch, &jobs_);
    }
  }
  if (running != nullptr) {
    running->SettleAndStop(BatchId(message.durable_batch()));
    return;
  }
  auto stopped = std::make_shared<proto::ExecutorMessage>();
  stopped->mutable_epoch_stopped()->set_job_id(message.job_id());
  stopped->mutable_epoch_stopped()->set_epoch(message.epoch());
  driver_->Send(session, std::move(stopped));
}

std::shared_ptr<JobEpoch> JobTable::Find(const std::string& job, int64_t epoch) const {
  absl::MutexLock lock(&mutex_);
  auto found = jobs_.find(JobId(job));
  return found != jobs_.end() && found->second.epoch == Epoch(epoch) ? found->second.running
                                                                     : nullptr;
}

std::vector<std::shared_ptr<JobEpoch>> JobTable::Running() const {
  std::vector<std::shared_ptr<JobEpoch>> running;
  absl::MutexLock lock(&mutex_);
  for (const auto& [id, job] : jobs_) {
    if (job.running != nullptr) {
      running.push_back(job.running);
    }
  }
  return running;
}

std::vector<proto::SourceProgress> JobTable::TakeProgress() {
  std::vector<proto::SourceProgress> changed;
  for (const std::shared_ptr<JobEpoch>& epoch : Running()) {
    proto::SourceProgress progress;
    if (epoch->TakeProgress(&progress)) {
      changed.push_back(std::move(progress));
    }
  }
  return changed;
}

void JobTable::FillState(proto::Heartbeat* heartbeat) {
  for (const std::shared_ptr<JobEpoch>& epoch : Running()) {
    heartbeat->set_state_rows(heartbeat->state_rows() + epoch->state_rows());
    heartbeat->set_state_bytes(heartbeat->state_bytes() + epoch->state_bytes());
  }
}

void JobTable::ContinueSnapshots() {
  for (const std::shared_ptr<JobEpoch>& epoch : Running()) {
    epoch->ContinueSnapshot();
  }
}

bool JobTable::idle() const {
  for (const std::shared_ptr<JobEpoch>& epoch : Running()) {
    if (!epoch->idle()) {
      return false;
    }
  }
  return true;
}

void JobTable::StopAll() {
  std::vector<std::shared_ptr<JobEpoch>> alive;
  {
    absl::MutexLock lock(&mutex_);
    for (const std::weak_ptr<JobEpoch>& weak : alive_) {
      if (std::shared_ptr<JobEpoch> epoch = weak.lock()) {
        alive.push_back(std::move(epoch));
      }
    }
  }
  absl::BlockingCounter left(static_cast<int>(alive.size()));
  for (const std::shared_ptr<JobEpoch>& epoch : alive) {
    epoch->Stop(/*report=*/false, [&left] { left.DecrementCount(); });
  }
  left.Wait();
}

}  // namespace millrace::executor
