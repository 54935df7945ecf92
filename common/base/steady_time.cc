#include "common/base/steady_time.h"

#include <chrono>

#include "absl/time/clock.h"

namespace millrace {
namespace {

// The same moment by both clocks.
struct Anchor {
  absl::Time time_of_day;
  std::chrono::steady_clock::time_point steady;
};

}  // namespace

absl::Time SteadyNow() {
  static const Anchor anchor = {absl::Now(), std::chrono::steady_clock::now()};
  return anchor.time_of_day + absl::FromChrono(std::chrono::steady_clock::now() - anchor.steady);
}

}  // namespace millrace
