// The files of a journal by name: journal-000001.log, journal-000002.log, … Numbers only rise: that
// a number is taken is what tells a driver that another one has taken over. So files are removed in
// rising order only, and the highest never (docs/exactly-once.md §6). Thread-safe.
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

}  // namespace millrace

#endif  // MILLRACE_DRIVER_JOURNAL_SEGMENT_FILES_H_
