// Reads the journal of a directory and says how a new segment goes on from it.
//
// A segment's header names the one before it and cuts it: what lies beyond the cut does not exist
// (a failed write, or a driver that did not know yet that it had been replaced). So the journal is
// the chain of these links from the highest segment that has a header; files off the chain were
// given up before anything in them counted.
#ifndef MILLRACE_DRIVER_JOURNAL_JOURNAL_READER_H_
#define MILLRACE_DRIVER_JOURNAL_JOURNAL_READER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/storage/file_system.h"
#include "proto/journal.pb.h"

namespace millrace {

// In headers from this version on, previous_checksum is filled in; readers know none above it.
inline constexpr uint32_t kJournalFormatVersion = 2;

// Everything before it is durable.
struct JournalCut {
  uint64_t segment = 0;  // 0 = there is nothing
  uint64_t length = 0;
  uint64_t checksum = 0;  // XXH3 of the bytes before `length`
};

struct JournalEnd {
  JournalCut cut;
  // Records after the cut. They have been read, but nobody knows whether they are on the disk: a
  // frame whose sync failed is still in the page cache, and syncing again says OK. Only the last
  // frame of a segment can be in doubt, since the next one is written after its sync. So the new
  // segment repeats them.
  std::vector<proto::JournalRecord> carried;
};

// Hands every record of the segments below `end_segment` to `on_record` in order, headers left out,
// and returns where they end. DATA_LOSS names the file and offset that cannot be read.
// FAILED_PRECONDITION: a newer version wrote it. A torn tail of the last segment, what a crash
// leaves, is logged and left out.
absl::StatusOr<JournalEnd> ReadJournal(
    FileSystem* files, const std::string& directory, uint64_t end_segment,
    const std::function<absl::Status(const proto::JournalRecord&)>& on_record);

}  // namespace millrace

#endif  // MILLRACE_DRIVER_JOURNAL_JOURNAL_READER_H_
