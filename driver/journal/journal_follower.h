// Keeps a state up with a journal, whether it stands still or another driver writes it: a standby
// follows it while it waits, so that taking over does not take longer the longer the journal is.
// What was read in one call is not read again in the next, unless the journal goes on in another
// segment, whose checkpoint is then read. Thread-compatible.
#ifndef MILLRACE_DRIVER_JOURNAL_JOURNAL_FOLLOWER_H_
#define MILLRACE_DRIVER_JOURNAL_JOURNAL_FOLLOWER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/storage/file_system.h"
#include "driver/journal/journal_frame.h"
#include "driver/journal/journal_reader.h"
#include "driver/journal/journal_state.h"

namespace millrace {

class JournalFollower {
 public:
  // `files` and `state` outlive it; nobody else changes the state.
  JournalFollower(FileSystem* files, std::string directory, JournalState* state)
      : files_(files), directory_(std::move(directory)), state_(state) {}

  // Brings the state to what is there now. After an error the next call begins anew: a driver that
  // lives may have removed what was being read.
  absl::Status CatchUp();

  // Brings the state to what the segments below `end_segment` add up to, which do not change any
  // more, and returns where they end. DATA_LOSS names the file and offset that cannot be read.
  // FAILED_PRECONDITION: a newer version wrote it. The state is of no use after an error. A torn
  // tail, what a crash leaves, is logged and left out.
  absl::StatusOr<JournalEnd> Finish(uint64_t end_segment);

 private:
  absl::Status ReadOn(uint64_t end_segment);
  absl::Status BeginWith(const JournalSegment& last);
  absl::Status Replay(const proto::JournalRecord& record);

  FileSystem* const files_;
  const std::string directory_;
  JournalState* const state_;
  uint64_t segment_ = 0;  // that is followed; 0 = none
  std::string path_;      // of it
  std::optional<FrameReader> frames_;
};

}  // namespace millrace

#endif  // MILLRACE_DRIVER_JOURNAL_JOURNAL_FOLLOWER_H_
