// Who drives a directory (docs/exactly-once.md §6). Taking it over is creating the next journal
// segment, which one driver can do; the file LEASE tells those who wait whether the present one
// lives.
//
// The truth is the highest segment: a driver that finds one above its own has been replaced, and
// whatever LEASE says does not matter. LEASE only decides how long others wait before they try.
#ifndef MILLRACE_DRIVER_JOURNAL_DIRECTORY_LEASE_H_
#define MILLRACE_DRIVER_JOURNAL_DIRECTORY_LEASE_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/storage/file_system.h"
#include "proto/journal.pb.h"

namespace millrace {

struct DirectoryLeaseOptions {
  FileSystem* files = FileSystem::Real();
  Clock* clock = Clock::Real();
  std::string directory;
  std::string driver_id;
  std::string address;  // for those who wait, and for people

  // A holder that has not been seen to live for so long is taken for dead. It shows three times as
  // often that it lives.
  absl::Duration lease_time = absl::Milliseconds(1500);
  // true: waits as standby for as long as another driver lives; false: ALREADY_EXISTS.
  bool wait = false;
  // Ends the waiting.
  std::stop_token stop;
  // Called at each look that finds that another driver has the directory, or may have it: what
  // there is to do while waiting. May do I/O; the looks wait for it. May be null.
  std::function<void()> while_waiting;
  // Called once when another driver has taken over, from a thread that must not be waited for in
  // it.
  std::function<void(const absl::Status& why)> on_lost;

  // For tests with a clock of their own. Lets time pass between two looks, false = stop waiting;
  // null: really waits.
  std::function<bool(absl::Duration)> pause;
  bool renew_in_background = true;
};

// What one look at a directory shows.
struct LeaseSighting {
  uint64_t last_segment = 0;          // 0 = there is none
  std::optional<proto::Lease> lease;  // absent: no file, or not readable as one
  bool holder_gone = false;           // that process certainly no longer exists
};

// Judges a directory by what is seen of it over time. Thread-compatible; pure.
class LeaseWatch {
 public:
  explicit LeaseWatch(absl::Duration lease_time) : lease_time_(lease_time) {}

  enum class Verdict {
    kUnknown,  // somebody may hold it
    kAlive,    // somebody does: something has moved since the first look
    kFree,     // may be taken over, if `last_segment` is still the last one
  };
  Verdict Judge(const LeaseSighting& seen, int64_t now_ns);

 private:
  bool Moved(const LeaseSighting& seen) const;

  const absl::Duration lease_time_;  // where the holder does not say
  std::optional<LeaseSighting> last_;
  int64_t since_ns_ = 0;  // when `last_` was first seen
  bool alive_ = false;
};

// Thread-safe.
class DirectoryLease {
 public:
  struct Segment {
    uint64_t number = 0;
    std::unique_ptr<AppendFile> file;
  };

  // Makes the directory if it is missing and takes it over as soon as it is free. ALREADY_EXISTS
  // names the driver that holds it; CANCELLED: asked to stop.
  static absl::StatusOr<std::unique_ptr<DirectoryLease>> Acquire(DirectoryLeaseOptions options);

  // Ends the renewals and leaves LEASE as a crash would.
  ~DirectoryLease();

  DirectoryLease(const DirectoryLease&) = delete;
  DirectoryLease& operator=(const DirectoryLease&) = delete;

  FileSystem* files() const { return options_.files; }
  const std::string& directory() const { return options_.directory; }

  // The empty segment that made this driver the one. Its number rises with every driver of the
  // directory.
  uint64_t first_segment() const { return first_segment_; }
  // REQUIRES: once.
  std::unique_ptr<AppendFile> TakeFirstFile() { return std::move(first_file_); }

  // The next segment of this driver, its name durable. ABORTED: lost. May be tried again after
  // other errors.
  absl::StatusOr<Segment> CreateNext();

  // OK only if nobody had taken over when it was called: what was durable before is what a later
  // driver will read. ABORTED, and so for ever, once another one has. Costs a look at one name and
  // one at the directory.
  absl::Status Confirm();

  // Looks for a successor, then raises the counter in LEASE. ABORTED: lost; other errors: LEASE
  // could not be written, and others may try to take over.
  absl::Status Renew();

  // Whether within the lease time it was certain that nobody had taken over. No I/O.
  bool Fresh() const;

  // Says in LEASE that the directory is free, if it is still this driver's. Ends the renewals.
  void Release();

 private:
  explicit DirectoryLease(DirectoryLeaseOptions options);

  absl::StatusOr<bool> TryTakeOver(uint64_t last_segment);
  absl::StatusOr<std::unique_ptr<AppendFile>> CreateSegment(uint64_t number);
  absl::Status CheckDirectory();
  // LEASE is written in two steps, under lease_file_mutex_.
  absl::Status DraftLease(bool released);
  absl::Status PublishLease();
  void RemoveLeftovers();
  absl::Status Lose();
  void StartRenewing();
  void StopRenewing();

  const DirectoryLeaseOptions options_;
  const std::string lease_path_;
  const std::string draft_path_;
  uint64_t first_segment_ = 0;
  std::unique_ptr<AppendFile> first_file_;
  bool told_of_draft_ = false;  // in the log, once

  std::mutex lease_file_mutex_;  // one writer of LEASE at a time
  mutable std::mutex mutex_;
  uint64_t last_segment_ = 0;    // the highest one that is known to be this driver's
  uint64_t creating_ = 0;        // the one that CreateNext is about; 0 = none
  int64_t confirmed_at_ns_ = 0;  // when a look that found no successor began
  int64_t counter_ = 0;
  absl::Status lost_;  // OK until lost
  std::jthread renewing_;
};

}  // namespace millrace

#endif  // MILLRACE_DRIVER_JOURNAL_DIRECTORY_LEASE_H_
