// Files that are rotated, replaced and deleted while they are read, and between runs: every line is
// read once. A small driver does with the connector what the real one does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/types/text_format.h"
#include "connectors/file/source/file_access.h"
#include "connectors/file/source/file_source.h"
#include "connectors/formats/csv/csv_format.h"
#include "connectors/formats/raw/raw_format.h"

namespace millrace::file {
namespace {

namespace fs = std::filesystem;

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;
using Lines = std::vector<std::string>;

// A clock that shows the system's time, in which files have their times, plus what the test adds.
class LaterClock : public Clock {
 public:
  absl::Time Now() override { return absl::Now() + later; }
  int64_t MonotonicNs() override {
    return Clock::Real()->MonotonicNs() + absl::ToInt64Nanoseconds(later);
  }
  absl::Duration later;
};

class RotationTest : public testing::Test {
 protected:
  RotationTest() : connector_(NewFileSourceConnector(&formats_, &clock_)) {
    formats_.AddFormat(NewRawFormat());
    formats_.AddFormat(NewCsvFormat());
    std::string pattern = std::string(std::getenv("TEST_TMPDIR")) + "/rotation-XXXXXX";
    directory_ = mkdtemp(pattern.data());
  }
  ~RotationTest() override { fs::remove_all(directory_); }

  std::string Path(const std::string& name) const { return directory_ + "/" + name; }
  void Append(const std::string& name, const std::string& text) const {
    std::ofstream(Path(name), std::ios::app | std::ios::binary) << text;
  }
  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(Path(name), std::ios::trunc | std::ios::binary) << text;
  }
  void Rename(const std::string& from, const std::string& to) const {
    fs::rename(Path(from), Path(to));
  }
  void CopyAndCut(const std::string& from, const std::string& to) const {
    fs::copy_file(Path(from), Path(to));
    fs::resize_file(Path(from), 0);
  }

  void Begin(const std::string& path, bool follow = true,
             const std::string& on_data_loss = "fail") {
    source_.set_table("t");
    source_.set_connector("file");
    source_.set_format("raw");
    (*source_.mutable_options())["path"] = Path(path);
    (*source_.mutable_options())["follow"] = follow ? "true" : "false";
    (*source_.mutable_options())["on_data_loss"] = on_data_loss;
    source_.clear_declared();
    source_.clear_columns();
    source_.add_declared()->set_name("value");
    source_.mutable_declared(0)->mutable_type()->set_kind(proto::TYPE_TEXT);
    source_.add_columns()->set_name("value");
    source_.mutable_columns(0)->mutable_type()->set_kind(proto::TYPE_TEXT);
    source_.add_columns()->set_name("_file");
    source_.mutable_columns(1)->mutable_type()->set_kind(proto::TYPE_TEXT);
    source_.mutable_columns(1)->set_declared(-1);
    Restart();
  }

  // Restarts as after the end of the process: only what a journal keeps is known.
  void Restart() {
    enumerator_ = *connector_->CreateEnumerator(source_, SourceContext{});
    reader_ = *connector_->CreateReader(source_, SourceContext{});
    std::vector<KnownPartition> known;
    for (const auto& [name, partition] : known_) {
      known.push_back(partition);
      if (!partition.retired) {
        EXPECT_TRUE(reader_->Assign(partition).ok());
      }
    }
    enumerator_->Remember(known);
  }

  // Reads all lines that can be read now.
  Lines Read() {
    Discover();
    Lines lines;
    std::vector<PartitionName> open;
    for (const auto& [name, partition] : known_) {
      if (!partition.retired) {
        open.push_back(name);
      }
    }
    const auto ends = enumerator_->Ends(open, absl::Seconds(1));
    EXPECT_TRUE(ends.ok()) << ends.status();
    for (const PartitionEnd& end : *ends) {
      KnownPartition& partition = known_[end.partition];
      if (!end.identity.empty()) {
        partition.identity = end.identity;
        EXPECT_TRUE(reader_->Assign(partition).ok());
      }
      if (end.phase == PartitionPhase::kGone && end.stable_end > partition.next) {
        lost_.push_back(absl::StrCat(end.partition, " [", partition.next.value(), ", ",
                                     end.stable_end.value(), "): ", end.why));
      } else if (end.stable_end > partition.next) {
        ReadTo(end.stable_end, &partition, &lines);
      }
      if (end.phase != PartitionPhase::kOpen) {
        partition.retired = true;
        reader_->Unassign(partition.name);
        enumerator_->Remember({partition});
      }
    }
    return lines;
  }

