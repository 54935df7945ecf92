// Where a driver writes down every durable change of its jobs. What is acknowledged survives a
// crash; what is not may or may not. Thread-safe.
#ifndef MILLRACE_DRIVER_JOURNAL_JOURNAL_H_
#define MILLRACE_DRIVER_JOURNAL_JOURNAL_H_

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "proto/journal.pb.h"

namespace millrace {

class Journal {
 public:
  // Called once per record, in the order of the appends, from any thread, without locks held: OK
  // once the record is durable.
  using Done = std::function<void(const absl::Status&)>;

  virtual ~Journal() = default;

  // Never blocks on the disk. Callers bound what they have outstanding (a job has a handful of
  // records in flight). After a failure every append fails with the same status until Reopen.
  virtual void Append(proto::JournalRecord record, Done done) = 0;

  // Goes on after a failure (the disk was full): OK when the journal takes records again, at once
  // if it had not failed. Records that failed are not in it. Does I/O.
  virtual absl::Status Reopen() = 0;
};

// Keeps nothing: acknowledges at once, from Append. For drivers without a directory.
std::unique_ptr<Journal> NewMemoryJournal();

}  // namespace millrace

#endif  // MILLRACE_DRIVER_JOURNAL_JOURNAL_H_
