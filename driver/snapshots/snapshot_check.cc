#include "driver/snapshots/snapshot_check.h"

#include <xxhash.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace millrace::driver {
namespace {

constexpr int64_t kPieceBytes = 4 << 20;

absl::Status Broken(const proto::SnapshotFile& file, const std::string& how) {
  return absl::DataLossError(absl::StrCat("snapshot file ", file.name(), " ", how));
}

}  // namespace

absl::Status CheckSnapshotFile(CheckpointStore* store, const proto::SnapshotFile& file,
                               const std::stop_token& stop) {
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> hash(XXH3_createState(),
                                                                      &XXH3_freeState);
  XXH3_64bits_reset(hash.get());
  uint64_t bytes = 0;
  // Reads a piece beyond the expected length, so that a file that is too long is found.
  while (bytes <= file.bytes()) {
    if (stop.stop_requested()) {
      return absl::CancelledError("the driver is going down");
    }
    const absl::StatusOr<std::string> piece =
        store->ReadRange(file.name(), static_cast<int64_t>(bytes), kPieceBytes);
    if (absl::IsNotFound(piece.status())) {
      return Broken(file, absl::StrCat("is gone: ", piece.status().message()));
    }
    RETURN_IF_ERROR(Annotate(piece.status(), absl::StrCat("snapshot file ", file.name())));
    if (piece->empty()) {
      break;
    }
    XXH3_64bits_update(hash.get(), piece->data(), piece->size());
    bytes += piece->size();
  }
  if (bytes != file.bytes()) {
    return Broken(file, absl::StrCat("has ", bytes < file.bytes() ? "" : "at least ", bytes,
                                     " bytes instead of ", file.bytes()));
  }
  if (XXH3_64bits_digest(hash.get()) != file.checksum()) {
    return Broken(file, "has other bytes than were written: its checksum is wrong");
  }
  return absl::OkStatus();
}

}  // namespace millrace::driver
