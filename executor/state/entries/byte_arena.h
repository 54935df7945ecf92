// Memory for text that lives as long as a table: bump allocation, freed all at once. Clear keeps
// the memory for the next batch. Thread-compatible.
#ifndef MILLRACE_EXECUTOR_STATE_ENTRIES_BYTE_ARENA_H_
#define MILLRACE_EXECUTOR_STATE_ENTRIES_BYTE_ARENA_H_

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

namespace millrace::executor {

class ByteArena {
 public:
  ByteArena() = default;
  ByteArena(ByteArena&&) = default;
  ByteArena& operator=(ByteArena&&) = default;

  char* Allocate(size_t bytes) {
    while (current_ < blocks_.size() && blocks_[current_].size - used_ < bytes) {
      ++current_;
      used_ = 0;
    }
    if (current_ == blocks_.size()) {
      size_t size = std::max(bytes, kBlockBytes);
      blocks_.push_back({std::make_unique<char[]>(size), size});
      block_bytes_ += size;
    }
    char* result = blocks_[current_].bytes.get() + used_;
    used_ += bytes;
    allocated_ += bytes;
    return result;
  }

  void Clear() {
    current_ = 0;
    used_ = 0;
    allocated_ = 0;
  }

  size_t allocated() const { return allocated_; }      // bytes allocated since Clear
  size_t block_bytes() const { return block_bytes_; }  // bytes of all blocks

 private:
  static constexpr size_t kBlockBytes = 64 << 10;

  struct Block {
    std::unique_ptr<char[]> bytes;
    size_t size;
  };
  std::vector<Block> blocks_;
  size_t current_ = 0;  // block in use
  size_t used_ = 0;     // bytes used of the current block
  size_t allocated_ = 0;
  size_t block_bytes_ = 0;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_STATE_ENTRIES_BYTE_ARENA_H_
