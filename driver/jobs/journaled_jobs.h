// All jobs as the journal knows them: what its records add up to, job by job.
//
// A job whose records do not add up is quarantined: somebody changed the file, another version
// wrote it, or this version has a fault. The driver says what is wrong and keeps the job's records
// as they are, also through checkpoints, so that a version that understands them can take the job
// up. Other jobs go on. Cancelling the job ends the quarantine.
#ifndef MILLRACE_DRIVER_JOBS_JOURNALED_JOBS_H_
#define MILLRACE_DRIVER_JOBS_JOURNALED_JOBS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "driver/coordinator/job_history.h"
#include "driver/journal/journal_state.h"
#include "proto/journal.pb.h"

namespace millrace::driver {

struct JournaledJob {
  // The job's history; of a quarantined job, up to the last record that adds up.
  JobHistory history;
  // Why the job is in quarantine; OK if it is not.
  absl::Status quarantine;
  // Whether not even the first record can be used, so that the history only names the job.
  bool only_named = false;
  std::vector<proto::JournalRecord> kept;  // from the first one that does not add up
  // Why a record was refused that would not have added up; OK again with the next submission.
  absl::Status refused;
};

class JournaledJobs : public JournalState {
 public:
  void Reset() override;
  // FAILED_PRECONDITION: a newer version wrote a record that must not be passed over, or a
  // quarantined job has more records than can be kept.
  absl::Status Replay(const proto::JournalRecord& record) override;
  // REQUIRES: all `records` are of one job.
  absl::Status Apply(const std::vector<proto::JournalRecord>& records) override;
  absl::Status WriteCheckpoint(
      const std::function<absl::Status(proto::JournalRecord)>& write) const override;

  const std::map<std::string, JournaledJob>& jobs() const { return jobs_; }  // by id

 private:
  using Jobs = std::map<std::string, JournaledJob>;

  absl::Status ReplayFirst(const std::string& id, const proto::JournalRecord& record);
  absl::Status Keep(JournaledJob* job, const proto::JournalRecord& record);
  void CheckCheckpoints();
  // Ends a quarantine by the cancellation: a cancelled job's records need not add up.
  void Release(Jobs::iterator job, const proto::JournalRecord& cancelled);
  absl::Status ApplyOne(Jobs* jobs, const proto::JournalRecord& record) const;
  absl::Status ApplyFirst(Jobs* jobs, const proto::JobSubmitted& submitted) const;

  Jobs jobs_;
  uint64_t kept_bytes_ = 0;
  bool checkpoint_ended_ = false;  // whether the journal's checkpoint has been read to its end
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_JOBS_JOURNALED_JOBS_H_