  void Discover() {
    const auto names = enumerator_->Discover(absl::Seconds(1));
    EXPECT_TRUE(names.ok()) << names.status();
    for (const PartitionName& name : *names) {
      const auto found = known_.find(name);
      if (found != known_.end() && !found->second.retired) {
        continue;
      }
      KnownPartition partition{.name = name,
                               .next = found == known_.end() ? Offset(0) : found->second.next,
                               .identity = (*enumerator_->Identities({name}, absl::Seconds(1)))[0]};
      known_[name] = partition;
      EXPECT_TRUE(reader_->Assign(partition).ok());
      enumerator_->Remember({partition});
    }
  }

  void ReadTo(Offset end, KnownPartition* partition, Lines* lines) {
    while (partition->next < end) {
      const auto chunk = reader_->Read(partition->name, end, 1000, 0, absl::InfiniteFuture());
      ASSERT_TRUE(chunk.ok()) << chunk.status();
      for (size_t row = 0; row < chunk->offsets.size(); ++row) {
        lines->push_back(ValueToString(*chunk->batch.column(0), row));
        files_.push_back(ValueToString(*chunk->batch.column(1), row));
      }
      partition->next = chunk->next;
    }
  }

  size_t OpenPartitions() const {
    return static_cast<size_t>(std::count_if(known_.begin(), known_.end(),
                                             [](const auto& k) { return !k.second.retired; }));
  }

