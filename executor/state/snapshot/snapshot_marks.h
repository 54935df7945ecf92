// Keeps track of the entries that a table still has to copy for a snapshot: a byte per group, so
// that a cut costs a pass over bytes and copies nothing.
//
// A cut, between two batches, makes entries *owed*: all of them, or those that changed since the
// cut before. They are copied little by little; a batch that is about to change an entry that is
// still owed copies it first. If an entry is removed that an earlier cut had, its group stays as
// *gone*, found under its key and number, until a snapshot has recorded the removal. A key that
// comes back before that is the same group again, so that no snapshot names a key twice.
//
// Thread-compatible. The table numbers the groups. REQUIRES: calls name groups that have been added
// and not erased.
#ifndef MILLRACE_EXECUTOR_STATE_SNAPSHOT_SNAPSHOT_MARKS_H_
#define MILLRACE_EXECUTOR_STATE_SNAPSHOT_SNAPSHOT_MARKS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace millrace::executor {

class SnapshotMarks {
 public:
  // Adds an entry under a number that is not in use.
  void Add(uint32_t group) {
    if (group >= marks_.size()) {
      marks_.resize(group + 1);
    }
    marks_[group] = kThere;
  }
  // Adds an entry that a snapshot has restored.
  void Restore(uint32_t group) { marks_[group] = kThere | kShown; }
  bool restored(uint32_t group) const { return (marks_[group] & kShown) != 0; }

  // Notes that the entry has changed. REQUIRES: it is not owed.
  void Change(uint32_t group) { marks_[group] |= kChanged; }

  // Removes the entry. True = no snapshot knows it: erase its group. False = it stays as gone.
  // REQUIRES: it is not owed.
  bool Remove(uint32_t group);
  bool gone(uint32_t group) const { return (marks_[group] & kGone) != 0; }
  size_t gone_count() const { return gone_count_; }
  // Makes a gone entry present again, since its key has come back. REQUIRES: it is gone and not
  // owed.
  void Revive(uint32_t group);
  // Forgets the group; its number may be used again.
  void Erase(uint32_t group);

  bool is_entry(uint32_t group) const { return (marks_[group] & (kThere | kGone)) == kThere; }
  bool owed(uint32_t group) const { return (marks_[group] & kOwed) != 0; }

  // Makes the entries owed that changed since the last cut or restore; with `full`, all entries.
  void Cut(bool full);
  // Whether entries may be owed.
  bool open() const { return next_ < end_; }
  // Appends up to `max` owed groups, which are then no longer owed: the caller copies them at once.
  void TakeOwed(size_t max, std::vector<uint32_t>* groups);
  // Appends those of the listed groups that are owed, likewise.
  void TakeOwed(const uint32_t* listed, size_t count, std::vector<uint32_t>* groups);

  size_t Bytes() const { return marks_.capacity(); }

 private:
  static constexpr uint8_t kThere = 1;
  static constexpr uint8_t kGone = 2;     // the entry exists
  static constexpr uint8_t kChanged = 4;  // changed since the last cut
  static constexpr uint8_t kShown = 8;  // the last cut or the restored snapshot has it as an entry
  static constexpr uint8_t kOwed = 16;

  std::vector<uint8_t> marks_;  // by group
  size_t gone_count_ = 0;
  // The range of numbers that the snapshot in progress has not looked at yet.
  size_t next_ = 0;
  size_t end_ = 0;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_STATE_SNAPSHOT_SNAPSHOT_MARKS_H_
