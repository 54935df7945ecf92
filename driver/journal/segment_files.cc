#include "driver/journal/segment_files.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "common/base/status.h"

namespace millrace {
namespace {

// 0 = not a segment's name.
uint64_t SegmentNumber(absl::string_view name) {
  uint64_t number = 0;
  const bool is_segment = absl::ConsumePrefix(&name, "journal-") &&
                          absl::ConsumeSuffix(&name, ".log") && absl::SimpleAtoi(name, &number);
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
  std::sort(numbers.begin(), numbers.end());  // names sort otherwise from a million on
  return numbers;
}

absl::StatusOr<uint64_t> LastSegment(FileSystem* files, const std::string& directory) {
  ASSIGN_OR_RETURN(const std::vector<uint64_t> numbers, ListSegments(files, directory));
  return numbers.empty() ? 0 : numbers.back();
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

}  // namespace millrace
