#include "connectors/source.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace millrace {
namespace {

// The position of "#3" at the end of a name; npos if the name has no such end.
size_t LifeNumberAt(const PartitionName& name) {
  const size_t mark = name.rfind('#');
  const bool numbered = mark != std::string::npos && mark > 0 && mark + 1 < name.size() &&
                        std::all_of(name.begin() + static_cast<ptrdiff_t>(mark) + 1, name.end(),
                                    [](char c) { return absl::ascii_isdigit(c); });
  return numbered ? mark : std::string::npos;
}

}  // namespace

PartitionName FirstLife(const PartitionName& name) { return name.substr(0, LifeNumberAt(name)); }

PartitionName NextLife(const PartitionName& name) {
  const size_t mark = LifeNumberAt(name);
  int64_t number = 1;
  if (mark != std::string::npos && !absl::SimpleAtoi(name.substr(mark + 1), &number)) {
    return absl::StrCat(name, "#2");
  }
  return absl::StrCat(name.substr(0, mark), "#", number + 1);
}

absl::Status CheckIdentity(const PartitionName& partition, const std::string& before,
                           const std::string& now) {
  if (before.empty() || now.empty() || before == now) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "the topic of partition ", partition, " was deleted and created again (id ", before, " → ",
      now,
      "): its offsets mean other records now; cancel the job, or submit it under another name"));
}

}  // namespace millrace
