// Decides which driver has a directory (docs/exactly-once.md §6). A driver takes the directory over
// by creating the next journal segment, which only one driver can do. The file LEASE tells standbys
// whether the present driver lives.
//
// The highest segment decides: a driver that finds a higher one than its own has been replaced,
// whatever LEASE says. LEASE only decides how long standbys wait before they try, and shows when
// the highest segment was lost.
#ifndef MILLRACE_DRIVER_JOURNAL_DIRECTORY_LEASE_H_
#define MILLRACE_DRIVER_JOURNAL_DIRECTORY_LEASE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/storage/file_system.h"
#include "proto/journal.pb.h"

namespace millrace::driver {

struct DirectoryLeaseOptions {
  FileSystem* files = FileSystem::Real();
  Clock* clock = Clock::Real();
  std::string directory;
  std::string driver_id;
  std::string address;  // for standbys, and for people

  // A holder without a sign of life for this long is taken for dead. It renews the lease three
  // times within this time.
  absl::Duration lease_time = absl::Milliseconds(1500);
  // true: wait as standby while another driver lives; false: return ALREADY_EXISTS.
  bool wait = false;
  // Ends the waiting.
  std::stop_token stop;
  // Called after each look that finds that another driver has the directory, or may have it: for
  // work to do while waiting. It may do I/O; the looks wait for it. May be null.
  std::function<void()> while_waiting;
  // Called before the directory is taken over, with the highest segment of which LEASE says that it
  // has counted (0 = none): an error ends Acquire, which then leaves the directory as it was. It
  // may do I/O. May be null.
  std::function<absl::Status(uint64_t counted_segment)> before_taking;
  // Called once when another driver has taken over. Runs on a thread of this object, so it must not
  // wait for that thread.
  std::function<void(const absl::Status& why)> on_lost;

  // For tests with a clock of their own. Lets time pass between two looks, and returns false to
  // stop waiting; null: wait in real time.
  std::function<bool(absl::Duration)> pause;
  bool renew_in_background = true;
};

// What one look at a directory shows.
struct LeaseSighting {
  uint64_t last_segment = 0;          // 0 = there is none
  std::optional<proto::Lease> lease;  // absent: no file, or not readable as one
  bool holder_gone = false;           // the holder's process certainly no longer exists
};

// Judges a directory by what is seen of it over time. Thread-compatible; pure.
class LeaseWatch {
 public:
  explicit LeaseWatch(absl::Duration lease_time) : lease_time_(lease_time) {}

  enum class Verdict {
    kUnknown,  // a driver may have it
    kAlive,    // a driver has it: something has changed since the first look
    kFree,     // may be taken over, if `last_segment` is still the last one
  };
  Verdict Judge(const LeaseSighting& seen, int64_t now_ns);

 private:
  bool Moved(const LeaseSighting& seen) const;

  const absl::Duration lease_time_;  // for a holder that does not state its own
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
  // names the driver that holds it; CANCELLED: asked to stop; DATA_LOSS: the highest segment is
  // missing, and the message says what to do.
  static absl::StatusOr<std::unique_ptr<DirectoryLease>> Acquire(DirectoryLeaseOptions options);

  // Ends the renewals and leaves LEASE as a crash would.
  ~DirectoryLease();

  DirectoryLease(const DirectoryLease&) = delete;
  DirectoryLease& operator=(const DirectoryLease&) = delete;

  FileSystem* files() const { return options_.files; }
  const std::string& directory() const { return options_.directory; }

  // The empty segment by which this driver took the directory over. Each driver of the directory
  // has a higher number than the one before.
  uint64_t first_segment() const { return first_segment_; }
  // REQUIRES: once.
  std::unique_ptr<AppendFile> TakeFirstFile() { return std::move(first_file_); }

  // Creates the next segment of this driver and makes its name durable. ABORTED: another driver has
  // taken over. After other errors the call may be tried again.
  absl::StatusOr<Segment> CreateNext();

  // OK only if no driver had taken over when this was called: a later driver will then read all
  // that was durable before the call. ABORTED, from then on for ever, once another driver has taken
  // over. Costs a look at one name and one at the directory.
  absl::Status Confirm();

  // Notes that the checkpoint of this driver's segment is durable and that no other driver had
  // taken over then. LEASE says so from the next renewal on, so that the loss of the segment's
  // contents is told from a segment that was never begun. No I/O.
  void NoteCounted(uint64_t segment);

  // Looks for a successor, then raises the counter in LEASE. ABORTED: another driver has taken
  // over; other errors: LEASE could not be written, and standbys may try to take over.
  absl::Status Renew();

  // Whether some look within the lease time found that no driver had taken over. No I/O.
  bool Fresh() const;

  // Says in LEASE that the directory is free, if it is still this driver's. Ends the renewals.
  void Release();

 private:
  explicit DirectoryLease(DirectoryLeaseOptions options);

  absl::StatusOr<bool> TryTakeOver(uint64_t last_segment);
  absl::StatusOr<std::unique_ptr<AppendFile>> CreateSegment(uint64_t number);
  absl::Status CheckDirectory();
  // LEASE is written in two steps, under lease_file_mutex_ once the renewals run.
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
  bool told_of_draft_ = false;  // whether the log says it already

  absl::Mutex lease_file_mutex_;  // one writer of LEASE at a time
  mutable absl::Mutex mutex_;
  // The highest segment that is known to be this driver's.
  uint64_t last_segment_ ABSL_GUARDED_BY(mutex_) = 0;
  // The segment that CreateNext is creating; 0 = none.
  uint64_t creating_ ABSL_GUARDED_BY(mutex_) = 0;
  // The highest segment that has counted, as far as this driver and the LEASE that it found know.
  uint64_t counted_segment_ ABSL_GUARDED_BY(mutex_) = 0;
  // When the last look that found no successor began.
  int64_t confirmed_at_ns_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t counter_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status lost_ ABSL_GUARDED_BY(mutex_);  // OK until lost
  std::jthread renewing_;
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_JOURNAL_DIRECTORY_LEASE_H_
