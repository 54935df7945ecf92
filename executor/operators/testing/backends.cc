#include "executor/operators/testing/backends.h"

#include <utility>

#include "executor/state/store/rocksdb_backend.h"

namespace millrace::executor {

std::unique_ptr<StateBackend> OpenBackend(BackendKind kind) {
  if (kind == BackendKind::kMemory) {
    return nullptr;
  }
  auto backend = OpenRocksdbBackend(
      {.directory = testing::TempDir() + "/state",
       .cache_bytes = kind == BackendKind::kRocksdb ? size_t{0} : size_t{16} << 10,
       .block_cache_bytes = size_t{1} << 20});
  EXPECT_TRUE(backend.ok()) << backend.status();
  return *std::move(backend);
}

std::string BackendName(const testing::TestParamInfo<BackendKind>& info) {
  switch (info.param) {
    case BackendKind::kMemory:
      return "Memory";
    case BackendKind::kRocksdb:
      return "Rocksdb";
    case BackendKind::kRocksdbCaching:
      return "RocksdbCaching";
  }
  return "";
}

}  // namespace millrace::executor
