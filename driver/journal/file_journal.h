// A journal in files of one directory, called segments: journal-<number>.log. A new one begins with
// every driver that takes the directory over, after every failed write, and when the last one has
// grown. Each segment begins with a checkpoint, so that those before it may be removed. Many
// records share one fdatasync (group commit): records that are appended during one are written
// together with the next.
//
// A write or sync that failed is never tried again on the same file, since the kernel may have
// dropped the pages. The file is given up at its last synced length, which the next segment's
// header states; what was being written is written to that segment, once there can be one. A record
// is acknowledged only if, after its sync, no other driver had made a segment (docs/exactly-once.md
// §6).
#ifndef MILLRACE_DRIVER_JOURNAL_FILE_JOURNAL_H_
#define MILLRACE_DRIVER_JOURNAL_FILE_JOURNAL_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "driver/journal/directory_lease.h"
#include "driver/journal/journal.h"
#include "driver/journal/journal_follower.h"
#include "driver/journal/journal_state.h"

namespace millrace::driver {

struct FileJournalOptions {
  DirectoryLease* lease = nullptr;  // REQUIRED; outlives the journal
  // REQUIRED; outlives the journal. From opening on, only the journal's thread uses it.
  JournalState* state = nullptr;
  std::string engine_version;
  std::string driver_id;
  // Called after every group commit, on the journal's thread, with the seconds that it took and the
  // number of its records. May be null.
  std::function<void(double seconds, size_t records)> on_sync;

  // Called when the journal cannot be written because of its environment (a full disk, a mount that
  // is away), again when the reason changes, and with OK when that is over. Appends wait
  // meanwhile. On the journal's thread; must not call the journal. May be null.
  std::function<void(const absl::Status& trouble)> on_trouble;
  // The pauses between tries while that lasts, doubled from the first to the longest. With a first
  // pause of zero nothing is tried again: such a failure is one until Reopen.
  absl::Duration first_retry_pause = absl::Milliseconds(100);
  absl::Duration longest_retry_pause = absl::Seconds(2);

  // The size of a frame, at most; an append that is larger gets a frame of its own.
  uint64_t frame_bytes = 4 << 20;
  // A new segment begins when the present one has this much behind its checkpoint, and twice the
  // checkpoint's size. This decides how much a driver reads that takes over, and how often a
  // checkpoint is written.
  uint64_t segment_bytes = 32 << 20;
  // How many bytes of segments that are no longer needed are kept for people (millrace replay): the
  // newest ones.
  uint64_t kept_bytes = 128 << 20;
};

// Opens the journal of the lease's directory and brings the state to what its records add up to.
// Once this returns OK, the state counts as this driver's. DATA_LOSS names the file and offset that
// cannot be read. FAILED_PRECONDITION: a newer version wrote it. ABORTED: another driver has taken
// over; every append returns it too if that happens later. The destructor first writes what was
// appended. REQUIRES: once per lease.
//
// `follower`: may have followed the journal into that state while this driver waited for the lease.
absl::StatusOr<std::unique_ptr<Journal>> OpenFileJournal(FileJournalOptions options,
                                                         JournalFollower* follower = nullptr);

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_JOURNAL_FILE_JOURNAL_H_
