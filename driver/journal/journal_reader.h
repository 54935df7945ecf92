// Reads the journal of a directory.
//
// From format 3 on, a segment begins with a checkpoint of all that came before it. So the journal
// is the highest segment whose checkpoint is whole; the segments before it are kept for a while for
// people. A segment without a whole checkpoint was given up before it held anything else.
//
// In older formats, a segment's header names the segment before it and cuts it: what lies beyond
// the cut does not count (a failed write, or one of a driver that did not know yet that it had been
// replaced). Such a journal is the chain of these links from the highest segment that has a header.
#ifndef MILLRACE_DRIVER_JOURNAL_JOURNAL_READER_H_
#define MILLRACE_DRIVER_JOURNAL_JOURNAL_READER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/storage/file_system.h"
#include "driver/journal/journal_frame.h"
#include "driver/journal/journal_state.h"
#include "proto/journal.pb.h"

namespace millrace::driver {

// The newest format that this version reads. Format 4 has the form of format 3, and records about
// sink sessions, without which an older version would write a batch twice.
inline constexpr uint32_t kJournalFormatVersion = 4;

// How far a journal has been read: up to the end of a whole frame of a segment.
struct JournalEnd {
  uint64_t segment = 0;  // 0 = the journal is empty
  uint64_t length = 0;
  uint64_t checksum = 0;  // XXH3 of the bytes before `length`
};

// Resets `state` and brings it to what the journal up to `end` adds up to. This driver itself has
// made the journal durable up to there; bytes behind it do not count, nor do segments above. The
// state must not be used after an error. (JournalFollower reads a directory as it is found.)
absl::Status ReadJournalUpTo(FileSystem* files, const std::string& directory, const JournalEnd& end,
                             JournalState* state);

// Passes on every record that still exists, oldest first, without headers; a checkpoint only where
// the records that it was made of are gone.
absl::Status ReadJournalRecords(FileSystem* files, const std::string& directory,
                                const OnRecord& on_record);

// A segment that counts.
struct JournalSegment {
  uint64_t number = 0;
  std::string path;
  proto::JournalHeader header;
};

// The highest segment below `end_segment` that counts; nothing if there is none.
absl::StatusOr<std::optional<JournalSegment>> FindLastSegment(FileSystem* files,
                                                              const std::string& directory,
                                                              uint64_t end_segment);

// Passes on the records of the segments that `last` continues, headers included.
absl::Status ReadBefore(FileSystem* files, const std::string& directory, const JournalSegment& last,
                        const OnRecord& on_record);

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_JOURNAL_JOURNAL_READER_H_
