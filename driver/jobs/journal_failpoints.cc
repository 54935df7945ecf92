#include "driver/jobs/journal_failpoints.h"

#include "common/base/failpoint.h"

namespace millrace::driver {

void HitBeforeAppend(proto::JournalRecord::RecordCase kind) {
  switch (kind) {
    case proto::JournalRecord::kJobSubmitted:
      MILLRACE_FAILPOINT("driver.before_submitted");
      return;
    case proto::JournalRecord::kEpochStarted:
      MILLRACE_FAILPOINT("driver.before_epoch_started");
      return;
    case proto::JournalRecord::kEpochOpened:
      MILLRACE_FAILPOINT("driver.before_epoch_opened");
      return;
    case proto::JournalRecord::kBatchPlanned:
      MILLRACE_FAILPOINT("driver.before_planned");
      return;
    case proto::JournalRecord::kBatchCommitted:
      MILLRACE_FAILPOINT("driver.before_committed");
      return;
    case proto::JournalRecord::kBatchesAbandoned:
      MILLRACE_FAILPOINT("driver.before_abandoned");
      return;
    case proto::JournalRecord::kSnapshotCompleted:
      MILLRACE_FAILPOINT("driver.before_snapshot_completed");
      return;
    case proto::JournalRecord::kSnapshotDropped:
      MILLRACE_FAILPOINT("driver.before_snapshot_dropped");
      return;
    case proto::JournalRecord::kJobEnded:
      MILLRACE_FAILPOINT("driver.before_ended");
      return;
    default:
      return;
  }
}

void HitDurable(proto::JournalRecord::RecordCase kind) {
  switch (kind) {
    case proto::JournalRecord::kJobSubmitted:
      MILLRACE_FAILPOINT("driver.submitted_durable");
      return;
    case proto::JournalRecord::kEpochStarted:
      MILLRACE_FAILPOINT("driver.epoch_started_durable");
      return;
    case proto::JournalRecord::kEpochOpened:
      MILLRACE_FAILPOINT("driver.epoch_opened_durable");
      return;
    case proto::JournalRecord::kBatchPlanned:
      MILLRACE_FAILPOINT("driver.planned_durable");
      return;
    case proto::JournalRecord::kBatchCommitted:
      MILLRACE_FAILPOINT("driver.committed_durable");
      return;
    case proto::JournalRecord::kBatchesAbandoned:
      MILLRACE_FAILPOINT("driver.abandoned_durable");
      return;
    case proto::JournalRecord::kSnapshotCompleted:
      MILLRACE_FAILPOINT("driver.snapshot_completed_durable");
      return;
    case proto::JournalRecord::kSnapshotDropped:
      MILLRACE_FAILPOINT("driver.snapshot_dropped_durable");
      return;
    case proto::JournalRecord::kJobEnded:
      MILLRACE_FAILPOINT("driver.ended_durable");
      return;
    default:
      return;
  }
}

}  // namespace millrace::driver