  LaterClock clock_;
  ConnectorRegistry formats_;
  std::unique_ptr<SourceConnector> connector_;
  std::string directory_;
  proto::Source source_;
  std::unique_ptr<SourceEnumerator> enumerator_;
  std::unique_ptr<SourceReader> reader_;
  std::map<PartitionName, KnownPartition> known_;
  Lines files_;  // the file of each line that was read
  Lines lost_;
};

TEST_F(RotationTest, RenameAndCreateLosesAndRepeatsNothing) {
  Append("app.log", "1\n2\n");
  Begin("app.log");
  EXPECT_THAT(Read(), ElementsAre("1", "2"));
  Append("app.log", "3\n");
  Rename("app.log", "app.log.1");
  Append("app.log.1", "4\n");  // the writer does not know of the rotation yet
  Append("app.log", "5\n");
  EXPECT_THAT(Read(), UnorderedElementsAre("3", "4", "5"));
  Append("app.log.1", "6\nlast");
  Append("app.log", "7\n");
  EXPECT_THAT(Read(), UnorderedElementsAre("6", "7"));
  clock_.later = absl::Minutes(2);
  EXPECT_THAT(Read(), ElementsAre("last")) << "its last line needs no end any more";
  EXPECT_EQ(OpenPartitions(), 1u);
  for (const std::string& file : files_) {
    EXPECT_EQ(file, Path("app.log")) << "whatever the file was called when it was read";
  }
}

// Until its first line is there, the new file has no identity. Found only at the next usual
// discovery, it could be rotated away before, and its lines would be lost.
TEST_F(RotationTest, TheNewFileOfARotatedLogIsExpectedUntilItIsFound) {
  for (const std::string path : {"app.log", "*.log"}) {
    known_.clear();
    Append("app.log", "1\n");
    Append("other.log", "x\n");
    Begin(path);
    Read();
    Read();
    EXPECT_FALSE(enumerator_->expects_partitions()) << path;
    Rename("app.log", "app.log.1");
    EXPECT_THAT(Read(), IsEmpty());
    EXPECT_TRUE(enumerator_->expects_partitions()) << path << " is missing";
    Write("app.log", "");
    EXPECT_THAT(Read(), IsEmpty());
    EXPECT_TRUE(enumerator_->expects_partitions()) << path << " is empty";
    Append("app.log", "2\n");
    EXPECT_THAT(Read(), ElementsAre("2"));
    EXPECT_THAT(Read(), IsEmpty());
    EXPECT_FALSE(enumerator_->expects_partitions()) << path;
    CopyAndCut("app.log", "app.log.2");
    EXPECT_THAT(Read(), IsEmpty());
    EXPECT_TRUE(enumerator_->expects_partitions()) << path << " was cut";
    for (const char* name : {"app.log", "app.log.1", "app.log.2", "other.log"}) {
      fs::remove(Path(name));
    }
  }
}

TEST_F(RotationTest, ALinkIsFollowedToWhereItsFileIsRotated) {
  fs::create_directory(Path("pod"));
  Append("pod/0.log", "1\n");
  fs::create_symlink(Path("pod/0.log"), Path("app.log"));
  Begin("*.log");
  EXPECT_THAT(Read(), ElementsAre("1"));
  Append("pod/0.log", "2\n");
  Rename("pod/0.log", "pod/0.log.20260101");
  Append("pod/0.log", "3\n");
  EXPECT_THAT(Read(), UnorderedElementsAre("2", "3"));
}

TEST_F(RotationTest, ManyRotationsBetweenTwoLooks) {
  Append("app.log", "1\n");
  Begin("app.log");
  EXPECT_THAT(Read(), ElementsAre("1"));
  Append("app.log", "2\n");
  Rename("app.log", "app.log.1");
  Append("app.log", "3\n");
  EXPECT_THAT(Read(), UnorderedElementsAre("2", "3"));
  Append("app.log", "4\n");
  Rename("app.log.1", "app.log.2");
  Rename("app.log", "app.log.1");
  Append("app.log", "5\n");
  EXPECT_THAT(Read(), UnorderedElementsAre("4", "5"));
}

TEST_F(RotationTest, RotatedFilesThatThePatternMeansTooAreReadOnce) {
  Append("app.log", "1\n2\n");
  Begin("app.log*");
  EXPECT_THAT(Read(), ElementsAre("1", "2"));
  Append("app.log", "3\n");
  Rename("app.log", "app.log.1");
  Append("app.log", "4\n");
  EXPECT_THAT(Read(), UnorderedElementsAre("3", "4"));
  clock_.later = absl::Minutes(2);
  EXPECT_THAT(Read(), IsEmpty());
  EXPECT_THAT(Read(), IsEmpty());
  Append("app.log.1", "5\n");  // the renamed file grows after all
  EXPECT_THAT(Read(), ElementsAre("5"));
}

TEST_F(RotationTest, CopyAndCutLosesAndRepeatsNothing) {
  Append("app.log", "1\n2\n");
  Begin("app.log");
  EXPECT_THAT(Read(), ElementsAre("1", "2"));
  Append("app.log", "3\n4\n");
  CopyAndCut("app.log", "app.log.1");
  EXPECT_THAT(Read(), ElementsAre("3", "4")) << "from the copy";
  Append("app.log", "5\n");
  EXPECT_THAT(Read(), ElementsAre("5"));
  Append("app.log", "6\n");
  Rename("app.log.1", "app.log.2");
  CopyAndCut("app.log", "app.log.1");
  Append("app.log", "a line that is longer than all of the file before\n");
  EXPECT_THAT(Read(),
              UnorderedElementsAre("6", "a line that is longer than all of the file before"));
  clock_.later = absl::Minutes(2);
  EXPECT_THAT(Read(), IsEmpty());
  EXPECT_EQ(OpenPartitions(), 1u);
  EXPECT_THAT(lost_, IsEmpty());
}

TEST_F(RotationTest, ACopyInTheMakingThatThePatternMeansIsNotReadTwice) {
  Append("app.log", "1\n2\n");
  Begin("app*");
  EXPECT_THAT(Read(), ElementsAre("1", "2"));
  fs::copy_file(Path("app.log"), Path("app.log.1"));
  EXPECT_THAT(Read(), IsEmpty());
  Append("app.log", "3\n");  // rotation by copying loses this line: it is in no copy
  EXPECT_THAT(Read(), ElementsAre("3"));
  fs::remove(Path("app.log.1"));
  CopyAndCut("app.log", "app.log.1");
  EXPECT_THAT(Read(), IsEmpty());
  Append("app.log", "4\n");
  EXPECT_THAT(Read(), ElementsAre("4"));
}

TEST_F(RotationTest, AFileThatBeginsLikeAnotherIsReadWholeOnceItIsNoCopyInTheMaking) {
  Append("a.csv", "id,name\n");
  Begin("*.csv");
  EXPECT_THAT(Read(), ElementsAre("id,name"));
  Append("b.csv", "id,name\n1,x\n");
  EXPECT_THAT(Read(), ElementsAre("id,name", "1,x")) << "longer than what it would be a copy of";
  Append("c.csv", "id,name\n");
  EXPECT_THAT(Read(), IsEmpty());
  clock_.later = absl::Seconds(10);
  EXPECT_THAT(Read(), ElementsAre("id,name"));
}

TEST_F(RotationTest, AFileReplacedBetweenRunsIsReadWholeAndTheOldOneToItsEnd) {
  for (const bool follow : {false, true}) {
    known_.clear();
    Write("f", "a1\na2\n");
    Begin("f", follow);
    EXPECT_THAT(Read(), ElementsAre("a1", "a2"));
    Append("f", "a3\n");
    Rename("f", "f.old");
    Append("f", "n1\nn2\nn3\nn4\n");
    Restart();
    EXPECT_THAT(Read(), UnorderedElementsAre("a3", "n1", "n2", "n3", "n4")) << follow;
    fs::remove(Path("f.old"));
    fs::remove(Path("f"));
  }
}

TEST_F(RotationTest, AFileWrittenAnewBetweenRunsIsReadWhole) {
  for (const bool follow : {false, true}) {
    known_.clear();
    Write("f", "a1\na2\n");
    Begin("f", follow);
    EXPECT_THAT(Read(), ElementsAre("a1", "a2"));
    Write("f", "n1\nn2\nn3\nn4\n");  // the same inode
    Restart();
    EXPECT_THAT(Read(), ElementsAre("n1", "n2", "n3", "n4")) << follow;
    fs::remove(Path("f"));
    Append("f", "n1\nn2\nn3\nn4\nn5\n");  // another file that begins like the last one
    Restart();
    EXPECT_THAT(Read(), SizeIs(5)) << follow;
    fs::remove(Path("f"));
  }
}

TEST_F(RotationTest, WhatIdentifiesASmallFileGrowsWithIt) {
  Append("f.csv", "id,v\n");
  Begin("f.csv");
  EXPECT_THAT(Read(), ElementsAre("id,v"));
  Append("f.csv", "1,a\n2,b\n");
  EXPECT_THAT(Read(), ElementsAre("1,a", "2,b"));
  Write("f.csv", "id,v\n7,x\n8,y\n9,z\n");
  Restart();
  EXPECT_THAT(Read(), ElementsAre("id,v", "7,x", "8,y", "9,z"));
}

TEST_F(RotationTest, AppendingBetweenRunsGoesOn) {
  Append("f", "1\n2\n");
  Begin("f", /*follow=*/false);
  EXPECT_THAT(Read(), ElementsAre("1", "2"));
  Append("f", "3\n");
  Restart();
  EXPECT_THAT(Read(), ElementsAre("3"));
}

TEST_F(RotationTest, AnOldFileOfAPatternIsDeletedAndTheOthersGoOn) {
  Append("1.log", "1\n");
  Append("2.log", "2\n");
  Begin("*.log");
  EXPECT_THAT(Read(), ElementsAre("1", "2"));
  fs::remove(Path("1.log"));
  Append("2.log", "3\n");
  EXPECT_THAT(Read(), ElementsAre("3"));
  EXPECT_TRUE(known_[Path("1.log")].retired);
  EXPECT_THAT(lost_, IsEmpty());
  Append("1.log", "again\n");  // another one
  EXPECT_THAT(Read(), ElementsAre("again"));
}

TEST_F(RotationTest, WhatADeletedFileStillHeldIsNamed) {
  Append("1.log", "1\n");
  Begin("*.log");
  EXPECT_THAT(Read(), ElementsAre("1"));
  Append("1.log", "23\n4");
  EXPECT_TRUE(enumerator_->Ends({Path("1.log")}, absl::Seconds(1)).ok());
  fs::remove(Path("1.log"));
  EXPECT_THAT(Read(), IsEmpty());
  ASSERT_THAT(lost_, SizeIs(1));
  EXPECT_EQ(lost_[0], Path("1.log") + " [2, 6): file " + Path("1.log") + " was deleted");
}

TEST_F(RotationTest, AReaderThatComesTooLateSaysWhatIsLostOrGoesPastIt) {
  for (const char* choice : {"fail", "skip"}) {
    known_.clear();
    Append("f", "1\n2\n");
    Begin("f", true, choice);
    Discover();
    fs::remove(Path("f"));
    const auto chunk = reader_->Read(Path("f"), Offset(4), 10, 0, absl::InfiniteFuture());
    if (std::string(choice) == "fail") {
      EXPECT_EQ(chunk.status().code(), absl::StatusCode::kOutOfRange);
      EXPECT_THAT(std::string(chunk.status().message()), HasSubstr("bytes [0, 4) of it are lost"));
    } else {
      ASSERT_TRUE(chunk.ok()) << chunk.status();
      EXPECT_EQ(chunk->lost_begin, Offset(0));
      EXPECT_EQ(chunk->lost_end, Offset(4));
      EXPECT_EQ(chunk->next, Offset(4));
    }
  }
}

TEST_F(RotationTest, APlanMadeBeforeTheFileWasCutIsReadFromTheCopy) {
  Append("f", "one\ntwo\nthree\n");
  Begin("f");
  Discover();
  CopyAndCut("f", "f.1");
  Append("f", "quite another text that is longer than it was\n");
  Lines lines;
  ReadTo(Offset(14), &known_[Path("f")], &lines);
  EXPECT_THAT(lines, ElementsAre("one", "two", "three"));
}

TEST_F(RotationTest, AFileThatIsCutBetweenTwoReadsIsReadOnFromTheCopy) {
  Lines expected;
  std::string text;
  while (text.size() < 3 << 20) {  // of which a reader has a part in memory
    expected.push_back(absl::StrCat("line ", expected.size(), " of what was there at first"));
    absl::StrAppend(&text, expected.back(), "\n");
  }
  Append("f", text);
  Begin("f");
  Discover();
  KnownPartition& partition = known_[Path("f")];
  Lines lines;
  ReadTo(Offset(1000), &partition, &lines);
  CopyAndCut("f", "f.1");
  Append("f", std::string(2 * text.size(), 'x') + "\n");
  ReadTo(Offset(static_cast<int64_t>(text.size())), &partition, &lines);
  EXPECT_EQ(lines, expected);
}

// Counts descriptors, since a handle left open per file ends a long run.
size_t OpenDescriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count;
}

