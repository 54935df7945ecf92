#include "driver/jobs/journaled_jobs.h"

#include <spdlog/spdlog.h>

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "plan/format_version.h"

namespace millrace::driver {
namespace {

// Limit for the records of all quarantined jobs together. A job writes no more records once it is
// in quarantine, unless a version that understands them runs it.
constexpr uint64_t kMaxKeptBytes = 256 << 20;

bool IsCancellation(const proto::JournalRecord& record) {
  return record.has_job_ended() && record.job_ended().how() == proto::JobEnded::CANCELLED;
}

// Whether the job's records count again after one was refused: this one submits the job again, or
// cancels it.
bool LiftsRefusal(const proto::JournalRecord& record) {
  return record.has_job_submitted() || IsCancellation(record);
}

absl::Status UnknownJob(const std::string& id) {
  return absl::DataLossError(
      absl::StrCat("the journal speaks of job ", id, " before its submission"));
}

absl::Status StrayCheckpoint(const std::string& id) {
  return absl::DataLossError(
      absl::StrCat("the journal has a checkpoint of job ", id, " where there is none"));
}

// A plan of a higher number is from a newer version, and is refused.
absl::Status CheckPlanFormat(const proto::JobSubmitted& submitted) {
  if (submitted.plan().format_version() <= plan::kPlanFormatVersion) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "job '", submitted.name(), "' was planned by Millrace ", submitted.plan().engine_version(),
      " in plan format ", submitted.plan().format_version(), "; this one reads formats up to ",
      plan::kPlanFormatVersion));
}

// A history that only names the job.
JobHistory Nameless(const std::string& id) {
  proto::JobSubmitted submitted;
  submitted.set_job_id(id);
  submitted.set_name(id);
  submitted.add_partitions()->set_ordinal(
      1);  // an invalid first ordinal: the history takes no further records
  return JobHistory(std::move(submitted));
}

absl::Status FromNewerVersion() {
  return absl::FailedPreconditionError(
      "the journal has a record of a kind that this version does not know and must not pass over: "
      "start the version that wrote it, or use another directory");
}

}  // namespace

void JournaledJobs::Reset() {
  jobs_.clear();
  kept_bytes_ = 0;
  checkpoint_ended_ = false;
}

absl::Status JournaledJobs::Replay(const proto::JournalRecord& record) {
  if (record.has_checkpoint_end()) {
    CheckCheckpoints();
    checkpoint_ended_ = true;
    return absl::OkStatus();
  }
  const bool unknown = record.record_case() == proto::JournalRecord::RECORD_NOT_SET;
  if (unknown && record.may_be_passed_over()) {
    return absl::OkStatus();
  }
  const std::string& id = JobIdOf(record);
  if (id.empty() && unknown) {
    return FromNewerVersion();
  }
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) {
    return ReplayFirst(id, record);
  }
  JournaledJob& job = found->second;
  if (!job.quarantine.ok() && IsCancellation(record)) {
    Release(found, record);
    return absl::OkStatus();
  }
  if (record.has_job_forgotten()) {
    jobs_.erase(found);
    return absl::OkStatus();
  }
  if (!job.quarantine.ok()) {
    return Keep(&job, record);
  }
  absl::Status applied = record.has_checkpoint_plans()
                             ? job.history.TakeCheckpointPlans(record.checkpoint_plans())
                             : job.history.Apply(record);
  if (applied.ok()) {
    return absl::OkStatus();
  }
  job.quarantine = std::move(applied);
  return Keep(&job, record);
}

absl::Status JournaledJobs::ReplayFirst(const std::string& id, const proto::JournalRecord& record) {
  if (record.has_job_forgotten()) {
    return absl::OkStatus();
  }
  absl::Status usable;
  std::optional<JobHistory> history;
  if (record.has_job_submitted()) {
    usable = CheckPlanFormat(record.job_submitted());
    history.emplace(record.job_submitted());
  } else if (record.has_job_checkpoint()) {
    usable = checkpoint_ended_ ? StrayCheckpoint(id)
                               : CheckPlanFormat(record.job_checkpoint().submitted());
    history.emplace(record.job_checkpoint());
  } else {
    usable = UnknownJob(id);
    history = Nameless(id);
  }
  usable.Update(history->first_error());
  JournaledJob& job = jobs_
                          .emplace(id, JournaledJob{.history = *std::move(history),
                                                    .quarantine = usable,
                                                    .only_named = !usable.ok()})
                          .first->second;
  return usable.ok() ? absl::OkStatus() : Keep(&job, record);
}

