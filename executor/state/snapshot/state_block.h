// Entries of an operator's state on their way to a snapshot or back. Plain values.
#ifndef MILLRACE_EXECUTOR_STATE_SNAPSHOT_STATE_BLOCK_H_
#define MILLRACE_EXECUTOR_STATE_SNAPSHOT_STATE_BLOCK_H_

#include <string>

#include "common/columnar/batch.h"

namespace millrace::executor {

// One row per entry. Columns are the operator's keys, then the parts of its state, as its identity
// (StateIdentity.shape) lists them; hashes are those of the keys. Weight +1 (or none): the entry
// has this value now. Weight −1: the entry is gone, and only its keys matter. No key occurs twice.
struct StateBlock {
  std::string operator_name;  // proto::Operator.name
  Batch rows;
  // The block is from a snapshot that kept keys apart which are equal now (jsonb 1 and 1.0).
  bool equal_keys_apart = false;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_STATE_SNAPSHOT_STATE_BLOCK_H_
