// Decides how many records a source task reads at once: so many that its operators make no more
// than some megabytes of them. A chunk is whole in memory before a sink can refuse it as too much.
// Pure; thread-compatible.
#ifndef MILLRACE_EXECUTOR_EPOCH_CHUNK_SIZER_H_
#define MILLRACE_EXECUTOR_EPOCH_CHUNK_SIZER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace millrace::executor {

class ChunkSizer {
 public:
  static constexpr size_t kMostRows = 4096;  // columns of a chunk then fit into a core's cache
  static constexpr size_t kFirstRows = 256;
  static constexpr int64_t kBytes = 8 << 20;

  size_t rows() const { return rows_; }

  // Learns that a chunk of so many records became so many bytes.
  void OnChunk(size_t rows, int64_t bytes) {
    if (rows == 0) {
      return;
    }
    const int64_t per_row = std::max<int64_t>(bytes / static_cast<int64_t>(rows), 1);
    const auto fitting = static_cast<size_t>(std::max<int64_t>(kBytes / per_row, 1));
    rows_ = std::min({fitting, rows_ * 4, kMostRows});
  }

 private:
  size_t rows_ = kFirstRows;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_EPOCH_CHUNK_SIZER_H_
