// Keeps a state up to date with a journal, whether another driver is writing it or not. A standby
// follows the journal while it waits, so that the time to take over does not depend on the
// journal's length. Each call reads on from where the last one ended; only when the journal goes on
// in another segment, that segment's checkpoint is read. Thread-compatible.
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

namespace millrace::driver {

class JournalFollower {
 public:
  // `files` and `state` outlive this object; nothing else changes the state.
  JournalFollower(FileSystem* files, std::string directory, JournalState* state)
      : files_(files), directory_(std::move(directory)), state_(state) {}

  // Brings the state to the journal's present end. After an error the next call begins anew: the
  // driver that writes the journal may have removed what was being read.
  absl::Status CatchUp();

  // Catches up, and says whether the journal can be read to its end, before anything is done that
  // rests on it. DATA_LOSS, as of Finish, also if no segment from `counted_segment` on counts any
  // more (0 = none is known to have counted). A driver may write on meanwhile.
  absl::Status Check(uint64_t counted_segment);

  // Brings the state to what the segments below `end_segment` add up to, which no longer change,
  // and returns where they end. DATA_LOSS names the file and offset that cannot be read.
  // FAILED_PRECONDITION: a newer version wrote it. The state must not be used after an error. A
  // torn tail, as a crash leaves it, is logged and left out.
  absl::StatusOr<JournalEnd> Finish(uint64_t end_segment);

 private:
  absl::Status ReadOn(uint64_t end_segment);
  absl::Status ReadOnOrAnew(uint64_t end_segment);
  absl::Status BeginWith(const JournalSegment& last);
  absl::Status Replay(const proto::JournalRecord& record);

  FileSystem* const files_;
  const std::string directory_;
  JournalState* const state_;
  uint64_t segment_ = 0;  // the segment that is followed; 0 = none
  std::string path_;      // path of that segment
  std::optional<FrameReader> frames_;
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_JOURNAL_JOURNAL_FOLLOWER_H_
