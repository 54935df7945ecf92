#include "common/storage/store_mark.h"

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/uuid.h"

namespace millrace {
namespace {

// A file of that name may be something else, so at most this much is read.
constexpr int64_t kMostBytes = 64;

}  // namespace

std::string StoreMarkPrefix(const std::string& incarnation, Epoch epoch, std::string_view who) {
  return absl::StrCat(incarnation, "/e", epoch.value(), "-b0-", ToAbsl(who), "-");
}

absl::StatusOr<StoreMark> LeaveMark(CheckpointStore* store, const std::string& prefix) {
  StoreMark mark{.name = absl::StrCat(prefix, NewUuid()), .nonce = NewUuid()};
  RETURN_IF_ERROR(store->Write(mark.name, mark.nonce));
  return mark;
}

absl::StatusOr<std::string> ReadMark(CheckpointStore* store, const std::string& name) {
  return store->ReadRange(name, 0, kMostBytes);
}

absl::Status CheckMark(CheckpointStore* store, const StoreMark& mark) {
  ASSIGN_OR_RETURN(const std::string found, ReadMark(store, mark.name));
  if (found != mark.nonce) {
    return absl::DataLossError(
        absl::StrCat("the file ", mark.name, " does not hold what was written to it"));
  }
  return absl::OkStatus();
}

}  // namespace millrace
