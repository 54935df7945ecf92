// The files of a journal by name: journal-000001.log, journal-000002.log, … Numbers only rise: that
// a number is taken is what tells a driver that another one has taken over. So the highest is never
// removed (docs/exactly-once.md §6). Thread-safe.
#ifndef MILLRACE_DRIVER_JOURNAL_SEGMENT_FILES_H_
#define MILLRACE_DRIVER_JOURNAL_SEGMENT_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/storage/file_system.h"

namespace millrace {

std::string SegmentName(uint64_t number);
std::string SegmentPath(const std::string& directory, uint64_t number);

// Numbers in use, rising; the directory's other files are left out.
absl::StatusOr<std::vector<uint64_t>> ListSegments(FileSystem* files, const std::string& directory);

// 0 = there is none.
absl::StatusOr<uint64_t> LastSegment(FileSystem* files, const std::string& directory);

// Costs one look at one name.
absl::StatusOr<bool> SegmentExists(FileSystem* files, const std::string& directory,
                                   uint64_t number);

// Removes the segments below `end`, but for the newest ones that together have at most `kept_bytes`
// and are at most a hundred. From the lowest on, each durably gone before the next. What another
// driver removes at the same time is none of its business. REQUIRES: there is a segment `end`.
absl::Status RemoveOldSegments(FileSystem* files, const std::string& directory, uint64_t end,
                               uint64_t kept_bytes);

}  // namespace millrace

#endif  // MILLRACE_DRIVER_JOURNAL_SEGMENT_FILES_H_
