#include "driver/batch/sticky_owners.h"

#include <algorithm>
#include <optional>

#include "driver/batch/assignment.h"

namespace millrace {

std::vector<uint32_t> StickyOwners::Assign(const std::vector<uint32_t>& items, size_t count,
                                           const std::vector<OwnerCandidate>& members) {
  owners_.resize(count);
  std::vector<std::optional<uint32_t>> previous;
  previous.reserve(items.size());
  for (const uint32_t item : items) {
    const auto still = std::find_if(members.begin(), members.end(),
                                    [&](const auto& member) { return member.id == owners_[item]; });
    std::optional<uint32_t>& owner = previous.emplace_back();
    if (still != members.end()) {
      owner = static_cast<uint32_t>(still - members.begin());
    }
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

}  // namespace millrace
