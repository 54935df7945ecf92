#include "driver/batch/split_planner.h"

#include <algorithm>
#include <numeric>

namespace millrace {
namespace {

int64_t ScaleDown(int64_t value, int64_t numerator, int64_t denominator) {
  return static_cast<int64_t>(static_cast<__int128>(value) * numerator / denominator);
}

}  // namespace

SplitShares ShareBudget(const std::vector<SplitDemand>& demands, int64_t budget) {
  SplitShares shares;
  std::vector<int64_t>& offsets = shares.offsets;
  offsets.resize(demands.size());
  std::vector<int64_t> wanted(demands.size());
  __int128 total = 0;
  int64_t asking = 0;
  for (size_t i = 0; i < demands.size(); ++i) {
    wanted[i] = std::max<int64_t>(std::min(demands[i].lag, demands[i].limit), 0);
    total += wanted[i];
    asking += wanted[i] > 0;
  }
  if (total <= budget) {
    offsets = std::move(wanted);
    return shares;
  }
  shares.cut_by_budget = true;

  const int64_t even = budget / 2 / asking;
  for (size_t i = 0; i < demands.size(); ++i) {
    offsets[i] = std::min(wanted[i], even);
  }
  int64_t left = budget - std::accumulate(offsets.begin(), offsets.end(), int64_t{0});
  // Total demand may exceed 64 bits when ends are unknown; proportions survive being halved.
  __int128 open = 0;
  for (size_t i = 0; i < demands.size(); ++i) {
    open += wanted[i] - offsets[i];
  }
  int shift = 0;
  while ((open >> shift) > INT64_MAX / 2) {
    ++shift;
  }
  const int64_t scaled_open = std::max<int64_t>(static_cast<int64_t>(open >> shift), 1);
  const int64_t by_lag = left;
  for (size_t i = 0; i < demands.size(); ++i) {
    const int64_t rest = wanted[i] - offsets[i];
    const int64_t share = std::min({rest, left, ScaleDown(by_lag, rest >> shift, scaled_open)});
    offsets[i] += share;
    left -= share;
  }
  // What rounding left over.
  for (size_t i = 0; i < demands.size() && left > 0; ++i) {
    const int64_t more = std::min(left, wanted[i] - offsets[i]);
    offsets[i] += more;
    left -= more;
  }
  return shares;
}

}  // namespace millrace
