#include "common/base/monotonic_cond_var.h"

#include <gtest/gtest.h>

#include <thread>

namespace millrace {
namespace {

TEST(MonotonicCondVarTest, ASignalEndsAWait) {
  absl::Mutex mutex;
  MonotonicCondVar changed;
  bool asked = false;
  bool answered = false;
  std::thread other([&] {
    absl::MutexLock lock(&mutex);
    while (!asked) {
      changed.Wait(&mutex);
    }
    answered = true;
    changed.SignalAll();
  });
  {
    absl::MutexLock lock(&mutex);
    asked = true;
    changed.SignalAll();
    while (!answered) {
      EXPECT_FALSE(changed.WaitFor(&mutex, absl::InfiniteDuration()));
    }
  }
  other.join();
}

TEST(MonotonicCondVarTest, AWaitWithoutASignalTimesOut) {
  absl::Mutex mutex;
  MonotonicCondVar changed;
  absl::MutexLock lock(&mutex);
  EXPECT_TRUE(changed.WaitFor(&mutex, -absl::InfiniteDuration()));
  while (!changed.WaitFor(&mutex, absl::Milliseconds(1))) {
    // woken for no reason
  }
}

}  // namespace
}  // namespace millrace