absl::Status JournaledJobs::Keep(JournaledJob* job, const proto::JournalRecord& record) {
  if (job->kept.empty()) {
    spdlog::error("job {} is quarantined: {}", job->history.name(),
                  ToStd(job->quarantine.message()));
  }
  kept_bytes_ += record.ByteSizeLong();
  if (kept_bytes_ > kMaxKeptBytes) {
    return absl::FailedPreconditionError(absl::StrCat(
        "job '", job->history.name(), "' cannot be taken up (", job->quarantine.message(),
        "), and what the journal has of it after that is more than ", kMaxKeptBytes,
        " bytes: start the version that wrote it, or use another directory"));
  }
  job->kept.push_back(record);
  return absl::OkStatus();
}

void JournaledJobs::CheckCheckpoints() {
  for (auto& [id, job] : jobs_) {
    const absl::Status complete =
        job.quarantine.ok() ? job.history.CheckCheckpoint() : absl::OkStatus();
    if (!complete.ok()) {
      spdlog::error("job {} is quarantined: {}", job.history.name(), ToStd(complete.message()));
      job.quarantine = complete;
    }
  }
}

void JournaledJobs::Release(Jobs::iterator found, const proto::JournalRecord& cancelled) {
  JournaledJob& job = found->second;
  for (const proto::JournalRecord& record : job.kept) {
    kept_bytes_ -= record.ByteSizeLong();
  }
  if (job.only_named || !job.history.Apply(cancelled).ok()) {
    jobs_.erase(found);
    return;
  }
  job.kept.clear();
  job.quarantine = absl::OkStatus();
}

absl::Status JournaledJobs::Apply(const std::vector<proto::JournalRecord>& records) {
  if (records.size() == 1) {
    const auto found = jobs_.find(JobIdOf(records.front()));
    if (found != jobs_.end() && !found->second.quarantine.ok() && IsCancellation(records.front())) {
      Release(found, records.front());
      return absl::OkStatus();
    }
    const absl::Status applied = ApplyOne(&jobs_, records.front());
    if (!applied.ok() && found != jobs_.end()) {
      found->second.refused = applied;
    }
    return applied;
  }
  // All records or none are applied: on a copy of the job.
  Jobs copy;
  const std::string id = records.empty() ? "" : JobIdOf(records.front());
  if (const auto found = jobs_.find(id); found != jobs_.end()) {
    copy.insert(*found);
  }
  for (const proto::JournalRecord& record : records) {
    if (JobIdOf(record) != id) {
      return absl::InvalidArgumentError("records that are journaled together are of several jobs");
    }
    RETURN_IF_ERROR(ApplyOne(&copy, record));
  }
  jobs_.erase(id);
  jobs_.merge(copy);
  return absl::OkStatus();
}

absl::Status JournaledJobs::ApplyOne(Jobs* jobs, const proto::JournalRecord& record) const {
  const std::string& id = JobIdOf(record);
  const auto found = jobs->find(id);
  if (found == jobs->end()) {
    return record.has_job_submitted() ? ApplyFirst(jobs, record.job_submitted()) : UnknownJob(id);
  }
  JournaledJob& job = found->second;
  if (!job.quarantine.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat("job '", job.history.name(), "' is quarantined: ", job.quarantine.message()));
  }
  if (!job.refused.ok() && !LiftsRefusal(record)) {
    return job.refused;
  }
  if (record.has_job_forgotten()) {
    jobs->erase(found);
    return absl::OkStatus();
  }
  if (record.has_job_submitted()) {
    RETURN_IF_ERROR(CheckPlanFormat(record.job_submitted()));
  }
  RETURN_IF_ERROR(job.history.Apply(record));
  job.refused = absl::OkStatus();
  return absl::OkStatus();
}

// Refuses a second live job of a name: each would take the other's records and groups for its own.
absl::Status JournaledJobs::ApplyFirst(Jobs* jobs, const proto::JobSubmitted& submitted) const {
  RETURN_IF_ERROR(CheckPlanFormat(submitted));
  for (const auto& [id, other] : jobs_) {
    if (id != submitted.job_id() && other.history.name() == submitted.name() &&
        !other.history.ended().has_value()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "job '", submitted.name(), "' is in the journal under id ", id, " and has not ended"));
    }
  }
  JobHistory history(submitted);
  RETURN_IF_ERROR(history.first_error());
  jobs->emplace(submitted.job_id(), JournaledJob{.history = std::move(history)});
  return absl::OkStatus();
}

absl::Status JournaledJobs::WriteCheckpoint(
    const std::function<absl::Status(proto::JournalRecord)>& write) const {
  for (const auto& [id, job] : jobs_) {
    if (!job.only_named) {
      RETURN_IF_ERROR(job.history.WriteCheckpoint(write));
    }
    for (const proto::JournalRecord& record : job.kept) {
      RETURN_IF_ERROR(write(record));
    }
  }
  return absl::OkStatus();
}

}  // namespace millrace::driver
