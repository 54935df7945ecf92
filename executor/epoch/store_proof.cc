#include "executor/epoch/store_proof.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace millrace::executor {
namespace {

absl::StatusOr<StoreProof> AnswerMark(CheckpointStore* store, const EpochLayout& layout) {
  absl::StatusOr<std::string> nonce = ReadMark(store, layout.store_mark);
  if (absl::IsNotFound(nonce.status())) {
    return absl::NotFoundError(
        absl::StrCat(nonce.status().message(),
                     ", which the driver has just written: this executor sees another "
                     "directory there; mount the one that the driver uses"));
  }
  RETURN_IF_ERROR(nonce.status());
  ASSIGN_OR_RETURN(StoreMark answer, LeaveMark(store, StoreMarkPrefix(layout.incarnation.value(),
                                                                      layout.epoch, "executor")));
  return StoreProof{.nonce = *std::move(nonce), .answer = std::move(answer)};
}

}  // namespace

absl::StatusOr<StoreProof> ProveStore(CheckpointStore* store, const EpochLayout& layout) {
  absl::StatusOr<StoreProof> proof = AnswerMark(store, layout);
  if (!proof.ok()) {
    return Annotate(proof.status(), absl::StrCat("snapshot directory ", layout.snapshot_location));
  }
  return proof;
}

}  // namespace millrace::executor
