#include "connectors/source.h"

#include "absl/strings/str_cat.h"

namespace millrace {

absl::Status CheckTopicId(const PartitionName& partition, const std::string& before,
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
