#include "executor/state/snapshot/snapshot_marks.h"

#include <cstring>

namespace millrace::executor {

bool SnapshotMarks::Remove(uint32_t group) {
  if ((marks_[group] & kShown) == 0) {
    return true;
  }
  marks_[group] |= kGone | kChanged;
  ++gone_count_;
  return false;
}

void SnapshotMarks::Revive(uint32_t group) {
  marks_[group] &= static_cast<uint8_t>(~kGone);
  --gone_count_;
}

void SnapshotMarks::Erase(uint32_t group) {
  gone_count_ -= gone(group) ? 1 : 0;
  marks_[group] = 0;
}

void SnapshotMarks::Cut(bool full) {
  // No branches, so that the compiler vectorises the loop: a table may have many millions of
  // groups.
  static_assert(kThere << 4 == kOwed && kChanged << 2 == kOwed && kThere << 3 == kShown &&
                kGone << 2 == kShown);
  const int owed_from = full ? kThere : kChanged;
  const int owed_shift = full ? 4 : 2;
  for (uint8_t& mark : marks_) {
    int owed = (mark & owed_from) << owed_shift;
    int shown = ((mark & kThere) << 3) & ~((mark & kGone) << 2);
    mark = static_cast<uint8_t>((mark & (kThere | kGone)) | owed | shown);
  }
  next_ = 0;
  end_ = marks_.size();
}

void SnapshotMarks::TakeOwed(size_t max, std::vector<uint32_t>* groups) {
  constexpr uint64_t kEightOwed = 0x0101010101010101 * kOwed;
  for (size_t taken = 0; next_ < end_ && taken < max;) {
    uint64_t eight = 0;
    if (next_ % sizeof(eight) == 0 && next_ + sizeof(eight) <= end_) {
      std::memcpy(&eight, &marks_[next_], sizeof(eight));
      if ((eight & kEightOwed) == 0) {
        next_ += sizeof(eight);
        continue;
      }
    }
    if ((marks_[next_] & kOwed) != 0) {
      marks_[next_] &= static_cast<uint8_t>(~kOwed);
      groups->push_back(static_cast<uint32_t>(next_));
      ++taken;
    }
    ++next_;
  }
}

void SnapshotMarks::TakeOwed(const uint32_t* listed, size_t count, std::vector<uint32_t>* groups) {
  for (size_t i = 0; i < count; ++i) {
    if (owed(listed[i])) {
      marks_[listed[i]] &= static_cast<uint8_t>(~kOwed);
      groups->push_back(listed[i]);
    }
  }
}

}  // namespace millrace::executor
