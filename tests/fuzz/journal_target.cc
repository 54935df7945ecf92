// Segments of the journal: frames, records, checkpoints, and what jobs' histories make of them.
// Checksums are put right first (snapshot_target.cc says why).
#include <xxhash.h>

#include <cstring>

#include "common/base/check.h"
#include "common/base/little_endian.h"
#include "common/storage/memory_file_system.h"
#include "driver/jobs/journaled_jobs.h"
#include "driver/journal/journal_frame.h"
#include "tests/fuzz/targets.h"

namespace millrace {
namespace {

constexpr std::string_view kMagic = "MRJ1";
constexpr size_t kHashAt = 8;
constexpr size_t kHeaderBytes = 16;
constexpr char kSegment[] = "/journal/segment";

std::string WithChecksums(std::string bytes) {
  for (size_t at = 0; at + kHeaderBytes <= bytes.size();) {
    const std::string_view rest = std::string_view(bytes).substr(at);
    const size_t payload = ReadLittleEndian<uint32_t>(rest, kMagic.size());
    if (!rest.starts_with(kMagic) || payload > rest.size() - kHeaderBytes) {
      break;
    }
    const uint64_t hash = XXH3_64bits_withSeed(rest.data() + kHeaderBytes, payload, payload);
    std::memcpy(bytes.data() + at + kHashAt, &hash, sizeof(hash));
    at += kHeaderBytes + payload;
  }
  return bytes;
}

void WriteSegment(std::string_view bytes, FileSystem* files) {
  MILLRACE_CHECK(files->MakeDirectory("/journal").ok());
  auto file = files->Create(kSegment);
  MILLRACE_CHECK(file.ok()) << file.status();
  MILLRACE_CHECK((*file)->Append(bytes).ok());
}

}  // namespace

void FuzzJournal(std::string_view bytes) {
  MemoryFileSystem files;
  WriteSegment(WithChecksums(std::string(bytes)), &files);
  driver::JournaledJobs jobs;
  driver::FrameReader reader(&files, kSegment);
  absl::StatusOr<bool> more = true;
  while (more.ok() && *more) {
    more = reader.Next([&jobs](const proto::JournalRecord& record) {
      return record.has_header() ? absl::OkStatus() : jobs.Replay(record);
    });
  }
  if (more.ok()) {
    reader.TornBytes().IgnoreError();
  }
  for (const auto& [id, job] : jobs.jobs()) {
    job.history.PlanRecovery().IgnoreError();
  }
  // What is written down of it can be read.
  driver::JournaledJobs next;
  MILLRACE_CHECK(jobs.WriteCheckpoint([&next](const proto::JournalRecord& record) {
                       return next.Replay(record);
                     })
                     .ok());
  MILLRACE_CHECK(next.jobs().size() == jobs.jobs().size());
}

std::vector<std::string> JournalSeeds() {
  proto::JournalRecord submitted;
  proto::JobSubmitted* job = submitted.mutable_job_submitted();
  job->set_job_id("j");
  job->set_name("n");
  job->set_incarnation("i");
  job->mutable_plan()->add_sources()->set_table("t");
  proto::PartitionStart* partition = job->add_partitions();
  partition->mutable_key()->set_partition("t/0");
  proto::JournalRecord epoch;
  epoch.mutable_epoch_started()->set_job_id("j");
  epoch.mutable_epoch_started()->set_epoch(1);
  proto::JournalRecord planned;
  planned.mutable_batch_planned()->set_job_id("j");
  planned.mutable_batch_planned()->set_batch(1);
  planned.mutable_batch_planned()->set_epoch(1);
  proto::JournalRecord ended;
  ended.mutable_job_ended()->set_job_id("j");
  proto::JournalRecord checkpoint;
  *checkpoint.mutable_job_checkpoint()->mutable_submitted() = *job;
  checkpoint.mutable_job_checkpoint()->set_last_planned(1);
  *checkpoint.mutable_job_checkpoint()->add_partitions()->mutable_start() = *partition;
  proto::JournalRecord plans;
  plans.mutable_checkpoint_plans()->set_job_id("j");
  plans.mutable_checkpoint_plans()->add_plans()->set_batch(1);
  plans.mutable_checkpoint_plans()->mutable_plans(0)->add_splits()->set_end(1);
  proto::JournalRecord end;
  end.mutable_checkpoint_end();
  std::vector<std::string> seeds(2);
  driver::AppendFrame({submitted}, &seeds[0]);
  driver::AppendFrame({epoch, planned}, &seeds[0]);
  driver::AppendFrame({ended}, &seeds[0]);
  driver::AppendFrame({checkpoint, plans, end}, &seeds[1]);
  driver::AppendFrame({ended}, &seeds[1]);
  return seeds;
}

}  // namespace millrace
