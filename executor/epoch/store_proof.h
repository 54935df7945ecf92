// Proof to the driver that this executor sees the snapshot directory which the driver uses: what
// the driver's mark there holds, and a mark of this executor's that the driver reads
// (common/storage/store_mark.h).
#ifndef MILLRACE_EXECUTOR_EPOCH_STORE_PROOF_H_
#define MILLRACE_EXECUTOR_EPOCH_STORE_PROOF_H_

#include <string>

#include "absl/status/statusor.h"
#include "common/storage/checkpoint_store.h"
#include "common/storage/store_mark.h"
#include "executor/epoch/epoch_layout.h"

namespace millrace::executor {

struct StoreProof {
  std::string nonce;
  StoreMark answer;
};

// Reads the epoch's mark and leaves the answer; blocks as the store does. Errors name the
// directory; NOT_FOUND: the mark is not there. REQUIRES: the epoch has a mark, and the store makes
// no directories, since a missing one means that something is not mounted.
absl::StatusOr<StoreProof> ProveStore(CheckpointStore* store, const EpochLayout& layout);

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_EPOCH_STORE_PROOF_H_
