// What a table still owes to snapshots: a byte per group, so that a cut costs a pass over bytes and
// copies nothing.
//
// A cut, between two batches, makes entries *owed*: all of them, or those that changed since the
// cut before. They are copied little by little; whoever is about to change an entry that is still
// owed copies it first. An entry that goes away although an earlier cut has shown it stays as
// *gone*, found under its key and number, until a snapshot has said so: a key that comes back
// meanwhile is the same group again, so that no snapshot names a key twice.
//
// Thread-compatible. Groups are numbered by the table; calls name groups that have been added and
// not erased.
#ifndef MILLRACE_EXECUTOR_STATE_SNAPSHOT_MARKS_H_
#define MILLRACE_EXECUTOR_STATE_SNAPSHOT_MARKS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace millrace {

class SnapshotMarks {
 public:
  // A new entry, under a number that is not in use.
  void Add(uint32_t group) {
    if (group >= marks_.size()) {
      marks_.resize(group + 1);
    }
    marks_[group] = kThere;
  }
  // The entry is as a snapshot had it.
  void Restore(uint32_t group) { marks_[group] = kThere | kShown; }
  bool restored(uint32_t group) const { return (marks_[group] & kShown) != 0; }

  // The entry has changed. REQUIRES: it is not owed.
  void Change(uint32_t group) { marks_[group] |= kChanged; }

  // The entry goes away. True = no snapshot knows it: erase its group. False = it stays as gone.
  // REQUIRES: it is not owed.
  bool Remove(uint32_t group);
  bool gone(uint32_t group) const { return (marks_[group] & kGone) != 0; }
  size_t gone_count() const { return gone_count_; }
  // The key of a gone entry has come back. REQUIRES: it is gone and not owed.
  void Revive(uint32_t group);
  // The group's number is free again.
  void Erase(uint32_t group);

  bool is_entry(uint32_t group) const { return (marks_[group] & (kThere | kGone)) == kThere; }
  bool owed(uint32_t group) const { return (marks_[group] & kOwed) != 0; }

  // What has changed since the last cut or restore is owed; with `full`, everything there is.
  void Cut(bool full);
  // Whether entries may be owed.
  bool open() const { return next_ < end_; }
  // Appends up to `max` owed groups, which are then no longer owed: copy them now.
  void TakeOwed(size_t max, std::vector<uint32_t>* groups);
  // The same for those that are owed among the listed ones.
  void TakeOwed(const uint32_t* listed, size_t count, std::vector<uint32_t>* groups);

  size_t Bytes() const { return marks_.capacity(); }

 private:
  static constexpr uint8_t kThere = 1;
  static constexpr uint8_t kGone = 2;     // and there
  static constexpr uint8_t kChanged = 4;  // since the last cut
  static constexpr uint8_t kShown = 8;    // the last cut or what was restored has it as an entry
  static constexpr uint8_t kOwed = 16;

  std::vector<uint8_t> marks_;  // by group
  size_t gone_count_ = 0;
  // Of the snapshot under way: which numbers have not been looked at.
  size_t next_ = 0;
  size_t end_ = 0;
};

}  // namespace millrace

#endif  // MILLRACE_EXECUTOR_STATE_SNAPSHOT_MARKS_H_
