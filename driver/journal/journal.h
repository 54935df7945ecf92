// The log of every durable change of a driver's jobs. A record that is acknowledged survives a
// crash; one that is not may or may not. Thread-safe.
#ifndef MILLRACE_DRIVER_JOURNAL_JOURNAL_H_
#define MILLRACE_DRIVER_JOURNAL_JOURNAL_H_

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "driver/journal/journal_state.h"
#include "proto/journal.pb.h"

namespace millrace::driver {

class Journal {
 public:
  // Called once per Append, in the order of the appends, from any thread, without locks held: OK
  // once the records are durable.
  using Done = std::function<void(const absl::Status&)>;

  virtual ~Journal() = default;

  // The records of one call become durable together or not at all. Never blocks on the disk.
  // Callers bound how much they have outstanding (a job has a handful of records in flight).
  //
  // Records that do not follow from the journaled ones are not written: FAILED_PRECONDITION or
  // DATA_LOSS says why, and later records of the job fail likewise until it is submitted again.
  // While the environment does not let the journal be written (a full disk), appends wait for as
  // long as that takes. After any other failure, such as that another driver has taken over, every
  // append fails with the same status until Reopen; so do those that wait when the journal is
  // destroyed.
  virtual void Append(std::vector<proto::JournalRecord> records, Done done) = 0;

  // Goes on after a failure. OK when the journal takes records again; at once if it had not failed.
  // The records that failed are not in it. While appends wait for the environment, it has the
  // journal try again now, and returns the reason if that fails too. Does I/O.
  virtual absl::Status Reopen() = 0;
};

// Whether an append failed because of what its records say, and not because nothing can be written.
inline bool WasRefused(const absl::Status& appended) {
  return absl::IsFailedPrecondition(appended) || absl::IsDataLoss(appended);
}

// A journal that keeps nothing and acknowledges at once, from within Append: for drivers without a
// directory. `state` outlives it.
std::unique_ptr<Journal> NewMemoryJournal(JournalState* state);

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_JOURNAL_JOURNAL_H_
