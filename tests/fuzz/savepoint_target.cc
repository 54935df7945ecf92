// The manifest of a savepoint. Its checksum is put right first (snapshot_target.cc says why).
#include <xxhash.h>

#include <cstring>

#include "driver/snapshots/savepoint.h"
#include "tests/fuzz/targets.h"

namespace millrace {
namespace {

constexpr size_t kHashAt = 4;
constexpr size_t kPayloadAt = 12;

}  // namespace

void FuzzSavepoint(std::string_view bytes) {
  std::string manifest(bytes);
  if (manifest.size() >= kPayloadAt) {
    const uint64_t hash = XXH3_64bits(manifest.data() + kPayloadAt, manifest.size() - kPayloadAt);
    std::memcpy(manifest.data() + kHashAt, &hash, sizeof(hash));
  }
  driver::ParseSavepoint(manifest, "place").IgnoreError();
}

std::vector<std::string> SavepointSeeds() {
  proto::Savepoint savepoint;
  savepoint.set_format_version(driver::kSavepointFormatVersion);
  savepoint.set_job_name("job");
  savepoint.add_positions()->set_partition("t/0");
  savepoint.mutable_snapshot()->add_layers()->add_files()->set_name("i/e1-b1-x.state");
  return {driver::SerializeSavepoint(savepoint)};
}

}  // namespace millrace
