// What a store returns of its entries and of changes between cuts, and what it leaves on disk.
#include "executor/state/store/rocksdb_backend.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "executor/state/store/state_store.h"
#include "gtest/gtest.h"

namespace millrace::executor {
namespace {

using Lines = std::vector<std::string>;

class RocksdbBackendTest : public testing::Test {
 protected:
  RocksdbBackendTest() {
    std::string path = testing::TempDir() + "/rocksdb_backend_test_XXXXXX";
    EXPECT_NE(mkdtemp(path.data()), nullptr);
    directory_ = path;
  }
  ~RocksdbBackendTest() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<StateBackend> Open() {
    auto backend = OpenRocksdbBackend({.directory = directory_});
    EXPECT_TRUE(backend.ok()) << backend.status();
    return *std::move(backend);
  }

  // Directories of databases below the given one.
  int Databases() const {
    int count = 0;
    for (const auto& child : std::filesystem::directory_iterator(directory_)) {
      count += child.is_directory() ? 1 : 0;
    }
    return count;
  }

  std::string directory_;
};

void Put(StateStore* store, const std::string& key, const std::string& value, bool was_there) {
  store->NoteChange(key, was_there ? std::optional<std::string_view>("was " + key) : std::nullopt);
  store->Put(key, value);
}

void Erase(StateStore* store, const std::string& key) {
  const std::string shown = "was " + key;
  store->NoteChange(key, shown);
  store->Erase(key);
}

// The cut under way, "key=value" or "key: note".
Lines ReadCut(StateStore* store, size_t step = 2) {
  std::vector<StateStore::CutEntry> entries;
  for (bool all = false; !all;) {
    auto read = store->ReadCut(step, &entries);
    EXPECT_TRUE(read.ok()) << read.status();
    all = !read.ok() || *read;
  }
  store->EndCut();
  Lines lines;
  for (const StateStore::CutEntry& entry : entries) {
    lines.push_back(entry.value.has_value() ? absl::StrCat(entry.key, "=", *entry.value)
                                            : absl::StrCat(entry.key, ": ", entry.shown));
  }
  return lines;
}

TEST_F(RocksdbBackendTest, StoresDoNotSeeEachOther) {
  const auto backend = Open();
  const auto store = backend->OpenStore();
  const auto other = backend->OpenStore();
  store->Put("a", "1");
  other->Put("b", "2");
  ASSERT_TRUE(store->Commit().ok());
  ASSERT_TRUE(other->Commit().ok());
  const auto got = store->Get({"b", "a"});
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(*got, (std::vector<std::optional<std::string>>{std::nullopt, "1"}));
  std::vector<StateStore::Entry> entries;
  ASSERT_TRUE(store->Scan("", 10, &entries).ok());
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries[0].key, "a");
  other->BeginCut(true);
  EXPECT_EQ(ReadCut(other.get()), Lines{"b=2"});
}

TEST_F(RocksdbBackendTest, ACutIsAsItWasWhateverFollows) {
  const auto backend = Open();
  const auto store = backend->OpenStore();
  for (const char* key : {"a", "b", "c"}) {
    Put(store.get(), key, "1", false);
  }
  ASSERT_TRUE(store->Commit().ok());
  store->BeginCut(true);
  Put(store.get(), "b", "2", true);
  Erase(store.get(), "c");
  Put(store.get(), "d", "2", false);
  ASSERT_TRUE(store->Commit().ok());
  EXPECT_EQ(ReadCut(store.get()), (Lines{"a=1", "b=1", "c=1"}));
  store->BeginCut(false);
  Erase(store.get(), "a");
  ASSERT_TRUE(store->Commit().ok());
  EXPECT_EQ(ReadCut(store.get()), (Lines{"b=2", "c: was c", "d=2"}));
  store->BeginCut(false);
  EXPECT_EQ(ReadCut(store.get()), Lines{"a: was a"});
  store->BeginCut(false);
  EXPECT_EQ(ReadCut(store.get()), Lines());
}

TEST_F(RocksdbBackendTest, WhatCameAndWentBetweenTwoCutsIsNotNamed) {
  const auto backend = Open();
  const auto store = backend->OpenStore();
  Put(store.get(), "kept", "1", false);
  ASSERT_TRUE(store->Commit().ok());
  store->BeginCut(true);
  EXPECT_EQ(ReadCut(store.get()), Lines{"kept=1"});
  Put(store.get(), "passing", "1", false);
  ASSERT_TRUE(store->Commit().ok());
  Erase(store.get(), "passing");  // says that it was there: too late
  Erase(store.get(), "kept");
  ASSERT_TRUE(store->Commit().ok());
  Put(store.get(), "kept", "2", false);  // says that it was not: too late
  ASSERT_TRUE(store->Commit().ok());
  Erase(store.get(), "kept");
  ASSERT_TRUE(store->Commit().ok());
  store->BeginCut(false);
  EXPECT_EQ(ReadCut(store.get()), Lines{"kept: was kept"});
}

TEST_F(RocksdbBackendTest, AFullCutReplacesOneThatWasNotRead) {
  const auto backend = Open();
  const auto store = backend->OpenStore();
  Put(store.get(), "a", "1", false);
  ASSERT_TRUE(store->Commit().ok());
  store->BeginCut(false);
  Put(store.get(), "b", "1", false);
  ASSERT_TRUE(store->Commit().ok());
  store->BeginCut(true);
  Put(store.get(), "c", "1", false);
  ASSERT_TRUE(store->Commit().ok());
  EXPECT_EQ(ReadCut(store.get()), (Lines{"a=1", "b=1"}));
  store->BeginCut(false);
  EXPECT_EQ(ReadCut(store.get()), Lines{"c=1"});
}

TEST_F(RocksdbBackendTest, ScansGoOnWhereTheyEnded) {
  const auto backend = Open();
  const auto store = backend->OpenStore();
  for (const char* key : {"a", "b", "c", "d", "e"}) {
    store->Put(key, "1");
  }
  ASSERT_TRUE(store->Commit().ok());
  std::string keys;
  std::string from;
  for (bool more = true; more;) {
    std::vector<StateStore::Entry> entries;
    ASSERT_TRUE(store->Scan(from, 2, &entries).ok());
    more = entries.size() == 2;
    for (const StateStore::Entry& entry : entries) {
      keys += entry.key;
      from = entry.key + '\0';
    }
  }
  EXPECT_EQ(keys, "abcde");
}

TEST_F(RocksdbBackendTest, NothingIsLeftOfOneThatIsClosed) {
  auto backend = Open();
  auto other = Open();
  EXPECT_EQ(Databases(), 2);
  backend.reset();
  EXPECT_EQ(Databases(), 1);
  const auto store = other->OpenStore();
  store->Put("a", "1");
  EXPECT_TRUE(store->Commit().ok());
}

TEST_F(RocksdbBackendTest, TheNextOneRemovesWhatAKilledProcessHasLeft) {
  const auto alive = Open();
  const auto store = alive->OpenStore();
  store->Put("a", "1");
  ASSERT_TRUE(store->Commit().ok());
  // The same files without a process that has them open.
  std::string files;
  for (const auto& child : std::filesystem::directory_iterator(directory_)) {
    files = child.is_directory() ? child.path().string() : files;
  }
  std::filesystem::copy(files, directory_ + "/millrace-state-killed");
  std::filesystem::create_directory(directory_ + "/something-else");
  EXPECT_EQ(Databases(), 3);
  const auto next = Open();
  EXPECT_EQ(Databases(), 3);
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/millrace-state-killed"));
  EXPECT_TRUE(std::filesystem::exists(directory_ + "/something-else"));
  store->Put("b", "1");
  EXPECT_TRUE(store->Commit().ok());
}

TEST_F(RocksdbBackendTest, ADirectoryThatCannotBeWrittenToIsNamed) {
  const auto backend = OpenRocksdbBackend({.directory = "/proc/nowhere"});
  ASSERT_FALSE(backend.ok());
  EXPECT_NE(backend.status().message().find("/proc/nowhere"), absl::string_view::npos)
      << backend.status();
}

}  // namespace
}  // namespace millrace::executor
