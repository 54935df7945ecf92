// Segments of the journal: frames, records, and what a job's history makes of them. Checksums are
// put right first (snapshot_target.cc says why).
#include <xxhash.h>

#include <cstring>
#include <optional>

#include "common/base/check.h"
#include "common/base/little_endian.h"
#include "common/storage/memory_file_system.h"
#include "driver/batch/job_history.h"
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
  std::optional<JobHistory> history;
  const auto on_record = [&](const proto::JournalRecord& record) {
    if (history.has_value()) {
      return history->Apply(record);
    }
    if (record.has_job_submitted()) {
      history.emplace(record.job_submitted());
    }
    return absl::OkStatus();
  };
  FrameReader reader(&files, kSegment);
  absl::StatusOr<bool> more = true;
  while (more.ok() && *more) {
    more = reader.Next(on_record);
  }
  if (more.ok()) {
    reader.TornBytes().IgnoreError();
  }
  if (history.has_value()) {
    history->PlanRecovery().IgnoreError();
  }
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
  std::vector<std::string> seeds(1);
  AppendFrame({submitted}, &seeds[0]);
  AppendFrame({epoch, planned}, &seeds[0]);
  AppendFrame({ended}, &seeds[0]);
  return seeds;
}

}  // namespace millrace
