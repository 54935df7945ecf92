// How much memory a batch may need, and how much an offset of a partition costs of it. Costs are
// estimates: what a source says of the records that it has fetched, what the last batches have
// read, and how much output sinks held for each byte of input. Larger ones are believed at once,
// smaller ones slowly, since a batch that is too small costs little and one that is too large an
// epoch. Pure; thread-compatible.
#ifndef MILLRACE_DRIVER_BATCH_BATCH_SIZER_H_
#define MILLRACE_DRIVER_BATCH_BATCH_SIZER_H_

#include <cstdint>

namespace millrace {

// Bytes that an offset of one partition stands for; 0 = not known yet.
class RecordSize {
 public:
  // By what has been fetched and is read next.
  void Fetched(double bytes_per_offset);
  // A batch has read this much. Records of no bytes (none of their columns is read) count as one
  // byte: that they are small is known.
  void Read(int64_t records, int64_t bytes, int64_t offsets);

  double bytes_per_offset() const;

 private:
  double fetched_ = 0;
  double read_ = 0;
};

class BatchSizer {
 public:
  // What an offset is taken for while nothing is known.
  static constexpr double kUnknownBytes = 16 << 10;

  // What a batch may need on an executor that was given `memory_bytes` (0 = not known), half of
  // them for what its sinks hold: three eighths of that half, so that one batch can wait for its
  // commit while the next one runs, and estimates may be somewhat wrong.
  static int64_t BatchBytes(int64_t memory_bytes);

  // While its sinks hold no more than this, batches may wait for their commit in numbers.
  static int64_t LittleHeldBytes(int64_t memory_bytes);

  double CostPerOffset(const RecordSize& size) const;

  // A batch of so many records and payload bytes made sinks hold so many bytes until its commit.
  // Only one that makes them hold much tells how much larger output is: what is said of a little
  // input (a window that closes, state that expires) is forgotten within some batches.
  void OnBatch(int64_t records, int64_t input_bytes, int64_t held_bytes);

 private:
  double held_per_byte_ = 0;
};

}  // namespace millrace

#endif  // MILLRACE_DRIVER_BATCH_BATCH_SIZER_H_
