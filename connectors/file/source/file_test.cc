// Behaviour that only files have as a source: incomplete lines, headers, cut files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/types/text_format.h"
#include "connectors/file/source/file_access.h"
#include "connectors/file/source/file_source.h"
#include "connectors/formats/csv/csv_format.h"
#include "connectors/formats/json/json_format.h"
#include "connectors/formats/raw/raw_format.h"

namespace millrace::file {
namespace {

class FileTest : public testing::Test {
 public:
  FileTest() {
    registry_.AddFormat(NewRawFormat());
    registry_.AddFormat(NewJsonFormat());
    registry_.AddFormat(NewCsvFormat());
    std::string pattern = std::string(std::getenv("TEST_TMPDIR")) + "/files-XXXXXX";
    directory_ = mkdtemp(pattern.data());
  }
  ~FileTest() override { std::filesystem::remove_all(directory_); }

 protected:
  std::string Path(const std::string& name) const { return directory_ + "/" + name; }
  void Append(const std::string& name, const std::string& text) const {
    std::ofstream(Path(name), std::ios::app | std::ios::binary) << text;
  }

  proto::Source Table(const std::string& path, const std::string& format) const {
    proto::Source source;
    source.set_table("t");
    source.set_connector("file");
    source.set_format(format);
    (*source.mutable_options())["path"] = path;
    proto::Field* declared = source.add_declared();
    declared->set_name("value");
    declared->mutable_type()->set_kind(proto::TYPE_TEXT);
    proto::SourceColumn* column = source.add_columns();
    column->set_name("value");
    column->mutable_type()->set_kind(proto::TYPE_TEXT);
    return source;
  }
  static proto::Source Followed(proto::Source source) {
    (*source.mutable_options())["follow"] = "true";
    return source;
  }

  int64_t EndOf(SourceEnumerator* enumerator, const std::string& path) {
    auto ends = enumerator->Ends({path}, absl::Seconds(1));
    EXPECT_TRUE(ends.ok()) << ends.status();
    return (*ends)[0].stable_end.value();
  }

  // Reads all values up to the end that the enumerator gives.
  std::vector<std::string> ReadAll(const proto::Source& source, const std::string& path) {
    auto connector = NewFileSourceConnector(&registry_);
    EXPECT_TRUE(connector->Validate(source).ok()) << connector->Validate(source);
    auto enumerator = connector->CreateEnumerator(source, SourceContext{});
    auto reader = connector->CreateReader(source, SourceContext{});
    EXPECT_TRUE((*reader)->Assign({path, Offset(0)}).ok());
    int64_t end = EndOf(enumerator->get(), path);
    std::vector<std::string> values;
    for (int64_t position = 0; position < end;) {
      auto chunk = (*reader)->Read(path, Offset(end), 1000, 0, absl::InfiniteFuture());
      EXPECT_TRUE(chunk.ok()) << chunk.status();
      for (size_t row = 0; row < chunk->offsets.size(); ++row) {
        values.push_back(ValueToString(*chunk->batch.column(0), row));
      }
      position = chunk->next.value();
    }
    return values;
  }

