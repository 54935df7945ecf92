// Entries of an operator's state on their way to a snapshot or back. Plain values.
#ifndef MILLRACE_EXECUTOR_STATE_STATE_BLOCK_H_
#define MILLRACE_EXECUTOR_STATE_STATE_BLOCK_H_

#include <string>

#include "common/columnar/batch.h"

namespace millrace {

// A row per entry. Columns are the operator's keys, then what its state is made of, as its identity
// (StateIdentity.shape) says; hashes are those of the keys. Weight +1 (or none): the entry is now
// this; −1: it is gone, and only its keys are meant. No key twice.
struct StateBlock {
  std::string operator_name;  // proto::Operator.name
  Batch rows;
  // From a snapshot in which keys that are equal now (jsonb 1 and 1.0) were two.
  bool equal_keys_apart = false;
};

}  // namespace millrace

#endif  // MILLRACE_EXECUTOR_STATE_STATE_BLOCK_H_
