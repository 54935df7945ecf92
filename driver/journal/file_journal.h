// A journal in files of one directory: journal-<number>.log, a new one with every driver that takes
// the directory over, after every failed write, and when the last one has grown. Each begins with a
// checkpoint, so that those before it may go. Many records share one fdatasync (group commit):
// while one is under way, the next ones gather.
//
// A write or sync that failed is never tried again on the same file, since the kernel may have
// dropped the pages: the file is given up at its last synced length, and the next one's checkpoint
// says what that was. A record is acknowledged only when, after its sync, no other driver had made
// a segment (docs/exactly-once.md §6).
#ifndef MILLRACE_DRIVER_JOURNAL_FILE_JOURNAL_H_
#define MILLRACE_DRIVER_JOURNAL_FILE_JOURNAL_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "driver/journal/directory_lease.h"
#include "driver/journal/journal.h"
#include "driver/journal/journal_follower.h"
#include "driver/journal/journal_state.h"

namespace millrace {

struct FileJournalOptions {
  DirectoryLease* lease = nullptr;  // REQUIRED; outlives the journal
  // REQUIRED; outlives the journal, whose thread alone has it from when it is opened.
  JournalState* state = nullptr;
  std::string engine_version;
  std::string driver_id;
  // Told after every group commit: seconds it took, records in it. May be null; from the journal's
  // thread.
  std::function<void(double seconds, size_t records)> on_sync;

  // Records are written in frames of about so much at most, or of one append, which is longer.
  uint64_t frame_bytes = 4 << 20;
  // A segment with so much behind its checkpoint, and twice as much as that has, is followed by
  // another one: that is what a driver reads that takes over, and how often a checkpoint is
  // written.
  uint64_t segment_bytes = 32 << 20;
  // Of segments that are not needed any more: the newest are kept for people (millrace replay).
  uint64_t kept_bytes = 128 << 20;
};

// Opens the journal of the lease's directory, bringing the state to what it adds up to; that counts
// once this returns OK. DATA_LOSS names the file and offset that cannot be read.
// FAILED_PRECONDITION: a newer version wrote it. ABORTED: another driver has taken over, then or,
// as the answer to every append, later. The destructor first writes what was appended. REQUIRES:
// once per lease.
//
// `follower` may have followed the journal into that state while the lease was waited for.
absl::StatusOr<std::unique_ptr<Journal>> OpenFileJournal(FileJournalOptions options,
                                                         JournalFollower* follower = nullptr);

}  // namespace millrace

#endif  // MILLRACE_DRIVER_JOURNAL_FILE_JOURNAL_H_
