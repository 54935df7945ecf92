// The files of a journal: journal-000001.log, journal-000002.log, … Numbers only rise: a driver
// learns that another one has taken over from the fact that the next number is taken. So the
// highest segment is never removed (docs/exactly-once.md §6). Thread-safe.
#ifndef MILLRACE_DRIVER_JOURNAL_SEGMENT_FILES_H_
#define MILLRACE_DRIVER_JOURNAL_SEGMENT_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/storage/file_system.h"

namespace millrace::driver {

std::string SegmentName(uint64_t number);
std::string SegmentPath(const std::string& directory, uint64_t number);

// The numbers of the existing segments in rising order, without the directory's other files.
absl::StatusOr<std::vector<uint64_t>> ListSegments(FileSystem* files, const std::string& directory);

// The highest number; 0 = there is no segment.
absl::StatusOr<uint64_t> LastSegment(FileSystem* files, const std::string& directory);

// Costs one look at one name.
absl::StatusOr<bool> SegmentExists(FileSystem* files, const std::string& directory,
                                   uint64_t number);

// Removes the segments below `end`, except the newest ones that together have at most `kept_bytes`
// and are at most a hundred. Removes the lowest first, and makes each removal durable before the
// next. A segment that another driver removes at the same time is no error. REQUIRES: segment `end`
// exists.
absl::Status RemoveOldSegments(FileSystem* files, const std::string& directory, uint64_t end,
                               uint64_t kept_bytes);

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_JOURNAL_SEGMENT_FILES_H_
