#include "driver/coordinator/split_planner.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>

namespace millrace::driver {
namespace {

int64_t ScaleDown(int64_t value, int64_t numerator, int64_t denominator) {
  return static_cast<int64_t>(static_cast<__int128>(value) * numerator / denominator);
}

int64_t BytesOf(int64_t offsets, double bytes_per_offset) {
  constexpr double kMost = 1e15;  // a sum of many such values does not overflow
  return static_cast<int64_t>(
      std::min(std::ceil(static_cast<double>(offsets) * bytes_per_offset), kMost));
}

// Cuts the shares of some partitions, all of one owner, to `bytes` together.
void CutOwner(const std::vector<SplitDemand>& demands, const std::vector<size_t>& partitions,
              int64_t bytes, SplitShares* shares) {
  std::vector<SplitDemand> in_bytes;
  size_t largest = partitions.front();
  int64_t total = 0;
  for (const size_t i : partitions) {
    in_bytes.push_back({.lag = BytesOf(shares->offsets[i], demands[i].bytes_per_offset)});
    total += in_bytes.back().lag;
    largest = shares->offsets[i] > shares->offsets[largest] ? i : largest;
  }
  if (total <= bytes) {
    return;
  }
  const SplitShares cut = ShareBudget(in_bytes, bytes);
  int64_t left = 0;
  for (size_t p = 0; p < partitions.size(); ++p) {
    const size_t i = partitions[p];
    if (demands[i].bytes_per_offset > 0) {
      const auto fitting =
          static_cast<int64_t>(static_cast<double>(cut.offsets[p]) / demands[i].bytes_per_offset);
      shares->offsets[i] = std::min(shares->offsets[i], fitting);
    }
    left += shares->offsets[i];
  }
  if (left == 0) {
    shares->offsets[largest] = 1;
  }
  shares->cut_by_budget = true;
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
  // Hands out what rounding left over.
  for (size_t i = 0; i < demands.size() && left > 0; ++i) {
    const int64_t more = std::min(left, wanted[i] - offsets[i]);
    offsets[i] += more;
    left -= more;
  }
  return shares;
}

SplitShares CutToBytes(const std::vector<SplitDemand>& demands,
                       const std::vector<int64_t>& bytes_of_owner, SplitShares shares) {
  std::vector<std::vector<size_t>> of_owner(bytes_of_owner.size());
  for (size_t i = 0; i < demands.size(); ++i) {
    if (shares.offsets[i] > 0) {
      of_owner[demands[i].owner].push_back(i);
    }
  }
  for (size_t owner = 0; owner < of_owner.size(); ++owner) {
    if (!of_owner[owner].empty()) {
      CutOwner(demands, of_owner[owner], bytes_of_owner[owner], &shares);
    }
  }
  return shares;
}

}  // namespace millrace::driver
