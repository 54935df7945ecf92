// What a journal costs that many batches have gone through: its size on disk, and the time and
// memory that a driver needs to take it over without having followed it as a standby.
//
//   bazel run //tests/bench/takeover [-- --batches 10000000]
//
// One job with four partitions and running state, each batch planned and committed as the driver
// does it, a snapshot every thousand batches. Nothing is computed.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/storage/file_system.h"
#include "driver/jobs/journaled_jobs.h"
#include "driver/journal/directory_lease.h"
#include "driver/journal/file_journal.h"

namespace millrace {
namespace {

constexpr char kJob[] = "6f1ed002-ab5a-4b1c-9d1d-3f2f0e0d7c11";
constexpr int kPartitions = 4;
constexpr int64_t kSnapshotEvery = 1000;
constexpr int64_t kInFlight = 10'000;  // appends

struct OpenedJournal {
  driver::JournaledJobs jobs;
  std::unique_ptr<driver::DirectoryLease> lease;
  std::unique_ptr<driver::Journal> journal;
};

std::unique_ptr<OpenedJournal> Open(const std::string& directory) {
  auto opened = std::make_unique<OpenedJournal>();
  driver::DirectoryLeaseOptions lease;
  lease.directory = directory;
  lease.driver_id = absl::StrCat("bench-", getpid());
  auto taken = driver::DirectoryLease::Acquire(std::move(lease));
  MILLRACE_CHECK(taken.ok()) << taken.status();
  opened->lease = *std::move(taken);
  driver::FileJournalOptions options;
  options.lease = opened->lease.get();
  options.state = &opened->jobs;
  auto journal = driver::OpenFileJournal(std::move(options));
  MILLRACE_CHECK(journal.ok()) << journal.status();
  opened->journal = *std::move(journal);
  return opened;
}

proto::PartitionKey KeyOf(int partition) {
  proto::PartitionKey key;
  key.set_partition(absl::StrCat("topic/", partition));
  return key;
}

proto::JournalRecord Submitted() {
  proto::JournalRecord record;
  proto::JobSubmitted* job = record.mutable_job_submitted();
  job->set_job_id(kJob);
  job->set_name("bench");
  job->mutable_plan()->set_running_state(true);
  for (int partition = 0; partition < kPartitions; ++partition) {
    *job->add_partitions()->mutable_key() = KeyOf(partition);
    job->mutable_partitions(partition)->set_ordinal(static_cast<uint32_t>(partition));
  }
  return record;
}

proto::JournalRecord Planned(int64_t batch) {
  proto::JournalRecord record;
  proto::BatchPlanned* planned = record.mutable_batch_planned();
  planned->set_job_id(kJob);
  planned->set_epoch(1);
  planned->set_batch(batch);
  planned->set_batch_time_us(1'700'000'000'000'000 + batch * 10'000);
  for (int partition = 0; partition < kPartitions; ++partition) {
    proto::Split* split = planned->add_splits();
    *split->mutable_key() = KeyOf(partition);
    split->set_ordinal(static_cast<uint32_t>(partition));
    split->set_begin((batch - 1) * 100);
    split->set_end(batch * 100);
  }
  return record;
}

proto::JournalRecord Committed(int64_t batch) {
  proto::JournalRecord record;
  proto::BatchCommittedRecord* committed = record.mutable_batch_committed();
  committed->set_job_id(kJob);
  committed->set_epoch(1);
  committed->set_batch(batch);
  for (int partition = 0; partition < kPartitions; ++partition) {
    proto::SplitReport* report = committed->add_splits();
    *report->mutable_key() = KeyOf(partition);
    report->set_begin((batch - 1) * 100);
    report->set_end(batch * 100);
    report->set_records(100);
    report->set_bytes(10'000);
    report->set_input_hash(static_cast<uint64_t>(batch) * 0x9e3779b97f4a7c15);
  }
  // One executor's session has written it.
  proto::SessionMark* mark = committed->add_sessions();
  mark->set_written_epoch(1);
  mark->set_batch(batch);
  mark->set_marker(absl::StrCat("1:", batch, ":0:", 2 * batch, ":1"));
  return record;
}

proto::JournalRecord SnapshotOf(int64_t batch) {
  proto::JournalRecord record;
  record.mutable_snapshot_completed()->set_job_id(kJob);
  record.mutable_snapshot_completed()->mutable_snapshot()->set_batch(batch);
  return record;
}

void Write(const std::string& directory, int64_t batches) {
  const std::unique_ptr<OpenedJournal> opened = Open(directory);
  absl::Mutex mutex;
  int64_t in_flight = 0;
  const auto append = [&](proto::JournalRecord record) {
    const auto has_room = [&] { return in_flight < kInFlight; };
    mutex.LockWhen(absl::Condition(&has_room));
    ++in_flight;
    mutex.Unlock();
    opened->journal->Append({std::move(record)}, [&](const absl::Status& written) {
      MILLRACE_CHECK(written.ok()) << written;
      absl::MutexLock lock(&mutex);
      --in_flight;
    });
  };
  append(Submitted());
  for (int64_t batch = 1; batch <= batches; ++batch) {
    append(Planned(batch));
    append(Committed(batch));
    if (batch % kSnapshotEvery == 0) {
      append(SnapshotOf(batch));
    }
  }
  const auto is_empty = [&] { return in_flight == 0; };
  mutex.LockWhen(absl::Condition(&is_empty));
  mutex.Unlock();
  opened->journal.reset();
  opened->lease->Release();
}

uint64_t BytesIn(const std::string& directory) {
  uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    bytes += entry.file_size();
  }
  return bytes;
}

// In a process of its own, whose memory is that of the take-over alone.
void TakeOver(const std::string& directory, int64_t batches) {
  const pid_t child = fork();
  if (child == 0) {
    const absl::Time begin = SteadyNow();
    const std::unique_ptr<OpenedJournal> opened = Open(directory);
    const absl::Duration took = SteadyNow() - begin;
    MILLRACE_CHECK(opened->jobs.jobs().at(kJob).history.last_committed() == BatchId(batches));
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    std::cout << "taken over in " << absl::FormatDuration(took) << ", at most "
              << usage.ru_maxrss / 1024 << " MB resident" << std::endl;
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  MILLRACE_CHECK(status == 0);
}

int Main(int argc, char** argv) {
  CLI::App app("Writes a journal of many batches and takes it over.", "takeover");
  int64_t batches = 1'000'000;
  app.add_option("--batches", batches)->capture_default_str()->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  const std::string directory =
      std::filesystem::temp_directory_path() / absl::StrCat("millrace-takeover-", getpid());
  // Before anything is allocated here that the other process would start with.
  const pid_t writer = fork();
  if (writer == 0) {
    const absl::Time begin = SteadyNow();
    Write(directory, batches);
    std::cout << batches << " batches written in " << absl::FormatDuration(SteadyNow() - begin)
              << std::endl;
    _exit(0);
  }
  int status = 0;
  waitpid(writer, &status, 0);
  MILLRACE_CHECK(status == 0);
  std::cout << BytesIn(directory) / 1'000'000 << " MB on disk" << std::endl;
  TakeOver(directory, batches);
  std::filesystem::remove_all(directory);
  return 0;
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) { return millrace::Main(argc, argv); }
