// Pauses that double each time their cause comes again, up to a longest one. Pure.
#ifndef MILLRACE_DRIVER_COORDINATOR_DOUBLING_PAUSE_H_
#define MILLRACE_DRIVER_COORDINATOR_DOUBLING_PAUSE_H_

#include <algorithm>
#include <cstdint>

namespace millrace::driver {

// `again`: 0 for the first pause.
inline int64_t DoublingPauseUs(int64_t first_us, int again, int64_t longest_us) {
  constexpr int kMaxDoublings = 20;
  return std::min(first_us << std::clamp(again, 0, kMaxDoublings), longest_us);
}

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_COORDINATOR_DOUBLING_PAUSE_H_