TEST_F(RotationTest, FilesThatAreReadStayNeitherOpenNorInSight) {
  for (int i = 0; i < 300; ++i) {
    Append(absl::StrCat(i, ".log"), "x\n");
  }
  Begin("*.log");
  const size_t before = OpenDescriptors();
  EXPECT_THAT(Read(), SizeIs(300));
  EXPECT_LE(OpenDescriptors(), before + 1);
  clock_.later = absl::Hours(2);
  EXPECT_THAT(Read(), IsEmpty());
  EXPECT_EQ(OpenPartitions(), 0u);
  // From now on the files are not opened: without permission that would fail. (For root it would
  // not; then this test shows less.)
  for (int i = 0; i < 300; ++i) {
    fs::permissions(Path(absl::StrCat(i, ".log")), fs::perms::none);
  }
  EXPECT_THAT(Read(), IsEmpty());
  Append("new.log", "y\n");
  EXPECT_THAT(Read(), ElementsAre("y"));
}

TEST_F(RotationTest, APathThatEndsLikeANumberedPartitionIsItself) {
  Append("f#2", "1\n");
  Begin("f*");
  EXPECT_THAT(Read(), ElementsAre("1"));
  EXPECT_THAT(files_, ElementsAre(Path("f#2")));
}

TEST_F(RotationTest, SelectsWhatThePathMeans) {
  Begin("logs/*.log");
  EXPECT_TRUE(enumerator_->Selects({.name = Path("logs/a.log")}));
  EXPECT_TRUE(enumerator_->Selects({.name = Path("logs/a.log#3")}));
  EXPECT_FALSE(enumerator_->Selects({.name = Path("logs/a.txt")}));
  EXPECT_FALSE(enumerator_->Selects({.name = Path("other/a.log")}));
  Begin("logs");
  EXPECT_TRUE(enumerator_->Selects({.name = Path("logs/a.txt")}));
  EXPECT_FALSE(enumerator_->Selects({.name = Path("logs/deeper/a.txt")}));
}

}  // namespace
}  // namespace millrace::file
