#include "common/storage/file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "common/storage/memory_file_system.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// What both file systems do.
class FileSystemTest : public ::testing::TestWithParam<bool> {
 protected:
  FileSystemTest() {
    std::string test = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::replace(test.begin(), test.end(), '/', '_');
    const char* root = std::getenv("TEST_TMPDIR");
    directory_ = std::string(root == nullptr ? "/tmp" : root) + "/" + test + "/a/b";
  }

  FileSystem& files() { return GetParam() ? *FileSystem::Real() : memory_; }
  std::string Path(const std::string& name) const { return directory_ + "/" + name; }

  void Write(const std::string& name, std::string_view contents) {
    auto file = files().Create(Path(name));
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE((*file)->Append(contents).ok());
    ASSERT_TRUE((*file)->Sync().ok());
    ASSERT_TRUE((*file)->Close().ok());
  }

  MemoryFileSystem memory_;
  std::string directory_;
};

TEST_P(FileSystemTest, WritesReadsListsRenamesRemoves) {
  ASSERT_TRUE(files().MakeDirectory(directory_).ok());
  ASSERT_TRUE(files().MakeDirectory(directory_).ok());
  const std::string binary("a\0b\n", 4);
  Write("two", binary);
  Write("one", "");
  EXPECT_EQ(*files().Read(Path("two")), binary);
  EXPECT_THAT(*files().List(directory_), ElementsAre("one", "two"));
  ASSERT_TRUE(files().Rename(Path("two"), Path("one")).ok());
  EXPECT_EQ(*files().Read(Path("one")), binary);
  EXPECT_THAT(*files().List(directory_), ElementsAre("one"));
  ASSERT_TRUE(files().SyncDirectory(directory_).ok());
  ASSERT_TRUE(files().Remove(Path("one")).ok());
  EXPECT_THAT(*files().List(directory_), ElementsAre());
}

TEST_P(FileSystemTest, RefusesToCreateWhatExistsAndNamesWhatIsMissing) {
  ASSERT_TRUE(files().MakeDirectory(directory_).ok());
  Write("one", "x");
  const auto again = files().Create(Path("one"));
  EXPECT_EQ(again.status().code(), absl::StatusCode::kAlreadyExists);
  const auto missing = files().Read(Path("none"));
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.status().message()), HasSubstr(Path("none")));
  EXPECT_EQ(files().Create(directory_ + "/no/dir").status().code(), absl::StatusCode::kNotFound);
}

TEST_P(FileSystemTest, LocksOnce) {
  ASSERT_TRUE(files().MakeDirectory(directory_).ok());
  auto first = files().Lock(Path("LOCK"));
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(files().Lock(Path("LOCK")).status().code(), absl::StatusCode::kAlreadyExists);
  first->reset();
  EXPECT_TRUE(files().Lock(Path("LOCK")).ok());
}

INSTANTIATE_TEST_SUITE_P(Both, FileSystemTest, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "Posix" : "Memory"; });

class MemoryFileSystemTest : public ::testing::Test {
 protected:
  MemoryFileSystemTest() { EXPECT_TRUE(files_.MakeDirectory("/d").ok()); }
  MemoryFileSystem files_;
};

TEST_F(MemoryFileSystemTest, CrashLosesUnsyncedBytesAndNames) {
  auto kept = *files_.Create("/d/kept");
  ASSERT_TRUE(files_.SyncDirectory("/d").ok());
  auto nameless = *files_.Create("/d/nameless");
  ASSERT_TRUE(kept->Append("durable").ok());
  ASSERT_TRUE(kept->Sync().ok());
  ASSERT_TRUE(kept->Append("volatile").ok());
  ASSERT_TRUE(nameless->Append("x").ok());
  ASSERT_TRUE(nameless->Sync().ok());

  files_.Crash();
  EXPECT_THAT(*files_.List("/d"), ElementsAre("kept"));
  EXPECT_EQ(*files_.Read("/d/kept"), "durable");
  EXPECT_FALSE(kept->Append("from the grave").ok());
  EXPECT_FALSE(kept->Sync().ok());
}

TEST_F(MemoryFileSystemTest, CrashMayTearTheTail) {
  auto file = *files_.Create("/d/f");
  ASSERT_TRUE(files_.SyncDirectory("/d").ok());
  ASSERT_TRUE(file->Append("abc").ok());
  ASSERT_TRUE(file->Sync().ok());
  ASSERT_TRUE(file->Append("defgh").ok());
  files_.Crash(2);
  EXPECT_EQ(*files_.Read("/d/f"), "abcde");
}

TEST_F(MemoryFileSystemTest, RenameIsLostWithoutDirectorySync) {
  auto file = *files_.Create("/d/old");
  ASSERT_TRUE(file->Append("x").ok());
  ASSERT_TRUE(file->Sync().ok());
  ASSERT_TRUE(files_.SyncDirectory("/d").ok());
  ASSERT_TRUE(files_.Rename("/d/old", "/d/new").ok());
  files_.Crash();
  EXPECT_THAT(*files_.List("/d"), ElementsAre("old"));
}

TEST_F(MemoryFileSystemTest, FullDiskWritesWhatFits) {
  auto file = *files_.Create("/d/f");
  files_.SetCapacity(4);
  const absl::Status status = file->Append("abcdef");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("no space left on device writing /d/f"));
  EXPECT_EQ(*files_.Read("/d/f"), "abcd");
}

TEST_F(MemoryFileSystemTest, FaultsHitTheChosenOperation) {
  auto file = *files_.Create("/d/f");
  files_.SetFault([](MemoryFileSystem::Operation operation, const std::string&) {
    return operation == MemoryFileSystem::Operation::kSync ? absl::InternalError("disk says no")
                                                           : absl::OkStatus();
  });
  EXPECT_TRUE(file->Append("x").ok());
  EXPECT_FALSE(file->Sync().ok());
  EXPECT_EQ(files_.sync_count(), 0);
}

}  // namespace
}  // namespace millrace
