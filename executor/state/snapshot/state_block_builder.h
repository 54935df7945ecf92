// Gathers copied entries, a few at a time, into blocks of bounded size. Thread-compatible.
#ifndef MILLRACE_EXECUTOR_STATE_SNAPSHOT_STATE_BLOCK_BUILDER_H_
#define MILLRACE_EXECUTOR_STATE_SNAPSHOT_STATE_BLOCK_BUILDER_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "executor/state/snapshot/state_block.h"

namespace millrace::executor {

class StateBlockBuilder {
 public:
  static constexpr size_t kBlockEntries = 16 << 10;

  explicit StateBlockBuilder(std::string operator_name)
      : operator_name_(std::move(operator_name)) {}

  // Dense rows with hashes, at most kBlockEntries.
  void Add(Batch entries);

  // All blocks, entries in order of their hash (and so of key group) within each; leaves the
  // builder empty.
  std::vector<StateBlock> Take();
  void Clear();

  size_t Bytes() const { return bytes_; }

 private:
  void Finish();

  const std::string operator_name_;
  std::vector<Batch> pieces_;  // pieces of the present block
  size_t rows_ = 0;
  std::vector<StateBlock> blocks_;
  size_t bytes_ = 0;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_STATE_SNAPSHOT_STATE_BLOCK_BUILDER_H_
