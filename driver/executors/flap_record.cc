#include "driver/executors/flap_record.h"

#include <algorithm>

#include "driver/coordinator/doubling_pause.h"

namespace millrace::driver {
namespace {

std::string WithoutProcess(const std::string& name) {
  const size_t colon = name.rfind(':');
  const bool ends_in_number = colon != std::string::npos && colon + 1 < name.size() &&
                              name.find_first_not_of("0123456789", colon + 1) == std::string::npos;
  return ends_in_number ? name.substr(0, colon) : name;
}

}  // namespace

void FlapRecord::Lost(const std::string& name, Loss loss, int64_t joined_us, int64_t now_us) {
  Forget(now_us);
  const std::string process_free = WithoutProcess(name);
  const bool silent = loss == Loss::kSilent;
  const bool together = silent && FellSilentTogether(process_free, now_us);
  const bool counted = now_us - joined_us <= kSoonUs && !together;
  if (!counted && !silent) {
    return;
  }
  Losses& losses = losses_[process_free];
  losses.count += counted ? 1 : 0;
  losses.last_us = now_us;
  losses.last_counted = counted;
  losses.last_silent = silent;
}

bool FlapRecord::FellSilentTogether(const std::string& name, int64_t now_us) {
  bool together = false;
  for (auto& [other, losses] : losses_) {
    if (other == name || !losses.last_silent || now_us - losses.last_us > kTogetherUs) {
      continue;
    }
    together = true;
    losses.count -= losses.last_counted ? 1 : 0;
    losses.last_counted = false;
  }
  return together;
}

int64_t FlapRecord::QuarantinedUntil(const std::string& name, int64_t now_us) const {
  const auto found = losses_.find(WithoutProcess(name));
  if (found == losses_.end() || found->second.count < kTimes ||
      now_us - found->second.last_us >= kForgottenUs) {
    return 0;
  }
  const int64_t until =
      found->second.last_us +
      DoublingPauseUs(kFirstQuarantineUs, found->second.count - kTimes, kLongestQuarantineUs);
  return until > now_us ? until : 0;
}

int FlapRecord::LossesOf(const std::string& name) const {
  const auto found = losses_.find(WithoutProcess(name));
  return found == losses_.end() ? 0 : found->second.count;
}

void FlapRecord::Forget(int64_t now_us) {
  std::erase_if(losses_, [now_us](const auto& entry) {
    return now_us - entry.second.last_us >= kForgottenUs;
  });
}

}  // namespace millrace::driver
