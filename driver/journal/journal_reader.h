// Reads the journal of a directory.
//
// From format 3 on a segment begins with a checkpoint of all that came before it, so that the
// highest one whose checkpoint is whole is the journal; those before it are kept for a while for
// people. A segment without a whole checkpoint was given up before anything else was in it.
//
// Before that a segment's header named the one before it and cut it: what lies beyond the cut does
// not exist (a failed write, or a driver that did not know yet that it had been replaced). Such a
// journal is the chain of these links from the highest segment that has a header.
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

namespace millrace {

// Readers know none above it.
inline constexpr uint32_t kJournalFormatVersion = 3;

// How far a journal has been read: a segment's whole frames.
struct JournalEnd {
  uint64_t segment = 0;  // 0 = there is nothing
  uint64_t length = 0;
  uint64_t checksum = 0;  // XXH3 of the bytes before `length`
};

// Brings `state`, whatever it was, to what the journal up to `end` adds up to, which this driver
// itself has made durable: bytes behind it do not exist, nor do segments above. The state is of no
// use after an error. (A directory as it is found is read by JournalFollower.)
absl::Status ReadJournalUpTo(FileSystem* files, const std::string& directory, const JournalEnd& end,
                             JournalState* state);

// Every record that is still there, oldest first, headers left out; a checkpoint only where what
// it was made of is gone.
absl::Status ReadJournalRecords(FileSystem* files, const std::string& directory,
                                const OnRecord& on_record);

// A segment that counts.
struct JournalSegment {
  uint64_t number = 0;
  std::string path;
  proto::JournalHeader header;
};

// The highest one below `end_segment`; nothing if there is none.
absl::StatusOr<std::optional<JournalSegment>> FindLastSegment(FileSystem* files,
                                                              const std::string& directory,
                                                              uint64_t end_segment);

// Hands out what lies in front of `last` and is needed with it, headers included.
absl::Status ReadBefore(FileSystem* files, const std::string& directory, const JournalSegment& last,
                        const OnRecord& on_record);

}  // namespace millrace

#endif  // MILLRACE_DRIVER_JOURNAL_JOURNAL_READER_H_
