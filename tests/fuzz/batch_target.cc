// Encoded batches: shuffle, results, snapshots.
#include "common/columnar/batch_codec.h"
#include "tests/fuzz/sample_rows.h"
#include "tests/fuzz/targets.h"

namespace millrace {

void FuzzBatch(std::string_view bytes) {
  const absl::StatusOr<Batch> batch = DecodeBatch(bytes);
  if (batch.ok()) {
    UseRows(*batch);
  }
}

std::vector<std::string> BatchSeeds() {
  const Batch sample = SampleRows();
  std::vector<std::string> seeds(1);
  EncodeBatch(sample, &seeds[0]);
  // Small ones of a column each, which a fuzzer changes sooner to something that matters.
  for (const ColumnPtr& column : sample.columns()) {
    EncodeBatch(Batch({column}, sample.physical_rows()), &seeds.emplace_back());
  }
  return seeds;
}

}  // namespace millrace
