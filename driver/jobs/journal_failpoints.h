// Failpoints around each kind of record that a job journals: "driver.before_KIND" when it is about
// to be appended, "driver.KIND_durable" once it is acknowledged and before anything follows from
// it.
#ifndef MILLRACE_DRIVER_JOBS_JOURNAL_FAILPOINTS_H_
#define MILLRACE_DRIVER_JOBS_JOURNAL_FAILPOINTS_H_

#include "proto/journal.pb.h"

namespace millrace::driver {

void HitBeforeAppend(proto::JournalRecord::RecordCase kind);
void HitDurable(proto::JournalRecord::RecordCase kind);

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_JOBS_JOURNAL_FAILPOINTS_H_
