// Makes absl::Mutex, CondVar, Notification and BlockingCounter visible to ThreadSanitizer.
//
// Debian's Abseil is built without it: a lock taken there orders nothing in its eyes, and
// everything that a mutex guards, gRPC's insides included, would be reported as a race. The
// functions here take precedence over those of libabsl_synchronization.so, for that library's own
// calls too; each calls the one it stands before and says what was handed over: `release` what this
// thread did so far, `acquire` what others released.

#include <absl/synchronization/blocking_counter.h>
#include <absl/synchronization/mutex.h>
#include <absl/synchronization/notification.h>
#include <absl/time/time.h>
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include <cstdio>
#include <cstdlib>
#include <type_traits>

namespace {

// The mutex under which this thread may evaluate conditions, its own or those of waiting threads;
// see Eval().
thread_local absl::Mutex* evaluating_under = nullptr;

class EvaluatingUnder {
 public:
  explicit EvaluatingUnder(absl::Mutex* mutex) : outer_(evaluating_under) {
    evaluating_under = mutex;
  }
  ~EvaluatingUnder() { evaluating_under = outer_; }

 private:
  absl::Mutex* outer_;
};

void* NextSymbol(const char* name) {
  void* symbol = dlsym(RTLD_NEXT, name);
  if (symbol == nullptr) {
    std::fprintf(stderr, "tsan_absl_mutex: %s is gone; Abseil has changed\n", name);
    std::abort();
  }
  return symbol;
}

}  // namespace

// Calls the hidden member function: its mangled name after the namespace, its type with `this`
// first, its arguments.
#define NEXT(name, type, ...)                                                               \
  [&] {                                                                                     \
    static auto* const next =                                                               \
        reinterpret_cast<std::type_identity_t<type>*>(NextSymbol("_ZN4absl7debian3" name)); \
    return next(__VA_ARGS__);                                                               \
  }()
#define NEXT_CONST(name, type, ...)                                                          \
  [&] {                                                                                      \
    static auto* const next =                                                                \
        reinterpret_cast<std::type_identity_t<type>*>(NextSymbol("_ZNK4absl7debian3" name)); \
    return next(__VA_ARGS__);                                                                \
  }()

namespace absl {
ABSL_NAMESPACE_BEGIN

// ---- Taking and leaving ----

void Mutex::Lock() {
  NEXT("5Mutex4LockEv", void(Mutex*), this);
  __tsan_acquire(this);
}

bool Mutex::TryLock() {
  const bool locked = NEXT("5Mutex7TryLockEv", bool(Mutex*), this);
  if (locked) __tsan_acquire(this);
  return locked;
}

void Mutex::Unlock() {
  EvaluatingUnder scope(this);
  __tsan_release(this);
  NEXT("5Mutex6UnlockEv", void(Mutex*), this);
}

void Mutex::ReaderLock() {
  NEXT("5Mutex10ReaderLockEv", void(Mutex*), this);
  __tsan_acquire(this);
}

bool Mutex::ReaderTryLock() {
  const bool locked = NEXT("5Mutex13ReaderTryLockEv", bool(Mutex*), this);
  if (locked) __tsan_acquire(this);
  return locked;
}

void Mutex::ReaderUnlock() {
  EvaluatingUnder scope(this);
  __tsan_release(this);
  NEXT("5Mutex12ReaderUnlockEv", void(Mutex*), this);
}

// ---- Taking when a condition holds. All of them hold the lock when they return, whatever they
// return. ----

void Mutex::LockWhen(const Condition& condition) {
  EvaluatingUnder scope(this);
  NEXT("5Mutex8LockWhenERKNS0_9ConditionE", void(Mutex*, const Condition&), this, condition);
  __tsan_acquire(this);
}

bool Mutex::LockWhenWithTimeout(const Condition& condition, Duration timeout) {
  EvaluatingUnder scope(this);
  const bool held = NEXT("5Mutex19LockWhenWithTimeoutERKNS0_9ConditionENS0_8DurationE",
                         bool(Mutex*, const Condition&, Duration), this, condition, timeout);
  __tsan_acquire(this);
  return held;
}

bool Mutex::LockWhenWithDeadline(const Condition& condition, Time deadline) {
  EvaluatingUnder scope(this);
  const bool held = NEXT("5Mutex20LockWhenWithDeadlineERKNS0_9ConditionENS0_4TimeE",
                         bool(Mutex*, const Condition&, Time), this, condition, deadline);
  __tsan_acquire(this);
  return held;
}

void Mutex::ReaderLockWhen(const Condition& condition) {
  EvaluatingUnder scope(this);
  NEXT("5Mutex14ReaderLockWhenERKNS0_9ConditionE", void(Mutex*, const Condition&), this, condition);
  __tsan_acquire(this);
}

bool Mutex::ReaderLockWhenWithTimeout(const Condition& condition, Duration timeout) {
  EvaluatingUnder scope(this);
  const bool held = NEXT("5Mutex25ReaderLockWhenWithTimeoutERKNS0_9ConditionENS0_8DurationE",
                         bool(Mutex*, const Condition&, Duration), this, condition, timeout);
  __tsan_acquire(this);
  return held;
}

bool Mutex::ReaderLockWhenWithDeadline(const Condition& condition, Time deadline) {
  EvaluatingUnder scope(this);
  const bool held = NEXT("5Mutex26ReaderLockWhenWithDeadlineERKNS0_9ConditionENS0_4TimeE",
                         bool(Mutex*, const Condition&, Time), this, condition, deadline);
  __tsan_acquire(this);
  return held;
}

// ---- Leaving, waiting and taking again ----

void Mutex::Await(const Condition& condition) {
  EvaluatingUnder scope(this);
  __tsan_release(this);
  NEXT("5Mutex5AwaitERKNS0_9ConditionE", void(Mutex*, const Condition&), this, condition);
  __tsan_acquire(this);
}

bool Mutex::AwaitWithTimeout(const Condition& condition, Duration timeout) {
  EvaluatingUnder scope(this);
  __tsan_release(this);
  const bool held = NEXT("5Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE",
                         bool(Mutex*, const Condition&, Duration), this, condition, timeout);
  __tsan_acquire(this);
  return held;
}

bool Mutex::AwaitWithDeadline(const Condition& condition, Time deadline) {
  EvaluatingUnder scope(this);
  __tsan_release(this);
  const bool held = NEXT("5Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE",
                         bool(Mutex*, const Condition&, Time), this, condition, deadline);
  __tsan_acquire(this);
  return held;
}

void CondVar::Wait(Mutex* mutex) {
  EvaluatingUnder scope(mutex);
  __tsan_release(mutex);
  NEXT("7CondVar4WaitEPNS0_5MutexE", void(CondVar*, Mutex*), this, mutex);
  __tsan_acquire(mutex);
}

bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  EvaluatingUnder scope(mutex);
  __tsan_release(mutex);
  const bool expired = NEXT("7CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE",
                            bool(CondVar*, Mutex*, Duration), this, mutex, timeout);
  __tsan_acquire(mutex);
  return expired;
}

bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  EvaluatingUnder scope(mutex);
  __tsan_release(mutex);
  const bool expired = NEXT("7CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE",
                            bool(CondVar*, Mutex*, Time), this, mutex, deadline);
  __tsan_acquire(mutex);
  return expired;
}

// A condition is evaluated with the mutex held, but from inside the functions above, before they
// come to say so, and by whichever thread unlocks.
bool Condition::Eval() const {
  if (evaluating_under != nullptr) __tsan_acquire(evaluating_under);
  const bool holds = NEXT_CONST("9Condition4EvalEv", bool(const Condition*), this);
  if (evaluating_under != nullptr) __tsan_release(evaluating_under);
  return holds;
}

// ---- What looks at an atomic of its own before it takes its mutex ----

namespace {

// HasBeenNotified() is inline and loads this flag where ThreadSanitizer sees it.
void* NotifiedFlag(const Notification* notification) {
  return reinterpret_cast<char*>(const_cast<Notification*>(notification)) + sizeof(Mutex);
}

}  // namespace

void Notification::Notify() {
  __tsan_release(NotifiedFlag(this));
  NEXT("12Notification6NotifyEv", void(Notification*), this);
}

void Notification::WaitForNotification() const {
  NEXT_CONST("12Notification19WaitForNotificationEv", void(const Notification*), this);
  __tsan_acquire(NotifiedFlag(this));
}

bool Notification::WaitForNotificationWithTimeout(Duration timeout) const {
  const bool notified = NEXT_CONST("12Notification30WaitForNotificationWithTimeoutENS0_8DurationE",
                                   bool(const Notification*, Duration), this, timeout);
  if (notified) __tsan_acquire(NotifiedFlag(this));
  return notified;
}

bool Notification::WaitForNotificationWithDeadline(Time deadline) const {
  const bool notified = NEXT_CONST("12Notification31WaitForNotificationWithDeadlineENS0_4TimeE",
                                   bool(const Notification*, Time), this, deadline);
  if (notified) __tsan_acquire(NotifiedFlag(this));
  return notified;
}

bool BlockingCounter::DecrementCount() {
  __tsan_release(this);
  return NEXT("15BlockingCounter14DecrementCountEv", bool(BlockingCounter*), this);
}

void BlockingCounter::Wait() {
  NEXT("15BlockingCounter4WaitEv", void(BlockingCounter*), this);
  __tsan_acquire(this);
}

ABSL_NAMESPACE_END
}  // namespace absl
