#include "executor/epoch/driver_reports.h"

#include <utility>

namespace millrace::executor {

DriverReports::DriverReports(DriverSink* driver, uint64_t session, JobId job, Epoch epoch)
    : driver_(driver), job_(std::move(job)), epoch_(epoch), session_(session) {}

template <typename Content>
void DriverReports::Send(Content report, Content* (Message::*content)()) {
  report.set_job_id(job_.value());
  report.set_epoch(epoch_.value());
  auto message = std::make_shared<Message>();
  *((*message).*content)() = std::move(report);
  absl::MutexLock lock(&mutex_);
  unanswered_.push_back(message);
  driver_->Send(session_, std::move(message));
}

void DriverReports::Report(proto::EpochReady message) {
  Send(std::move(message), &Message::mutable_epoch_ready);
}

void DriverReports::Report(proto::ResultRows message) {
  Send(std::move(message), &Message::mutable_result_rows);
}

void DriverReports::Report(proto::BatchPrepared message) {
  Send(std::move(message), &Message::mutable_batch_prepared);
}

void DriverReports::Report(proto::BatchCommitted message) {
  Send(std::move(message), &Message::mutable_batch_committed);
}

void DriverReports::Report(proto::SnapshotWritten message) {
  Send(std::move(message), &Message::mutable_snapshot_written);
}

void DriverReports::Report(proto::EpochFailed message) {
  Send(std::move(message), &Message::mutable_epoch_failed);
}

void DriverReports::Report(proto::EpochStopped message) {
  Send(std::move(message), &Message::mutable_epoch_stopped);
}

void DriverReports::AnsweredByRun(BatchId batch) {
  Drop([batch](const Message& message) {
    return message.has_epoch_ready() ||
           (message.has_result_rows() && message.result_rows().batch() < batch.value()) ||
           (message.has_batch_prepared() && message.batch_prepared().batch() < batch.value());
  });
}

void DriverReports::AnsweredByCommit(BatchId through) {
  Drop([through](const Message& message) {
    return message.has_epoch_ready() ||
           (message.has_result_rows() && message.result_rows().batch() <= through.value()) ||
           (message.has_batch_prepared() && message.batch_prepared().batch() <= through.value()) ||
           (message.has_batch_committed() && message.batch_committed().batch() < through.value());
  });
}

void DriverReports::AnsweredBySnapshot(BatchId batch) {
  Drop([batch](const Message& message) {
    return message.has_epoch_ready() ||
           (message.has_snapshot_written() && message.snapshot_written().batch() < batch.value());
  });
}

void DriverReports::Drop(absl::FunctionRef<bool(const Message& message)> answered) {
  absl::MutexLock lock(&mutex_);
  std::erase_if(unanswered_,
                [&](const std::shared_ptr<const Message>& message) { return answered(*message); });
}

void DriverReports::Resend(uint64_t session) {
  auto here = std::make_shared<Message>();
  here->mutable_source_progress()->set_job_id(job_.value());
  here->mutable_source_progress()->set_epoch(epoch_.value());
  absl::MutexLock lock(&mutex_);
  session_ = session;
  driver_->Send(session_, std::move(here));
  for (const std::shared_ptr<const Message>& message : unanswered_) {
    driver_->Send(session_, message);
  }
}

}  // namespace millrace::executor
