#include "driver/journal/segment_files.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "common/base/failpoint.h"
#include "common/base/status.h"

namespace millrace::driver {
namespace {

// At most this many old segments stay: every commit looks at the directory, so it must stay small.
constexpr size_t kMostKept = 100;

// Higher numbers are nobody's: the next one must exist.
constexpr uint64_t kMaxSegment = uint64_t{1} << 62;

// 0 = not a segment's name. Other ways to write the number (journal-2.log) are other files' names:
// a person's copy, say.
uint64_t SegmentNumber(absl::string_view name) {
  uint64_t number = 0;
  absl::string_view digits = name;
  const bool is_segment =
      absl::ConsumePrefix(&digits, "journal-") && absl::ConsumeSuffix(&digits, ".log") &&
      absl::SimpleAtoi(digits, &number) && number < kMaxSegment && name == SegmentName(number);
  return is_segment ? number : 0;
}

}  // namespace

std::string SegmentName(uint64_t number) { return absl::StrFormat("journal-%06d.log", number); }

std::string SegmentPath(const std::string& directory, uint64_t number) {
  return absl::StrCat(directory, "/", SegmentName(number));
}

absl::StatusOr<std::vector<uint64_t>> ListSegments(FileSystem* files,
                                                   const std::string& directory) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, files->List(directory));
  std::vector<uint64_t> numbers;
  for (const std::string& name : names) {
    if (const uint64_t number = SegmentNumber(name); number != 0) {
      numbers.push_back(number);
    }
  }
  std::sort(numbers.begin(),
            numbers.end());  // by number: from a million on, names sort differently
  return numbers;
}

absl::StatusOr<uint64_t> LastSegment(FileSystem* files, const std::string& directory) {
  ASSIGN_OR_RETURN(const std::vector<uint64_t> numbers, ListSegments(files, directory));
  return numbers.empty() ? 0 : numbers.back();
}

absl::Status RemoveOldSegments(FileSystem* files, const std::string& directory, uint64_t end,
                               uint64_t kept_bytes) {
  ASSIGN_OR_RETURN(std::vector<uint64_t> numbers, ListSegments(files, directory));
  std::erase_if(numbers, [end](uint64_t number) { return number >= end; });
  uint64_t bytes = 0;
  for (size_t kept = 0; kept < kMostKept && !numbers.empty(); ++kept) {
    const absl::StatusOr<int64_t> size = files->Size(SegmentPath(directory, numbers.back()));
    if (!absl::IsNotFound(size.status())) {
      RETURN_IF_ERROR(size.status());
      bytes += static_cast<uint64_t>(*size);
    }
    if (bytes > kept_bytes) {
      break;
    }
    numbers.pop_back();
  }
  absl::Status result;
  for (const uint64_t number : numbers) {
    MILLRACE_FAILPOINT("journal.before_removed");
    const absl::Status removed = files->Remove(SegmentPath(directory, number));
    if (!removed.ok() && !absl::IsNotFound(removed)) {
      result.Update(removed);  // this one stays; it must not keep all later ones
      continue;
    }
    RETURN_IF_ERROR(files->SyncDirectory(directory));
    MILLRACE_FAILPOINT("journal.removed");
  }
  return result;
}

absl::StatusOr<bool> SegmentExists(FileSystem* files, const std::string& directory,
                                   uint64_t number) {
  const absl::StatusOr<int64_t> size = files->Size(SegmentPath(directory, number));
  if (absl::IsNotFound(size.status())) {
    return false;
  }
  RETURN_IF_ERROR(size.status());
  return true;
}

}  // namespace millrace::driver
