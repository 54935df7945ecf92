// The back ends of keyed state that tests are run over.
#ifndef MILLRACE_EXECUTOR_OPERATORS_TESTING_BACKENDS_H_
#define MILLRACE_EXECUTOR_OPERATORS_TESTING_BACKENDS_H_

#include <memory>
#include <string>

#include "executor/state/store/state_store.h"
#include "gtest/gtest.h"

namespace millrace::executor {

enum class BackendKind {
  kMemory,
  kRocksdb,         // keeps no group in memory beyond a batch
  kRocksdbCaching,  // keeps a few groups: some are found in memory, some are not
};

// In a directory of the test's. Null for memory.
std::unique_ptr<StateBackend> OpenBackend(BackendKind kind);

// For tests over all of them.
class BackendTest : public testing::TestWithParam<BackendKind> {
 protected:
  StateBackend* backend() { return backend_.get(); }

 private:
  const std::unique_ptr<StateBackend> backend_ = OpenBackend(GetParam());
};
std::string BackendName(const testing::TestParamInfo<BackendKind>& info);
inline auto AllBackends() {
  return testing::Values(BackendKind::kMemory, BackendKind::kRocksdb, BackendKind::kRocksdbCaching);
}

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_OPERATORS_TESTING_BACKENDS_H_
