#include "driver/coordinator/sticky_owners.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "driver/coordinator/assignment.h"

namespace millrace::driver {

std::vector<uint32_t> StickyOwners::Assign(const std::vector<uint32_t>& items, size_t count,
                                           const std::vector<OwnerCandidate>& members) {
  owners_.resize(count);
  absl::flat_hash_map<std::string_view, uint32_t> index_of;
  for (uint32_t m = 0; m < members.size(); ++m) {
    index_of[members[m].id.value()] = m;
  }
  std::vector<std::optional<uint32_t>> previous;
  previous.reserve(items.size());
  for (const uint32_t item : items) {
    const auto still = index_of.find(owners_[item].value());
    previous.push_back(still == index_of.end() ? std::nullopt : std::optional(still->second));
  }
  std::vector<uint32_t> slots;
  slots.reserve(members.size());
  for (const OwnerCandidate& member : members) {
    slots.push_back(member.slots);
  }
  std::vector<uint32_t> owners = AssignSticky(slots, previous);
  for (size_t i = 0; i < items.size(); ++i) {
    owners_[items[i]] = members[owners[i]].id;
  }
  return owners;
}

void StickyOwners::Set(uint32_t item, const ExecutorId& owner) {
  owners_.resize(std::max<size_t>(owners_.size(), size_t{item} + 1));
  owners_[item] = owner;
}

}  // namespace millrace::driver
