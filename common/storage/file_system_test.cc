#include "common/storage/file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "common/storage/memory_file_system.h"
#include "common/storage/posix_file_system.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Tests for both file systems.
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

TEST_P(FileSystemTest, ReadsRangesAndSizes) {
  ASSERT_TRUE(files().MakeDirectory(directory_).ok());
  Write("f", "0123456789");
  EXPECT_EQ(*files().ReadRange(Path("f"), 0, 10), "0123456789");
  EXPECT_EQ(*files().ReadRange(Path("f"), 3, 4), "3456");
  EXPECT_EQ(*files().ReadRange(Path("f"), 8, 100), "89");
  EXPECT_EQ(*files().ReadRange(Path("f"), 11, 1), "");
  EXPECT_EQ(*files().ReadRange(Path("f"), 2, 0), "");
  EXPECT_EQ(*files().Size(Path("f")), 10);
  EXPECT_EQ(files().ReadRange(Path("g"), 0, 1).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(files().Size(Path("g")).status().code(), absl::StatusCode::kNotFound);
  const std::string big(3 << 20, 'x');
  Write("big", big);
  EXPECT_EQ(*files().ReadRange(Path("big"), 1, 3 << 20), big.substr(1));
}

TEST_P(FileSystemTest, RenamesWithoutReplacing) {
  ASSERT_TRUE(files().MakeDirectory(directory_).ok());
  Write("first", "1");
  Write("second", "2");
  ASSERT_TRUE(files().RenameNoReplace(Path("first"), Path("final")).ok());
  const absl::Status taken = files().RenameNoReplace(Path("second"), Path("final"));
  EXPECT_EQ(taken.code(), absl::StatusCode::kAlreadyExists) << taken;
  EXPECT_THAT(std::string(taken.message()), HasSubstr(Path("final")));
  EXPECT_EQ(*files().Read(Path("final")), "1");
  EXPECT_EQ(*files().Read(Path("second")), "2");
  EXPECT_EQ(files().RenameNoReplace(Path("gone"), Path("new")).code(), absl::StatusCode::kNotFound);
}

TEST(PosixFileSystemTest, RenamesByLinkWithoutReplacing) {
  const char* root = std::getenv("TEST_TMPDIR");
  const std::string directory = std::string(root == nullptr ? "/tmp" : root) + "/by_link";
  FileSystem& files = *FileSystem::Real();
  ASSERT_TRUE(files.MakeDirectory(directory).ok());
  for (const char* name : {"/first", "/second"}) {
    ASSERT_TRUE((*files.Create(directory + name))->Append(name).ok());
  }
  ASSERT_TRUE(internal::RenameByLink(directory + "/first", directory + "/final").ok());
  EXPECT_EQ(internal::RenameByLink(directory + "/second", directory + "/final").code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(internal::RenameByLink(directory + "/gone", directory + "/new").code(),
            absl::StatusCode::kNotFound);
  EXPECT_THAT(*files.List(directory), ElementsAre("final", "second"));
  EXPECT_EQ(*files.Read(directory + "/final"), "/first");
}

// Whoever may write to a directory that is read, or a script that names a path, could otherwise
// hold the reading thread for ever.
TEST(PosixFileSystemTest, ReadsNothingThatIsNoRegularFile) {
  const char* root = std::getenv("TEST_TMPDIR");
  const std::string directory = std::string(root == nullptr ? "/tmp" : root) + "/not_regular";
  FileSystem& files = *FileSystem::Real();
  ASSERT_TRUE(files.MakeDirectory(directory).ok());
  const std::string fifo = directory + "/fifo";
  ASSERT_TRUE(mkfifo(fifo.c_str(), 0600) == 0 || errno == EEXIST);
  for (const std::string& path : {fifo, std::string("/dev/zero")}) {
    for (const absl::Status& read :
         {files.Read(path).status(), files.ReadRange(path, 0, 1).status()}) {
      EXPECT_EQ(read.code(), absl::StatusCode::kFailedPrecondition) << read;
      EXPECT_THAT(std::string(read.message()), HasSubstr("not a regular file reading " + path));
    }
  }
  EXPECT_THAT(std::string(files.Read(directory).status().message()), HasSubstr("Is a directory"));
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

TEST_F(MemoryFileSystemTest, RenameWithoutReplacingIsLostWithoutDirectorySync) {
  auto file = *files_.Create("/d/old");
  ASSERT_TRUE(file->Append("x").ok());
  ASSERT_TRUE(file->Sync().ok());
  ASSERT_TRUE(files_.SyncDirectory("/d").ok());
  ASSERT_TRUE(files_.RenameNoReplace("/d/old", "/d/new").ok());
  files_.Crash();
  EXPECT_THAT(*files_.List("/d"), ElementsAre("old"));
  ASSERT_TRUE(files_.RenameNoReplace("/d/old", "/d/new").ok());
  ASSERT_TRUE(files_.SyncDirectory("/d").ok());
  files_.Crash();
  EXPECT_THAT(*files_.List("/d"), ElementsAre("new"));
  EXPECT_EQ(*files_.Read("/d/new"), "x");
}

TEST_F(MemoryFileSystemTest, CrashMayKeepNamesWithoutTheirBytes) {
  auto synced = *files_.Create("/d/synced");
  ASSERT_TRUE(synced->Append("x").ok());
  ASSERT_TRUE(synced->Sync().ok());
  ASSERT_TRUE(files_.SyncDirectory("/d").ok());
  ASSERT_TRUE((*files_.Create("/d/unsynced"))->Append("y").ok());
  ASSERT_TRUE(files_.Rename("/d/synced", "/d/renamed").ok());
  files_.Crash(/*torn_bytes=*/0, /*keep_names=*/true);
  EXPECT_THAT(*files_.List("/d"), ElementsAre("renamed", "unsynced"));
  EXPECT_EQ(*files_.Read("/d/renamed"), "x");
  EXPECT_EQ(*files_.Read("/d/unsynced"), "");
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

TEST_F(MemoryFileSystemTest, AFailedAppendIsTorn) {
  auto file = *files_.Create("/d/f");
  files_.SetFault([](MemoryFileSystem::Operation operation, const std::string&) {
    return operation == MemoryFileSystem::Operation::kAppend ? absl::InternalError("disk says no")
                                                             : absl::OkStatus();
  });
  EXPECT_FALSE(file->Append("abcd").ok());
  EXPECT_EQ(*files_.Read("/d/f"), "ab");
}

TEST_F(MemoryFileSystemTest, AFileWhoseSyncFailedNeverBecomesDurable) {
  auto file = *files_.Create("/d/f");
  ASSERT_TRUE(files_.SyncDirectory("/d").ok());
  ASSERT_TRUE(file->Append("kept").ok());
  ASSERT_TRUE(file->Sync().ok());
  files_.SetFault([](MemoryFileSystem::Operation operation, const std::string&) {
    return operation == MemoryFileSystem::Operation::kSync ? absl::InternalError("disk says no")
                                                           : absl::OkStatus();
  });
  ASSERT_TRUE(file->Append("lost").ok());
  EXPECT_FALSE(file->Sync().ok());
  files_.SetFault(nullptr);
  EXPECT_TRUE(file->Sync().ok()) << "the kernel reports a lost page once";
  files_.Crash();
  EXPECT_EQ(*files_.Read("/d/f"), "kept");
}

}  // namespace
}  // namespace millrace
