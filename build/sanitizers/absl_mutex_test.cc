// Code that is right under absl::Mutex is quiet under ThreadSanitizer, although Debian's Abseil is
// built without it. In the other builds this only shows that the test itself is right.

#include <absl/synchronization/blocking_counter.h>
#include <absl/synchronization/mutex.h>
#include <absl/synchronization/notification.h>
#include <absl/time/time.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

namespace millrace {
namespace {

TEST(AbslMutex, GuardsPlainMemory) {
  absl::Mutex mutex;
  std::string guarded;
  auto append = [&] {
    for (int i = 0; i < 1000; ++i) {
      absl::MutexLock lock(&mutex);
      guarded += "x";
    }
  };
  std::thread a(append);
  std::thread b(append);
  a.join();
  b.join();
  EXPECT_EQ(guarded.size(), 2000u);
}

TEST(AbslMutex, ReadersSeeWhatWritersWrote) {
  absl::Mutex mutex;
  int guarded = 0;
  std::thread writer([&] {
    absl::WriterMutexLock lock(&mutex);
    guarded = 1;
  });
  int seen = 0;
  while (seen == 0) {
    absl::ReaderMutexLock lock(&mutex);
    seen = guarded;
  }
  writer.join();
  EXPECT_EQ(seen, 1);
}

TEST(AbslMutex, ConditionsHandOver) {
  absl::Mutex mutex;
  absl::CondVar changed;
  bool ready = false;
  std::string payload;
  std::thread consumer([&] {
    absl::MutexLock lock(&mutex);
    while (!ready) changed.Wait(&mutex);
    payload += " read";
  });
  {
    absl::MutexLock lock(&mutex);
    payload = "written";
    ready = true;
    changed.SignalAll();
  }
  consumer.join();
  EXPECT_EQ(payload, "written read");
}

TEST(AbslMutex, AwaitAndNotificationHandOver) {
  absl::Mutex mutex;
  absl::Notification done;
  bool ready = false;
  std::string payload;
  std::thread consumer([&] {
    {
      absl::MutexLock lock(&mutex, absl::Condition(&ready));
      payload += " locked";
    }
    mutex.Lock();
    EXPECT_TRUE(mutex.AwaitWithTimeout(absl::Condition(&ready), absl::Seconds(10)));
    mutex.Unlock();
    payload += " awaited";
    done.Notify();
  });
  {
    absl::MutexLock lock(&mutex);
    payload = "written";
    ready = true;
  }
  done.WaitForNotification();
  EXPECT_EQ(payload, "written locked awaited");
  consumer.join();
}

// The predicate runs inside Abseil, in whichever thread unlocks, and reads what the mutex guards.
TEST(AbslMutex, PredicatesMayReadWhatIsGuarded) {
  absl::Mutex mutex;
  std::string guarded;
  std::thread consumer([&] {
    auto is_long = [&] { return guarded.size() >= 100; };
    absl::MutexLock lock(&mutex, absl::Condition(&is_long));
    guarded.clear();
  });
  for (int i = 0; i < 100; ++i) {
    absl::MutexLock lock(&mutex);
    guarded += "x";
  }
  consumer.join();
  EXPECT_EQ(guarded, "");
}

TEST(AbslMutex, BlockingCountersHandOver) {
  absl::BlockingCounter pending(2);
  int results[2] = {0, 0};
  auto work = [&](int i) {
    results[i] = i + 1;
    pending.DecrementCount();
  };
  std::thread a(work, 0);
  std::thread b(work, 1);
  pending.Wait();
  EXPECT_EQ(results[0] + results[1], 3);
  a.join();
  b.join();
}

}  // namespace
}  // namespace millrace
