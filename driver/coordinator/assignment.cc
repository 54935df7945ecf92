#include "driver/coordinator/assignment.h"

#include <algorithm>
#include <numeric>

#include "common/base/check.h"

namespace millrace::driver {
namespace {

std::vector<uint64_t> Weights(const std::vector<uint32_t>& slots) {
  std::vector<uint64_t> weights(slots.begin(), slots.end());
  for (uint64_t& weight : weights) {
    weight = std::max<uint64_t>(weight, 1);
  }
  return weights;
}

// The number of items for each member: the floor of its exact share, and one more for the members
// with the largest remainders. Among members with equal remainders, the one that already has more
// items comes first, so that fewer items move.
std::vector<size_t> Quotas(const std::vector<uint64_t>& weights, const std::vector<size_t>& held,
                           size_t items) {
  const uint64_t total = std::accumulate(weights.begin(), weights.end(), uint64_t{0});
  std::vector<size_t> quotas(weights.size());
  std::vector<uint64_t> remainders(weights.size());
  size_t given = 0;
  for (size_t m = 0; m < weights.size(); ++m) {
    quotas[m] = items * weights[m] / total;
    remainders[m] = items * weights[m] % total;
    given += quotas[m];
  }
  std::vector<size_t> order(weights.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return remainders[a] != remainders[b] ? remainders[a] > remainders[b] : held[a] > held[b];
  });
  for (size_t i = 0; given < items; ++i, ++given) {
    ++quotas[order[i]];
  }
  return quotas;
}

}  // namespace

std::vector<uint32_t> AssignSticky(const std::vector<uint32_t>& slots,
                                   const std::vector<std::optional<uint32_t>>& previous) {
  MILLRACE_CHECK(!slots.empty());
  const std::vector<uint64_t> weights = Weights(slots);
  std::vector<size_t> held(slots.size());
  for (const std::optional<uint32_t>& member : previous) {
    if (member.has_value()) {
      ++held[*member];
    }
  }
  std::vector<size_t> room = Quotas(weights, held, previous.size());
  std::vector<uint32_t> owners(previous.size());
  std::vector<size_t> homeless;
  for (size_t item = 0; item < previous.size(); ++item) {
    if (previous[item].has_value() && room[*previous[item]] > 0) {
      owners[item] = *previous[item];
      --room[*previous[item]];
    } else {
      homeless.push_back(item);
    }
  }
  // Members take items in turns, rather than each member all of its items at once: neighbouring
  // partitions of a topic spread over the members.
  size_t member = 0;
  for (const size_t item : homeless) {
    while (room[member] == 0) {
      member = (member + 1) % slots.size();
    }
    owners[item] = static_cast<uint32_t>(member);
    --room[member];
    member = (member + 1) % slots.size();
  }
  return owners;
}

uint32_t LeastLoaded(const std::vector<uint32_t>& slots, const std::vector<uint32_t>& counts) {
  MILLRACE_CHECK(!slots.empty() && slots.size() == counts.size());
  const std::vector<uint64_t> weights = Weights(slots);
  size_t best = 0;
  for (size_t m = 1; m < slots.size(); ++m) {
    // counts[m] / weights[m] < counts[best] / weights[best], in integers.
    if (counts[m] * weights[best] < counts[best] * weights[m]) {
      best = m;
    }
  }
  return static_cast<uint32_t>(best);
}

}  // namespace millrace::driver
