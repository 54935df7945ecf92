// Keyed state over each back end, with an operator that keeps a text of each key on the heap.
#include "executor/state/keyed/keyed_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/columnar/row_hash.h"
#include "executor/operators/testing/backends.h"

namespace millrace::executor {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

class TextPayload : public EntryPayload {
 public:
  static std::string& Text(uint32_t group, GroupTable* table) {
    return *table->Payload(0).at<std::string*>(group);
  }

  std::vector<SqlType> types() const override { return {MakeType(TypeId::kText)}; }
  size_t payload_bytes() const override { return sizeof(std::string*); }
  void Init(std::span<const GroupTable::Added> groups, GroupTable* table) override {
    for (const GroupTable::Added& group : groups) {
      table->Payload(0).at<std::string*>(group.group) = new std::string();
      ++live;
    }
  }
  bool owns_memory() const override { return true; }
  void Destroy(std::span<const uint32_t> groups, GroupTable* table) override {
    for (const uint32_t group : groups) {
      delete &Text(group, table);
      --live;
    }
  }
  void OwnedBytes(std::span<const uint32_t> groups, GroupTable* table,
                  uint32_t* bytes) const override {
    for (size_t i = 0; i < groups.size(); ++i) {
      bytes[i] = static_cast<uint32_t>(Text(groups[i], table).size());
    }
  }
  void Emit(std::span<const uint32_t> groups, GroupTable* table,
            std::vector<ColumnPtr>* columns) const override {
    auto texts = std::make_shared<Column>(MakeType(TypeId::kText), groups.size());
    for (size_t i = 0; i < groups.size(); ++i) {
      texts->SetTextCopy(i, Text(groups[i], table));
    }
    columns->push_back(std::move(texts));
  }
  absl::Status Fill(std::span<const ColumnPtr> columns, RowSet rows, const uint32_t* groups,
                    GroupTable* table) override {
    for (size_t i = 0; i < rows.count; ++i) {
      EXPECT_EQ(Text(groups[i], table), "");
      Text(groups[i], table) = columns[0]->value<TextView>(rows[i]).view();
    }
    return absl::OkStatus();
  }
  size_t Bytes() const override { return 0; }

  int live = 0;  // states that are not destroyed
};

ColumnPtr TextColumn(const std::vector<std::string>& values) {
  auto column = std::make_shared<Column>(MakeType(TypeId::kText), values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    column->SetTextCopy(i, values[i]);
  }
  return column;
}

// An operator that appends to the texts of keys.
class Texts {
 public:
  explicit Texts(StateBackend* backend, int64_t ttl_us = 0) {
    proto::StateIdentity identity;
    identity.set_name("texts");
    identity.set_shape("text");
    state_ = KeyedState::Create({.key_types = {MakeType(TypeId::kText)},
                                 .payload = &payload_,
                                 .identity = identity,
                                 .ttl_us = ttl_us},
                                backend);
  }
  ~Texts() {
    state_.reset();
    EXPECT_EQ(payload_.live, 0) << "states have leaked";
  }

  KeyedState* operator->() { return state_.get(); }

  // A block of the present batch: appends `text` to each key's, and returns what was there.
  std::vector<std::string> Append(const std::vector<std::string>& keys, const std::string& text) {
    const std::vector<ColumnPtr> columns = {TextColumn(keys)};
    const RowSet rows{nullptr, keys.size()};
    std::vector<uint64_t> hashes(keys.size());
    HashRows(columns, rows, hashes.data());
    std::vector<uint32_t> groups(keys.size());
    EXPECT_TRUE(state_->FindOrAdd(columns, hashes.data(), rows, now_us_, groups.data()).ok());
    std::vector<std::string> before;
    for (size_t i = 0; i < keys.size(); ++i) {
      std::string& kept = TextPayload::Text(groups[i], &state_->table());
      before.push_back(kept);
      kept += text;
      touched_[keys[i]] = groups[i];
    }
    return before;
  }
  // Ends the batch; those of the keys that it has touched which are `gone` have no entry from now
  // on.
  void End(const std::set<std::string>& gone = {}) {
    std::vector<uint32_t> changed;
    std::vector<uint32_t> removed;
    for (const auto& [key, group] : std::exchange(touched_, {})) {
      (gone.contains(key) ? removed : changed).push_back(group);
    }
    EXPECT_TRUE(state_->EndBatch(changed, removed, now_us_).ok());
    ++now_us_;
  }
  void set_now_us(int64_t now_us) { now_us_ = now_us; }

