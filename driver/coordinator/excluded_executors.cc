#include "driver/coordinator/excluded_executors.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "driver/coordinator/doubling_pause.h"

namespace millrace::driver {

ExcludedExecutors::ExcludedExecutors(int64_t first_us, int64_t longest_us)
    : first_us_(first_us), longest_us_(longest_us) {}

std::string ExcludedExecutors::Exclude(const ExecutorId& id, const std::string& name,
                                       const std::string& words, int64_t now_us) {
  Excluded& excluded = excluded_[id];
  excluded.until_us = now_us + DoublingPauseUs(first_us_, excluded.times++, longest_us_);
  excluded.why = absl::StrCat("executor ", name, ": ", words);
  return excluded.why;
}

void ExcludedExecutors::KeepLive(const std::vector<MembersChanged::Member>& live) {
  std::erase_if(excluded_, [&](const auto& entry) {
    return std::none_of(live.begin(), live.end(),
                        [&](const auto& one) { return one.id == entry.first; });
  });
}

bool ExcludedExecutors::IsExcluded(const ExecutorId& id, int64_t now_us) const {
  const auto found = excluded_.find(id);
  return found != excluded_.end() && found->second.until_us > now_us;
}

}  // namespace millrace::driver
