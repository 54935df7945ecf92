#include "connectors/held_memory.h"

#include "absl/strings/str_cat.h"
#include "common/base/failure_kind.h"
#include "common/base/status.h"
#include "common/base/units.h"

namespace millrace {

bool HeldMemory::TryAdd(int64_t bytes) {
  int64_t held = bytes_.load(std::memory_order_relaxed);
  do {
    if (held + bytes > limit_bytes_) {
      return false;
    }
  } while (!bytes_.compare_exchange_weak(held, held + bytes, std::memory_order_relaxed));
  return true;
}

absl::Status HeldMemory::Take(int64_t bytes, std::string_view holder) {
  const int64_t own = bytes_.load(std::memory_order_relaxed);
  if (executor_ != nullptr ? executor_->TryAdd(bytes) : TryAdd(bytes)) {
    if (executor_ != nullptr) {
      bytes_.fetch_add(bytes, std::memory_order_relaxed);
    }
    return absl::OkStatus();
  }
  if (own + bytes <= limit_bytes_ / 2) {
    return WithFailureKind(
        absl::UnavailableError(
            absl::StrCat(ToAbsl(holder), " has no room for ", FormatBytes(bytes),
                         ": writers of other jobs hold most of the ", FormatBytes(limit_bytes_),
                         " that this executor has for rows that wait for their commit (--memory)")),
        FailureKind::kEnvironment);
  }
  return WithFailureKind(
      absl::ResourceExhaustedError(absl::StrCat(
          ToAbsl(holder), " would hold ", FormatBytes(bytes), " more until commit; the job holds ",
          FormatBytes(own), " here, and the executor has ", FormatBytes(limit_bytes_),
          " for that (--memory); make batches smaller")),
      FailureKind::kTooLarge);
}

void HeldMemory::Return(int64_t bytes) {
  bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  if (executor_ != nullptr) {
    executor_->bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  }
}

}  // namespace millrace
