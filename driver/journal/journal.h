// Where a driver writes down every durable change of its jobs. What is acknowledged survives a
// crash; what is not may or may not. Thread-safe.
#ifndef MILLRACE_DRIVER_JOURNAL_JOURNAL_H_
#define MILLRACE_DRIVER_JOURNAL_JOURNAL_H_

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "driver/journal/journal_state.h"
#include "proto/journal.pb.h"

namespace millrace {

class Journal {
 public:
  // Called once per Append, in the order of the appends, from any thread, without locks held: OK
  // once the records are durable.
  using Done = std::function<void(const absl::Status&)>;

  virtual ~Journal() = default;

  // Records become durable together or not at all. Never blocks on the disk. Callers bound what
  // they have outstanding (a job has a handful of records in flight).
  //
  // Records that do not follow from what is journaled are not written: FAILED_PRECONDITION or
  // DATA_LOSS says why, and the job's next ones fail likewise until it is submitted again. After
  // any other failure every append fails with the same status until Reopen.
  virtual void Append(std::vector<proto::JournalRecord> records, Done done) = 0;

  // Goes on after a failure (the disk was full): OK when the journal takes records again, at once
  // if it had not failed. Records that failed are not in it. Does I/O.
  virtual absl::Status Reopen() = 0;
};

// Whether an append failed for what the records say, and not because nothing can be written.
inline bool WasRefused(const absl::Status& appended) {
  return absl::IsFailedPrecondition(appended) || absl::IsDataLoss(appended);
}

// Keeps nothing: acknowledges at once, from Append. For drivers without a directory. `state`
// outlives it.
std::unique_ptr<Journal> NewMemoryJournal(JournalState* state);

}  // namespace millrace

#endif  // MILLRACE_DRIVER_JOURNAL_JOURNAL_H_
