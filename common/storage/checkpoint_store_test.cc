#include "common/storage/checkpoint_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/failpoint.h"
#include "common/storage/memory_file_system.h"

namespace millrace {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Operation = MemoryFileSystem::Operation;

constexpr char kContents[] = "all of the state, or nothing";

std::unique_ptr<CheckpointStore> Open(FileSystem* files, const std::string& url = "/snapshots") {
  auto store = CheckpointStore::Open(url, files);
  EXPECT_TRUE(store.ok()) << store.status();
  return *std::move(store);
}

std::vector<std::string> FinishedNames(CheckpointStore* store, const std::string& directory) {
  auto names = store->List(directory);
  EXPECT_TRUE(names.ok()) << names.status();
  std::erase_if(*names, [](const std::string& name) {
    return name.ends_with(CheckpointStore::kTemporarySuffix);
  });
  return *names;
}

TEST(CheckpointStoreTest, WhoMayMakeNoDirectoryWritesNothingWhereOneIsMissing) {
  MemoryFileSystem files;
  const auto store = *CheckpointStore::Open("/mnt/snapshots", &files, MissingDirectories::kRefuse);
  const absl::Status unmounted = store->Write("job-1/e1-b2.state", kContents);
  EXPECT_TRUE(absl::IsNotFound(unmounted)) << unmounted;
  EXPECT_THAT(std::string(unmounted.message()), HasSubstr("/mnt/snapshots/job-1"));
  EXPECT_TRUE(absl::IsNotFound(files.List("/mnt").status())) << "nothing was made";
  ASSERT_TRUE(files.MakeDirectory("/mnt/snapshots/job-1").ok());
  EXPECT_TRUE(store->Write("job-1/e1-b2.state", kContents).ok());
}

TEST(CheckpointStoreTest, WritesOnceReadsListsRemoves) {
  MemoryFileSystem files;
  const auto store = Open(&files);
  EXPECT_THAT(*store->List("job-1"), IsEmpty()) << "a directory that does not exist yet";
  ASSERT_TRUE(store->Write("job-1/e1-b2.state", kContents).ok());
  ASSERT_TRUE(store->Write("job-1/e1-b3.state", "").ok());
  EXPECT_EQ(*store->Read("job-1/e1-b2.state"), kContents);
  EXPECT_EQ(*store->ReadRange("job-1/e1-b2.state", 4, 2), "of");
  EXPECT_THAT(*store->List("job-1"), ElementsAre("e1-b2.state", "e1-b3.state"));
  const absl::Status again = store->Write("job-1/e1-b2.state", "something else");
  EXPECT_TRUE(absl::IsAlreadyExists(again)) << again;
  EXPECT_EQ(*store->Read("job-1/e1-b2.state"), kContents);
  EXPECT_TRUE(store->Remove("job-1/e1-b2.state").ok());
  EXPECT_TRUE(store->Remove("job-1/e1-b2.state").ok()) << "gone already";
  EXPECT_THAT(*store->List("job-1"), ElementsAre("e1-b3.state"));
  const auto gone = store->Read("job-1/e1-b2.state");
  EXPECT_TRUE(absl::IsNotFound(gone.status()));
  EXPECT_THAT(std::string(gone.status().message()), HasSubstr("/snapshots/job-1/e1-b2.state"));
}

TEST(CheckpointStoreTest, RealFilesBehindAFileUrl) {
  const char* const root = std::getenv("TEST_TMPDIR");
  ASSERT_NE(root, nullptr);
  const auto store = Open(FileSystem::Real(), absl::StrCat("file://", root, "/store/"));
  ASSERT_TRUE(store->Write("a/b/one", kContents).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(store->Write("a/b/one", "x")));
  EXPECT_THAT(*store->List("a/b"), ElementsAre("one"));
  EXPECT_TRUE(std::filesystem::exists(absl::StrCat(root, "/store/a/b/one")));
  EXPECT_EQ(*store->Read("a/b/one"), kContents);
}

TEST(CheckpointStoreTest, RefusesOtherSchemesAndNamesOutside) {
  MemoryFileSystem files;
  for (const char* url : {"s3://bucket/job", "file://host/path", "", "/", "file:///"}) {
    const auto store = CheckpointStore::Open(url, &files);
    EXPECT_TRUE(absl::IsInvalidArgument(store.status())) << url;
    EXPECT_THAT(std::string(store.status().message()), HasSubstr("allowed are file:///path"));
  }
  EXPECT_THAT(std::string(CheckpointStore::Open("s3://b", &files).status().message()),
              HasSubstr("no scheme s3"));
  const auto store = Open(&files);
  for (const char* name : {"", "/etc/passwd", "../secret", "a/../../b", "a//b", "a/."}) {
    EXPECT_TRUE(absl::IsInvalidArgument(store->Write(name, "x"))) << name;
    EXPECT_TRUE(absl::IsInvalidArgument(store->Read(name).status())) << name;
    EXPECT_TRUE(absl::IsInvalidArgument(store->Remove(name))) << name;
  }
}

// The k-th operation and all after it fail, for every k and both kinds of crash: a visible name
// belongs to a complete file, and an acknowledged write is there.
TEST(CheckpointStoreTest, VisibleNameIsWholeWhereverTheDiskFailsAndTheMachineCrashes) {
  for (const absl::Status& error :
       {absl::InternalError("input/output error"),
        absl::ResourceExhaustedError("no space left on device writing f")}) {
    for (const bool keep_names : {false, true}) {
      bool acknowledged = false;
      for (int fails_from = 0; !acknowledged; ++fails_from) {
        ASSERT_LT(fails_from, 50) << "the write never gets through";
        MemoryFileSystem files;
        const auto store = Open(&files);
        int operations = 0;
        files.SetFault([&](Operation, const std::string&) {
          return operations++ >= fails_from ? error : absl::OkStatus();
        });
        const absl::Status written = store->Write("job/one", kContents);
        acknowledged = written.ok();
        files.SetFault(nullptr);
        const auto before = FinishedNames(store.get(), "job");
        for (const std::string& name : before) {
          EXPECT_EQ(*store->Read("job/" + name), kContents) << "failed at " << fails_from;
        }
        files.Crash(3, keep_names);
        for (const std::string& name : FinishedNames(store.get(), "job")) {
          EXPECT_EQ(*store->Read("job/" + name), kContents) << "crashed at " << fails_from;
        }
        if (acknowledged) {
          EXPECT_THAT(FinishedNames(store.get(), "job"), ElementsAre("one"));
        } else {
          EXPECT_EQ(written.code(), error.code());
        }
      }
    }
  }
}

TEST(CheckpointStoreTest, FullDiskLeavesNothingAndSaysWhatToDo) {
  MemoryFileSystem files;
  const auto store = Open(&files);
  files.SetCapacity(5);
  const absl::Status written = store->Write("job/one", kContents);
  EXPECT_TRUE(absl::IsResourceExhausted(written)) << written;
  EXPECT_THAT(std::string(written.message()), HasSubstr("/snapshots/job/one"));
  EXPECT_THAT(std::string(written.message()), HasSubstr("checkpoint_location"));
  EXPECT_THAT(*store->List("job"), IsEmpty());
  files.SetCapacity(1 << 20);
  EXPECT_TRUE(store->Write("job/one", kContents).ok());
}

#ifndef MILLRACE_WITHOUT_FAILPOINTS
// The machine loses power at each failpoint of a write and a removal. (Calls after that work on the
// remaining files, which a dead process would not do: after store.renamed, the name is no longer
// the same.)
TEST(CheckpointStoreTest, VisibleNameIsWholeAtEveryFailpoint) {
  std::set<std::string> hit;
  for (const std::string& failpoint : AllFailpoints()) {
    if (!failpoint.starts_with("store.")) {
      continue;
    }
    for (const bool keep_names : {false, true}) {
      MemoryFileSystem files;
      const auto store = Open(&files);
      ASSERT_TRUE(store->Write("job/two", kContents).ok());
      SetFailpointHandler([&](const char* name) {
        if (failpoint == name) {
          hit.insert(name);
          files.Crash(3, keep_names);
        }
      });
      const bool acknowledged = store->Write("job/one", kContents).ok();
      store->Remove("job/two").IgnoreError();
      SetFailpointHandler(nullptr);
      files.Crash();
      const auto names = FinishedNames(store.get(), "job");
      for (const std::string& name : names) {
        EXPECT_EQ(*store->Read("job/" + name), kContents) << failpoint;
      }
      if (acknowledged && failpoint != "store.renamed") {
        EXPECT_THAT(names, Contains("one")) << failpoint;
      }
    }
  }
  EXPECT_THAT(hit, ElementsAre("store.before_remove", "store.before_rename", "store.before_write",
                               "store.directory_synced", "store.removed", "store.renamed",
                               "store.synced", "store.written"));
}
#endif

}  // namespace
}  // namespace millrace
