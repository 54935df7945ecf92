// A random table and its snapshots, compared with plain sets: what layers add up to, and what each
// may name.
#include "executor/state/snapshot/snapshot_marks.h"

#include <map>
#include <optional>
#include <random>

#include "gtest/gtest.h"

namespace millrace::executor {
namespace {

// Keys are small numbers with a value each; groups are handed out as a table does it, the last
// freed first.
class MarkedTable {
 public:
  void Put(int key, int value) {
    auto it = group_of_.find(key);
    if (it == group_of_.end()) {
      uint32_t group = next_;
      if (free_.empty()) {
        ++next_;
      } else {
        group = free_.back();
        free_.pop_back();
      }
      group_of_[key] = group;
      key_of_[group] = key;
      marks_.Add(group);
    } else {
      CopyIfOwed(it->second);
      if (marks_.gone(it->second)) {
        marks_.Revive(it->second);
      }
    }
    values_[key] = value;
    marks_.Change(group_of_[key]);
  }

  void Remove(int key) {
    uint32_t group = group_of_.at(key);
    CopyIfOwed(group);
    values_.erase(key);
    if (marks_.Remove(group)) {
      Erase(group);
    }
  }

  void Cut(bool full) {
    marks_.Cut(full);
    full_ = full;
    layer_.clear();
  }
  bool Continue(size_t max) {
    std::vector<uint32_t> groups;
    marks_.TakeOwed(max, &groups);
    EXPECT_LE(groups.size(), max);
    for (uint32_t group : groups) {
      Copy(group);
      if (marks_.gone(group)) {
        Erase(group);
      }
    }
    return !marks_.open();
  }

  const std::map<int, int>& values() const { return values_; }
  // Value by key; a key without one is gone.
  using Layer = std::map<int, std::optional<int>>;
  const Layer& layer() const { return layer_; }
  size_t groups() const { return group_of_.size(); }
  size_t gone_count() const { return marks_.gone_count(); }

 private:
  void CopyIfOwed(uint32_t group) {
    std::vector<uint32_t> owed;
    marks_.TakeOwed(&group, 1, &owed);
    if (!owed.empty()) {
      Copy(group);
    }
  }
  void Copy(uint32_t group) {
    int key = key_of_.at(group);
    if (marks_.gone(group) && full_) {
      return;
    }
    std::optional<int> value;
    if (!marks_.gone(group)) {
      value = values_.at(key);
    }
    EXPECT_TRUE(layer_.emplace(key, value).second) << "key " << key << " twice in a layer";
  }
  void Erase(uint32_t group) {
    marks_.Erase(group);
    group_of_.erase(key_of_.at(group));
    key_of_.erase(group);
    free_.push_back(group);
  }

  SnapshotMarks marks_;
  std::map<int, int> values_;
  std::map<int, uint32_t> group_of_;
  std::map<uint32_t, int> key_of_;
  std::vector<uint32_t> free_;
  uint32_t next_ = 0;
  bool full_ = false;
  Layer layer_;
};

void Apply(const MarkedTable::Layer& layer, bool full, std::map<int, int>* restored) {
  if (full) {
    restored->clear();
  }
  for (const auto& [key, value] : layer) {
    if (value.has_value()) {
      (*restored)[key] = *value;
    } else {
      EXPECT_EQ(restored->erase(key), 1u) << "key " << key << " was not there";
    }
  }
}

void RunRandomly(uint32_t seed, bool drops) {
  std::mt19937 random(seed);
  MarkedTable table;
  std::map<int, int> restored;
  std::map<int, int> at_cut;
  bool dropped = false;
  for (int cut = 0; cut < 60; ++cut) {
    bool full = dropped || random() % 6 == 0;
    at_cut = table.values();
    table.Cut(full);
    dropped = drops && random() % 4 == 0;
    bool done = false;
    for (int step = 0; step < 40 || (!done && !dropped); ++step) {
      int key = static_cast<int>(random() % 50);
      if (table.values().count(key) != 0 && random() % 2 == 0) {
        table.Remove(key);
      } else {
        table.Put(key, static_cast<int>(random()));
      }
      if (random() % 3 == 0) {
        done = table.Continue(1 + random() % 5);
      }
    }
    if (dropped) {
      continue;
    }
    Apply(table.layer(), full, &restored);
    ASSERT_EQ(restored, at_cut) << "seed " << seed << ", cut " << cut;
    ASSERT_EQ(table.groups(), table.values().size() + table.gone_count());
  }
}

TEST(SnapshotMarksTest, LayersAddUpToTheTableAtTheCut) {
  for (uint32_t seed = 0; seed < 50; ++seed) {
    RunRandomly(seed, false);
  }
}

TEST(SnapshotMarksTest, AFullCutMakesGoodForSnapshotsThatWereDropped) {
  for (uint32_t seed = 0; seed < 50; ++seed) {
    RunRandomly(seed, true);
  }
}

TEST(SnapshotMarksTest, WithoutSnapshotsNothingStays) {
  MarkedTable table;
  for (int key = 0; key < 20; ++key) {
    table.Put(key, 1);
    table.Remove(key);
  }
  EXPECT_EQ(table.groups(), 0u);
  EXPECT_EQ(table.gone_count(), 0u);
}

TEST(SnapshotMarksTest, WhatCameAndWentBetweenCutsIsInNoLayer) {
  MarkedTable table;
  table.Put(1, 1);
  table.Cut(true);
  EXPECT_TRUE(table.Continue(10));
  table.Put(2, 1);
  table.Remove(2);
  table.Remove(1);
  table.Put(1, 5);
  table.Cut(false);
  EXPECT_TRUE(table.Continue(10));
  EXPECT_EQ(table.layer(), (MarkedTable::Layer{{1, 5}}));
}

}  // namespace
}  // namespace millrace::executor