  ConnectorRegistry registry_;
  std::string directory_;
};

using Values = std::vector<std::string>;

TEST_F(FileTest, TheLastLineNeedsNoEndInABoundedFile) {
  Append("f", "one\ntwo\r\n\nlast");
  EXPECT_EQ(ReadAll(Table(Path("f"), "raw"), Path("f")), (Values{"one", "two", "", "last"}));
}

TEST_F(FileTest, AFileUrlIsThePathInIt) {
  Append("f", "one\n");
  EXPECT_EQ(ReadAll(Table("file://" + Path("f"), "raw"), Path("f")), Values{"one"});
  auto connector = NewFileSourceConnector(&registry_);
  for (const proto::Source& source :
       {Table("file://" + Path("f"), "raw"), Followed(Table("file://" + Path("*"), "raw"))}) {
    const auto found =
        (*connector->CreateEnumerator(source, SourceContext{}))->Discover(absl::Seconds(1));
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(*found, Values{Path("f")});
  }
}

// With follow, a relative path "s3:/…" would be waited for, without a word.
TEST_F(FileTest, AUrlThatIsNoPathIsRefused) {
  auto connector = NewFileSourceConnector(&registry_);
  for (const char* url : {"s3://bucket/f", "file://host/f", "file:/f"}) {
    const absl::Status status = connector->Validate(Followed(Table(url, "raw")));
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << url << ": " << status;
    EXPECT_TRUE(absl::StrContains(status.message(), absl::StrCat("option path = '", url, "'")))
        << status;
  }
}

TEST_F(FileTest, AFollowedFileGivesCompleteLinesOnly) {
  Append("f", "one\ntw");
  proto::Source source = Followed(Table(Path("f"), "raw"));
  auto connector = NewFileSourceConnector(&registry_);
  auto enumerator = *connector->CreateEnumerator(source, SourceContext{});
  EXPECT_EQ(EndOf(enumerator.get(), Path("f")), 4);
  Append("f", "o\n");
  EXPECT_EQ(EndOf(enumerator.get(), Path("f")), 8);
  EXPECT_EQ(ReadAll(source, Path("f")), (Values{"one", "two"}));
}

TEST_F(FileTest, ALineEndBetweenQuotesIsPartOfTheField) {
  Append("f.csv", "value\n\"one\ntwo\"\nthree\n\"fo");
  proto::Source source = Followed(Table(Path("f.csv"), "csv"));
  (*source.mutable_options())["header"] = "true";
  EXPECT_EQ(ReadAll(source, Path("f.csv")), (Values{"one\ntwo", "three"}));
  Append("f.csv", "ur\nfive\"\n");
  EXPECT_EQ(ReadAll(source, Path("f.csv")), (Values{"one\ntwo", "three", "four\nfive"}));
}

TEST_F(FileTest, AStrayQuoteInACsvFileLeavesTheOtherLines) {
  Append("f.csv", "a\n5\" pipe\nb\n\"c\nd\"\n\"x\"y\ne\n");
  for (const proto::Source& source :
       {Table(Path("f.csv"), "csv"), Followed(Table(Path("f.csv"), "csv"))}) {
    auto connector = NewFileSourceConnector(&registry_);
    auto enumerator = *connector->CreateEnumerator(source, SourceContext{});
    EXPECT_EQ(EndOf(enumerator.get(), Path("f.csv")), 25);
    auto reader = *connector->CreateReader(source, SourceContext{});
    ASSERT_TRUE(reader->Assign({Path("f.csv"), Offset(0)}).ok());
    auto chunk = reader->Read(Path("f.csv"), Offset(25), 10, 0, absl::InfiniteFuture());
    ASSERT_TRUE(chunk.ok()) << chunk.status();
    EXPECT_EQ(chunk->offsets, (std::vector<int64_t>{0, 2, 10, 12, 18, 23}));
    ASSERT_EQ(chunk->errors.size(), 2u);
    EXPECT_EQ(chunk->errors[0].row, 1u);
    EXPECT_EQ(chunk->errors[1].row, 4u);
  }
}

TEST_F(FileTest, RecordsLongerThanABlockAreRead) {
  std::string big(3 << 20, 'x');
  Append("f", "a\n" + big + "\nb\n");
  EXPECT_EQ(ReadAll(Table(Path("f"), "raw"), Path("f")), (Values{"a", big, "b"}));
}

// It ended the job, whatever on_error said, and again whenever the job was submitted.
TEST_F(FileTest, ARecordThatIsTooLongToBeHeldIsABadOne) {
  Append("f", "a\n");
  std::filesystem::resize_file(Path("f"), 2 + (129 << 20));  // a line of NULs, which take no space
  Append("f", "\nb\n");
  for (const proto::Source& source :
       {Table(Path("f"), "raw"), Followed(Table(Path("f"), "json"))}) {
    auto connector = NewFileSourceConnector(&registry_);
    auto reader = *connector->CreateReader(source, SourceContext{});
    ASSERT_TRUE(reader->Assign({Path("f"), Offset(2)}).ok());
    const Offset end((129 << 20) + 5);
    auto chunk = reader->Read(Path("f"), end, 10, 0, absl::InfiniteFuture());
    ASSERT_TRUE(chunk.ok()) << chunk.status();
    EXPECT_EQ(chunk->offsets, std::vector<int64_t>{2});
    EXPECT_EQ(chunk->next, Offset((129 << 20) + 3));
    ASSERT_EQ(chunk->errors.size(), 1u);
    EXPECT_TRUE(absl::StrContains(chunk->errors[0].status.message(),
                                  Path("f") + " offset 2: the record is longer than 134217728"));
    EXPECT_EQ(chunk->raw(0).topic, Path("f"));
    EXPECT_FALSE(chunk->raw(0).value.has_value());
    chunk = reader->Read(Path("f"), end, 10, 0, absl::InfiniteFuture());
    ASSERT_TRUE(chunk.ok()) << chunk.status();
    EXPECT_EQ(chunk->offsets, std::vector<int64_t>{(129 << 20) + 3});
    EXPECT_EQ(chunk->next, end);
  }
}

TEST_F(FileTest, AByteOrderMarkAtTheStartIsPassedOver) {
  const std::string mark = "\xEF\xBB\xBF";
  Append("raw", mark + "one\ntwo\n");
  EXPECT_EQ(ReadAll(Table(Path("raw"), "raw"), Path("raw")), (Values{"one", "two"}));
  Append("only", mark);
  EXPECT_EQ(ReadAll(Table(Path("only"), "raw"), Path("only")), Values{});
  Append("json", mark + "{\"value\": \"a\"}\n{\"value\": \"b\"}\n");
  EXPECT_EQ(ReadAll(Table(Path("json"), "json"), Path("json")), (Values{"a", "b"}));
  Append("csv", mark + "\"a\nb\"\nc\n");
  EXPECT_EQ(ReadAll(Table(Path("csv"), "csv"), Path("csv")), (Values{"a\nb", "c"}));
  proto::Source header = Table(Path("csv"), "csv");
  (*header.mutable_options())["header"] = "true";
  EXPECT_EQ(ReadAll(header, Path("csv")), Values{"c"});
  // In other places, the mark is a character like any other.
  Append("later", "one\n" + mark + "two\n");
  EXPECT_EQ(ReadAll(Table(Path("later"), "raw"), Path("later")), (Values{"one", mark + "two"}));
}

TEST_F(FileTest, AnEmptyLineOfOneCsvColumnIsItsNull) {
  Append("f.csv", "\n\"\"\na\n\n");
  EXPECT_EQ(ReadAll(Table(Path("f.csv"), "csv"), Path("f.csv")), (Values{"NULL", "", "a", "NULL"}));
  proto::Source two = Table(Path("g.csv"), "csv");
  *two.add_declared() = two.declared(0);
  two.mutable_declared(1)->set_name("other");
  Append("g.csv", "a,b\n\nc,d\n");
  EXPECT_EQ(ReadAll(two, Path("g.csv")), (Values{"a", "c"}));
}

TEST_F(FileTest, ErrorsNameFileAndOffset) {
  Append("f", "{\"value\": \"a\"}\n\nnonsense\n");
  auto connector = NewFileSourceConnector(&registry_);
  auto reader = *connector->CreateReader(Table(Path("f"), "json"), SourceContext{});
  ASSERT_TRUE(reader->Assign({Path("f"), Offset(0)}).ok());
  auto chunk = reader->Read(Path("f"), Offset(25), 10, 0, absl::InfiniteFuture());
  ASSERT_TRUE(chunk.ok()) << chunk.status();
  ASSERT_EQ(chunk->offsets.size(), 2u) << "the blank line is no record";
  ASSERT_EQ(chunk->errors.size(), 1u);
  EXPECT_TRUE(absl::StrContains(chunk->errors[0].status.message(),
                                Path("f") + " offset 16: not a JSON object"));
}

TEST_F(FileTest, AFileThatGotShorterIsGone) {
  Append("f", "one\ntwo\n");
  auto connector = NewFileSourceConnector(&registry_);
  proto::Source source = Followed(Table(Path("f"), "raw"));
  auto enumerator = *connector->CreateEnumerator(source, SourceContext{});
  EXPECT_EQ(EndOf(enumerator.get(), Path("f")), 8);
  std::filesystem::resize_file(Path("f"), 4);
  auto ends = enumerator->Ends({Path("f")}, absl::Seconds(1));
  ASSERT_TRUE(ends.ok()) << ends.status();
  EXPECT_EQ((*ends)[0].phase, PartitionPhase::kGone);
  EXPECT_EQ((*ends)[0].stable_end, Offset(8));
  auto reader = *connector->CreateReader(source, SourceContext{});
  ASSERT_TRUE(reader->Assign({Path("f"), Offset(0)}).ok());
  absl::Status status = reader->Read(Path("f"), Offset(8), 10, 0, absl::InfiniteFuture()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_TRUE(absl::StrContains(status.message(), "bytes [0, 8) of it are lost")) << status;
}

TEST_F(FileTest, AFifoIsRefusedAndNotWaitedFor) {
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0600), 0);
  for (const proto::Source& source :
       {Table(Path("fifo"), "raw"), Followed(Table(Path("fifo"), "raw"))}) {
    auto connector = NewFileSourceConnector(&registry_);
    auto enumerator = *connector->CreateEnumerator(source, SourceContext{});
    const absl::Status found = enumerator->Discover(absl::Seconds(1)).status();
    EXPECT_EQ(found.code(), absl::StatusCode::kInvalidArgument) << found;
    EXPECT_TRUE(absl::StrContains(found.message(), "fifo is not a regular file")) << found;
  }
  // One that took a known file's place is not waited for either.
  EXPECT_FALSE(FileHandle::OpenToRead(Path("fifo")).ok());
  EXPECT_FALSE(FileHandle::OpenToRead("/dev/zero").ok());
}

TEST_F(FileTest, FindsDirectoriesGlobsAndNearNames) {
  Append("b.csv", "x\n");
  Append("a.csv", "x\n");
  Append("_marker", "");
  Append(".hidden", "");
  EXPECT_EQ(*ListFiles(directory_, false), (Values{Path("a.csv"), Path("b.csv")}));
  EXPECT_EQ(*ListFiles(Path("b*"), false), Values{Path("b.csv")});
  EXPECT_EQ(*ListFiles(Path("z*"), true), Values{});
  EXPECT_EQ(ListFiles(Path("z*"), false).status().code(), absl::StatusCode::kNotFound);
  Append("b\xE9.csv", "x\n");  // é in Latin-1: such a name cannot be journaled
  EXPECT_THAT(ListFiles(directory_, true).status().message(),
              testing::HasSubstr("b\\xe9.csv has a name that is not UTF-8"));
  absl::Status status = ListFiles(Path("c.csv"), false).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(absl::StrContains(status.message(), "did you mean a.csv")) << status;
}

}  // namespace
}  // namespace millrace::file