  std::vector<StateBlock> Finish() {
    size_t max_entries = 1 << 20;
    const absl::StatusOr<bool> all = state_->ContinueSnapshot(&max_entries);
    EXPECT_TRUE(all.ok() && *all);
    return state_->TakeSnapshot();
  }
  std::vector<StateBlock> Snapshot(bool full) {
    state_->BeginSnapshot(full);
    return Finish();
  }

 private:
  TextPayload payload_;
  std::unique_ptr<KeyedState> state_;
  std::map<std::string, uint32_t> touched_;  // by the present batch
  int64_t now_us_ = 1;
};

// The entries by key; "gone" for those that a snapshot removes.
std::map<std::string, std::string> Entries(const std::vector<StateBlock>& blocks) {
  std::map<std::string, std::string> entries;
  for (const StateBlock& block : blocks) {
    EXPECT_EQ(block.operator_name, "texts");
    for (uint32_t row = 0; row < block.rows.physical_rows(); ++row) {
      const std::string key(block.rows.column(0)->value<TextView>(row).view());
      EXPECT_FALSE(entries.contains(key)) << key << " occurs twice";
      entries[key] = block.rows.weight(row) < 0
                         ? "gone"
                         : std::string(block.rows.column(1)->value<TextView>(row).view());
    }
  }
  return entries;
}

using KeyedStateTest = BackendTest;
INSTANTIATE_TEST_SUITE_P(All, KeyedStateTest, AllBackends(), BackendName);

TEST_P(KeyedStateTest, BatchesFindWhatEarlierOnesHaveLeft) {
  Texts texts(backend());
  EXPECT_THAT(texts.Append({"a", "b"}, "1"), ElementsAre("", ""));
  EXPECT_THAT(texts.Append({"a"}, "2"), ElementsAre("1"));
  texts.End();
  EXPECT_THAT(texts.Append({"b", "c", "a"}, "3"), ElementsAre("1", "", "12"));
  texts.End({"b"});
  EXPECT_EQ(texts->rows(), 2u);
  EXPECT_THAT(Entries(texts.Snapshot(/*full=*/true)),
              UnorderedElementsAre(Pair("a", "123"), Pair("c", "3")));
}

TEST_P(KeyedStateTest, IncrementalSnapshotHasWhatHasChangedSinceTheOneBefore) {
  Texts texts(backend());
  texts.Append({"a", "b", "c"}, "1");
  texts.End();
  texts.Snapshot(/*full=*/true);
  texts.Append({"b", "c", "d", "e"}, "2");
  texts.End({"c", "e"});
  EXPECT_THAT(Entries(texts.Snapshot(/*full=*/false)),
              UnorderedElementsAre(Pair("b", "12"), Pair("c", "gone"), Pair("d", "2")));
  EXPECT_THAT(texts.Snapshot(/*full=*/false), IsEmpty());
}

TEST_P(KeyedStateTest, SnapshotHasTheValuesOfItsCut) {
  Texts texts(backend());
  texts.Append({"a", "b", "c"}, "1");
  texts.End();
  texts->BeginSnapshot(/*full=*/true);
  texts.Append({"a", "b", "d"}, "2");
  texts.End({"b"});
  EXPECT_THAT(Entries(texts.Finish()),
              UnorderedElementsAre(Pair("a", "1"), Pair("b", "1"), Pair("c", "1")));
  EXPECT_THAT(Entries(texts.Snapshot(/*full=*/false)),
              UnorderedElementsAre(Pair("a", "12"), Pair("b", "gone"), Pair("d", "2")));
}

TEST_P(KeyedStateTest, KeyThatComesBackBeforeItsRemovalIsRecordedBeginsEmpty) {
  Texts texts(backend());
  texts.Append({"a", "b"}, "1");
  texts.End();
  texts.Snapshot(/*full=*/true);
  texts.Append({"a", "b"}, "2");
  texts.End({"a", "b"});
  EXPECT_EQ(texts->rows(), 0u);
  EXPECT_THAT(texts.Append({"a"}, "3"), ElementsAre(""));
  texts.End();
  EXPECT_EQ(texts->rows(), 1u);
  EXPECT_THAT(Entries(texts.Snapshot(/*full=*/false)),
              UnorderedElementsAre(Pair("a", "3"), Pair("b", "gone")));
}

TEST_P(KeyedStateTest, LayersOfSnapshotsGiveTheStateBack) {
  Texts texts(backend());
  texts.Append({"a", "b", "c"}, "1");
  texts.End();
  const std::vector<StateBlock> full = texts.Snapshot(/*full=*/true);
  texts.Append({"a", "b", "d"}, "2");
  texts.End({"b"});
  const std::vector<StateBlock> later = texts.Snapshot(/*full=*/false);

  Texts restored(backend());
  for (const std::vector<StateBlock>& layer : {full, later}) {
    for (const StateBlock& block : layer) {
      ASSERT_TRUE(restored->Restore(block).ok());
    }
  }
  EXPECT_EQ(restored->rows(), 3u);
  EXPECT_THAT(restored.Snapshot(/*full=*/false), IsEmpty()) << "nothing has changed";
  EXPECT_THAT(restored.Append({"a", "b", "c", "d"}, "3"), ElementsAre("12", "", "1", "2"));
  restored.End();
}

TEST_P(KeyedStateTest, SnapshotThatCannotBeItsOwnIsRefused) {
  Texts texts(backend());
  texts.Append({"a", "b"}, "1");
  texts.End();
  texts.Snapshot(/*full=*/true);
  texts.Append({"a"}, "2");
  texts.End({"a"});
  const std::vector<StateBlock> removal = texts.Snapshot(/*full=*/false);
  ASSERT_EQ(removal.size(), 1u);
  EXPECT_TRUE(absl::IsDataLoss(Texts(backend())->Restore(removal[0])));

  StateBlock narrow = removal[0];
  narrow.rows = narrow.rows.WithColumns({narrow.rows.column(0)});
  const absl::Status refused = Texts(backend())->Restore(narrow);
  EXPECT_TRUE(absl::IsFailedPrecondition(refused));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("do not fit the operator's state: text"));
}

