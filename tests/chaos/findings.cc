#include "tests/chaos/findings.h"

#include <numeric>

namespace millrace::chaos {

const char* FaultName(Fault fault) {
  switch (fault) {
    case Fault::kLost:
      return "lost";
    case Fault::kDuplicated:
      return "duplicated";
    case Fault::kRegressed:
      return "regressed";
    case Fault::kWrong:
      return "wrong";
  }
  return "?";
}

void Findings::Add(Fault fault, const std::string& text, int64_t times) {
  const size_t index = static_cast<size_t>(fault);
  counts_[index] += times;
  if (listener_ != nullptr && told_[index]++ < kTold) {
    listener_(fault, text);
  }
}

int64_t Findings::total() const {
  return std::accumulate(counts_.begin(), counts_.end(), int64_t{0});
}

}  // namespace millrace::chaos
