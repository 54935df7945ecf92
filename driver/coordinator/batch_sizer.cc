#include "driver/coordinator/batch_sizer.h"

#include <algorithm>

namespace millrace::driver {
namespace {

constexpr int64_t kAssumedMemoryBytes = int64_t{512} << 20;
constexpr int64_t kLeastBatchBytes = 64 << 10;
constexpr int64_t kLittleHeldBytes = 16 << 20;
// A batch whose sinks hold less than this says nothing about the ratio of output to input: it is
// far from any limit.
constexpr int64_t kTellingBytes = 1 << 20;

int64_t Known(int64_t memory_bytes) {
  return memory_bytes > 0 ? memory_bytes : kAssumedMemoryBytes;
}

double Follow(double estimate, double seen) {
  return seen >= estimate ? seen : 0.7 * estimate + 0.3 * seen;
}

}  // namespace

void RecordSize::Fetched(double bytes_per_offset) {
  if (bytes_per_offset > 0) {
    fetched_ = bytes_per_offset;
  }
}

void RecordSize::Read(int64_t records, int64_t bytes, int64_t offsets) {
  if (offsets <= 0 || (records == 0 && read_ == 0)) {
    return;
  }
  const int64_t least = records > 0 ? std::max(bytes, records) : offsets;
  read_ = Follow(read_, static_cast<double>(least) / static_cast<double>(offsets));
}

double RecordSize::bytes_per_offset() const { return std::max(fetched_, read_); }

int64_t BatchSizer::BatchBytes(int64_t memory_bytes) {
  return std::max(Known(memory_bytes) / 16 * 3, kLeastBatchBytes);
}

int64_t BatchSizer::LittleHeldBytes(int64_t memory_bytes) {
  return std::min(Known(memory_bytes) / 32, kLittleHeldBytes);
}

double BatchSizer::CostPerOffset(const RecordSize& size) const {
  const double known = size.bytes_per_offset();
  return (known > 0 ? known : kUnknownBytes) * std::max(held_per_byte_, 1.0);
}

void BatchSizer::OnBatch(int64_t records, int64_t input_bytes, int64_t held_bytes) {
  if (records == 0) {
    return;
  }
  if (held_bytes < kTellingBytes) {
    held_per_byte_ /= 2;
    return;
  }
  held_per_byte_ = Follow(held_per_byte_, static_cast<double>(held_bytes) /
                                              static_cast<double>(std::max(input_bytes, records)));
}

}  // namespace millrace::driver