TEST_P(KeyedStateTest, EntryThatHasExpiredBeginsEmptyOnceInABatch) {
  Texts texts(backend(), /*ttl_us=*/10);
  texts.Append({"a", "b"}, "1");
  texts.End();
  texts.set_now_us(5);
  texts.Append({"b"}, "2");
  texts.End();
  texts.set_now_us(12);  // no sweep has run since
  EXPECT_THAT(texts.Append({"a", "b"}, "3"), ElementsAre("", "12"));
  EXPECT_THAT(texts.Append({"a", "b"}, "4"), ElementsAre("3", "123")) << "a second block";
  texts.End();
  EXPECT_THAT(Entries(texts.Snapshot(/*full=*/true)),
              UnorderedElementsAre(Pair("a", "34"), Pair("b", "1234")));
}

TEST_P(KeyedStateTest, SweepFreesWhatHasExpired) {
  Texts texts(backend(), /*ttl_us=*/10);
  EXPECT_EQ(texts->wake_at_us(), 0);
  texts.Append({"a", "b"}, "1");
  texts.End();
  EXPECT_EQ(texts->wake_at_us(), 12);
  texts.Snapshot(/*full=*/true);
  texts.set_now_us(11);
  texts.Append({"b"}, "2");
  texts.End();
  EXPECT_EQ(texts->rows(), 2u);
  texts.set_now_us(12);
  texts.End();
  EXPECT_EQ(texts->rows(), 1u);
  EXPECT_EQ(texts->wake_at_us(), 22);
  EXPECT_THAT(Entries(texts.Snapshot(/*full=*/false)),
              UnorderedElementsAre(Pair("a", "gone"), Pair("b", "12")));
}

TEST(MemoryStateTest, ClearedStateIsEmpty) {
  Texts texts(/*backend=*/nullptr);
  texts.Append({"a", "b"}, "1");
  texts->Clear();
  EXPECT_EQ(texts->rows(), 0u);
  EXPECT_THAT(texts.Append({"b"}, "2"), ElementsAre(""));
  texts->Clear();
}

}  // namespace
}  // namespace millrace::executor
