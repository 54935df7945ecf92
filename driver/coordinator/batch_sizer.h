// How much memory a batch may need, and how much of it an offset of a partition costs. Costs are
// estimates from three sources: what a connector says of the records that it has fetched, what the
// last batches have read, and how many bytes of output the sinks held for each byte of input. A
// larger estimate is believed at once and a smaller one only slowly: a batch that is too small
// costs little, one that is too large costs an epoch. Pure; thread-compatible.
#ifndef MILLRACE_DRIVER_COORDINATOR_BATCH_SIZER_H_
#define MILLRACE_DRIVER_COORDINATOR_BATCH_SIZER_H_

#include <cstdint>

namespace millrace::driver {

// How many bytes an offset of one partition stands for; 0 = not known yet.
class RecordSize {
 public:
  // Learns from records that were fetched and will be read next.
  void Fetched(double bytes_per_offset);
  // Learns from what a batch has read. A record of no bytes (the query reads none of its columns)
  // counts as one byte: a size that is known to be small must differ from 0, which means unknown.
  // Offsets without any record, such as those of a file in the middle of a long line, are as small
  // once a size is known, and before that they say nothing.
  void Read(int64_t records, int64_t bytes, int64_t offsets);

  double bytes_per_offset() const;

 private:
  double fetched_ = 0;
  double read_ = 0;
};

class BatchSizer {
 public:
  // The assumed size of an offset while nothing is known.
  static constexpr double kUnknownBytes = 16 << 10;

  // How many bytes a batch may need on an executor that was given `memory_bytes` (0 = not known).
  // Half of an executor's memory is for output that sinks hold; a batch may need three eighths of
  // that half, so that one batch can wait for its commit while the next one runs, and estimates may
  // be somewhat wrong.
  static int64_t BatchBytes(int64_t memory_bytes);

  // While an executor's sinks hold no more than this, more than two batches may wait for their
  // commit.
  static int64_t LittleHeldBytes(int64_t memory_bytes);

  double CostPerOffset(const RecordSize& size) const;

  // Learns from a batch: it read so many records and payload bytes, and its sinks held so many
  // bytes until the commit. Only a batch whose sinks held much tells how much larger output is than
  // input: what is learnt from a batch with little input (a window that closes, state that expires)
  // is forgotten within some batches.
  void OnBatch(int64_t records, int64_t input_bytes, int64_t held_bytes);

 private:
  double held_per_byte_ = 0;
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_COORDINATOR_BATCH_SIZER_H_
