// Marks: small files by which two processes prove to each other that they see the same store. Each
// writes one under a name and with contents that nobody can guess, and the other reads it. A
// directory of the same path on another machine, an empty mount point or an old copy does not have
// the file.
//
// Functions are stateless; they block as the store does.
#ifndef MILLRACE_COMMON_STORAGE_STORE_MARK_H_
#define MILLRACE_COMMON_STORAGE_STORE_MARK_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/ids.h"
#include "common/storage/checkpoint_store.h"

namespace millrace {

struct StoreMark {
  std::string name;   // name of the file
  std::string nonce;  // its contents
};

// The prefix of the names of an epoch's marks in the job's directory. It looks like that of
// snapshot files of the epoch's batch 0, so that marks that were left behind are removed with old
// snapshots.
std::string StoreMarkPrefix(const std::string& incarnation, Epoch epoch, std::string_view who);

// Writes a mark whose name begins with `prefix`. Errors are the store's.
absl::StatusOr<StoreMark> LeaveMark(CheckpointStore* store, const std::string& prefix);

// The contents of the mark. NOT_FOUND: there is no file of that name.
absl::StatusOr<std::string> ReadMark(CheckpointStore* store, const std::string& name);

// OK if the store has this mark. NOT_FOUND or DATA_LOSS otherwise; other errors are the store's.
absl::Status CheckMark(CheckpointStore* store, const StoreMark& mark);

}  // namespace millrace

#endif  // MILLRACE_COMMON_STORAGE_STORE_MARK_H_
