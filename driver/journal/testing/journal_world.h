// For tests of a driver's directory: a file system in memory, a clock that advances only while
// somebody waits, and drivers that are no more than a lease and a journal.
#ifndef MILLRACE_DRIVER_JOURNAL_TESTING_JOURNAL_WORLD_H_
#define MILLRACE_DRIVER_JOURNAL_TESTING_JOURNAL_WORLD_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/storage/memory_file_system.h"
#include "driver/journal/directory_lease.h"
#include "driver/journal/journal.h"
#include "driver/journal/journal_state.h"

namespace millrace::driver {

class StandingClock : public Clock {
 public:
  absl::Time Now() override { return absl::FromUnixNanos(now_ns_); }
  int64_t MonotonicNs() override { return now_ns_; }
  void Advance(absl::Duration time) { now_ns_ += absl::ToInt64Nanoseconds(time); }

 private:
  std::atomic<int64_t> now_ns_{1'000'000'000};
};

struct JournalWorld {
  static constexpr char kDirectory[] = "/j";

  MemoryFileSystem files;
  StandingClock clock;
  // Called at each look of a driver that waits, after the clock has moved; false = stop waiting.
  std::function<bool()> at_pause;
};

// A record that carries a number, by which tests tell it from others.
proto::JournalRecord NumberedRecord(int64_t number);

// A state that keeps the numbers of its records and refuses a number that does not rise. Its
// checkpoint is the same records again.
class NumberState : public JournalState {
 public:
  void Reset() override { numbers_.clear(); }
  // How many records were replayed since this object was made.
  int64_t replayed() const { return replayed_; }
  absl::Status Replay(const proto::JournalRecord& record) override;
  absl::Status Apply(const std::vector<proto::JournalRecord>& records) override;
  absl::Status WriteCheckpoint(
      const std::function<absl::Status(proto::JournalRecord)>& write) const override;

  const std::vector<int64_t>& numbers() const { return numbers_; }

 private:
  std::vector<int64_t> numbers_;
  int64_t replayed_ = 0;
};

// A driver that renews its lease only when told to. Destroying it without Release is like a crash,
// except that appended records are still written: freeze the file system first where that matters.
class JournalDriver {
 public:
  JournalDriver(JournalWorld* world, std::string id) : world_(world), id_(std::move(id)) {}
  ~JournalDriver() { Abandon(); }

  // Takes the directory over and reads it.
  absl::Status Open(bool wait = true);

  // Appends and waits for the answer.
  absl::Status Append(int64_t number) { return AppendTogether({number}); }
  absl::Status AppendTogether(const std::vector<int64_t>& numbers);

  void Abandon();
  void Release();

  DirectoryLease& lease() { return *lease_; }
  Journal& journal() { return *journal_; }
  // To be called before Open. With small frames a checkpoint has several of them; with small
  // segments, others soon follow.
  void SetFrameBytes(uint64_t bytes) { frame_bytes_ = bytes; }
  void SetSegmentBytes(uint64_t bytes) { segment_bytes_ = bytes; }
  void SetKeptBytes(uint64_t bytes) { kept_bytes_ = bytes; }
  // With this, appends wait while the disk does not take them; without it, they fail.
  void WaitForEnvironment(std::function<void(const absl::Status&)> on_trouble) {
    on_trouble_ = std::move(on_trouble);
  }
  // The numbers of the records that Open read.
  const std::vector<int64_t>& read() const { return read_; }
  const NumberState& state() const { return state_; }
  const std::vector<absl::Status>& losses() const { return losses_; }

 private:
  JournalWorld* const world_;
  const std::string id_;
  uint64_t frame_bytes_ = 4 << 20;
  uint64_t segment_bytes_ = 32 << 20;
  uint64_t kept_bytes_ = 128 << 20;
  std::function<void(const absl::Status&)> on_trouble_;
  NumberState state_;  // outlives the journal
  std::vector<int64_t> read_;
  std::vector<absl::Status> losses_;
  std::unique_ptr<DirectoryLease> lease_;
  std::unique_ptr<Journal> journal_;
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_JOURNAL_TESTING_JOURNAL_WORLD_H_
