// What the records of a journal add up to. The journal asks it before it writes, keeps it up with
// what becomes durable, and has it write itself down at the start of every segment, so that nothing
// in front of that is needed.
//
// Thread-compatible: of whoever opens the journal, then of the journal's thread for as long as the
// journal lives.
#ifndef MILLRACE_DRIVER_JOURNAL_JOURNAL_STATE_H_
#define MILLRACE_DRIVER_JOURNAL_JOURNAL_STATE_H_

#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "proto/journal.pb.h"

namespace millrace {

class JournalState {
 public:
  virtual ~JournalState() = default;

  // As if nothing had ever been journaled.
  virtual void Reset() = 0;

  // The next record that was read, checkpoints included, headers not. One that does not add up is
  // taken note of; an error means that nothing of the journal can be used.
  virtual absl::Status Replay(const proto::JournalRecord& record) = 0;

  // Records that are about to be written, all or none of them. An error says why one does not
  // follow from what is there; nothing has changed then.
  virtual absl::Status Apply(const std::vector<proto::JournalRecord>& records) = 0;

  // Hands out records whose Replay after Reset brings back the same, each of them small enough to
  // be one of many in a frame; ends with the first error of `write`.
  virtual absl::Status WriteCheckpoint(
      const std::function<absl::Status(proto::JournalRecord)>& write) const = 0;
};

}  // namespace millrace

#endif  // MILLRACE_DRIVER_JOURNAL_JOURNAL_STATE_H_
