// The state that a journal's records add up to. The journal asks it before it writes a record,
// applies every durable record to it, and lets it write a checkpoint at the start of every segment,
// so that earlier segments are not needed.
//
// Thread-compatible: it belongs to the thread that opens the journal, then to the journal's own
// thread.
#ifndef MILLRACE_DRIVER_JOURNAL_JOURNAL_STATE_H_
#define MILLRACE_DRIVER_JOURNAL_JOURNAL_STATE_H_

#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "proto/journal.pb.h"

namespace millrace::driver {

class JournalState {
 public:
  virtual ~JournalState() = default;

  // Makes the state empty, as if nothing had been journaled.
  virtual void Reset() = 0;

  // Takes the next record that was read, checkpoints included, headers not. A record that does not
  // add up is noted and is no error; an error means that the whole journal cannot be used.
  virtual absl::Status Replay(const proto::JournalRecord& record) = 0;

  // Takes records that are about to be written, all or none of them. An error says why a record
  // does not follow from the state; then the state is unchanged.
  virtual absl::Status Apply(const std::vector<proto::JournalRecord>& records) = 0;

  // Passes records to `write` whose Replay, after Reset, brings this state back. Each is small
  // enough to share a frame with others. Ends with the first error of `write`.
  virtual absl::Status WriteCheckpoint(
      const std::function<absl::Status(proto::JournalRecord)>& write) const = 0;
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_JOURNAL_JOURNAL_STATE_H_
