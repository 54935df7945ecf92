// What is particular to files: incomplete lines, headers, cut files, full disks.
#include "connectors/file/file.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/match.h"
#include "common/types/text_format.h"
#include "connectors/file/file_access.h"
#include "connectors/formats/csv_format.h"
#include "connectors/formats/json_format.h"
#include "connectors/formats/raw_format.h"

namespace millrace {
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
  std::string Contents(const std::string& name) const {
    std::ifstream file(Path(name), std::ios::binary);
    return std::string((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
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

  // All values up to the end the enumerator gives.
  std::vector<std::string> ReadAll(const proto::Source& source, const std::string& path) {
    auto connector = NewFileSourceConnector(&registry_);
    EXPECT_TRUE(connector->Validate(source).ok()) << connector->Validate(source);
    auto enumerator = connector->CreateEnumerator(source, SourceContext{});
    auto reader = connector->CreateReader(source, SourceContext{});
    EXPECT_TRUE((*reader)->Assign(path, Offset(0)).ok());
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

TEST_F(FileTest, RecordsLongerThanABlockAreRead) {
  std::string big(3 << 20, 'x');
  Append("f", "a\n" + big + "\nb\n");
  EXPECT_EQ(ReadAll(Table(Path("f"), "raw"), Path("f")), (Values{"a", big, "b"}));
}

TEST_F(FileTest, ErrorsNameFileAndOffset) {
  Append("f", "{\"value\": \"a\"}\n\nnonsense\n");
  auto connector = NewFileSourceConnector(&registry_);
  auto reader = *connector->CreateReader(Table(Path("f"), "json"), SourceContext{});
  ASSERT_TRUE(reader->Assign(Path("f"), Offset(0)).ok());
  auto chunk = reader->Read(Path("f"), Offset(25), 10, 0, absl::InfiniteFuture());
  ASSERT_TRUE(chunk.ok()) << chunk.status();
  ASSERT_EQ(chunk->offsets.size(), 2u) << "the blank line is no record";
  ASSERT_EQ(chunk->errors.size(), 1u);
  EXPECT_TRUE(absl::StrContains(chunk->errors[0].status.message(),
                                Path("f") + " offset 16: not a JSON object"));
}

TEST_F(FileTest, AFileThatGotShorterIsAnError) {
  Append("f", "one\ntwo\n");
  auto connector = NewFileSourceConnector(&registry_);
  proto::Source source = Followed(Table(Path("f"), "raw"));
  auto enumerator = *connector->CreateEnumerator(source, SourceContext{});
  EXPECT_EQ(EndOf(enumerator.get(), Path("f")), 8);
  std::filesystem::resize_file(Path("f"), 4);
  EXPECT_EQ(enumerator->Ends({Path("f")}, absl::Seconds(1)).status().code(),
            absl::StatusCode::kOutOfRange);
  auto reader = *connector->CreateReader(source, SourceContext{});
  ASSERT_TRUE(reader->Assign(Path("f"), Offset(0)).ok());
  absl::Status status = reader->Read(Path("f"), Offset(8), 10, 0, absl::InfiniteFuture()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_TRUE(absl::StrContains(status.message(), "offsets [4, 8) are lost")) << status;
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
  absl::Status status = ListFiles(Path("c.csv"), false).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(absl::StrContains(status.message(), "did you mean a.csv")) << status;
}

class FileSinkTest : public FileTest {
 protected:
  proto::Sink Target(const std::string& format) const {
    proto::Sink sink;
    sink.set_table("t");
    sink.set_connector("file");
    sink.set_format(format);
    (*sink.mutable_options())["path"] = directory_;
    proto::Field* column = sink.add_columns();
    column->set_name("value");
    column->mutable_type()->set_kind(proto::TYPE_TEXT);
    return sink;
  }
  std::unique_ptr<SinkWriter> Open(const proto::Sink& sink, const std::string& marker = "") {
    SinkContext context;
    context.incarnation = "0f0e0d0c-1111";
    context.marker = marker;
    auto connector = NewFileSinkConnector(&registry_);
    auto writer = connector->CreateWriter(sink, context);
    EXPECT_TRUE(writer.ok()) << writer.status();
    return *std::move(writer);
  }
  static absl::Status Write(SinkWriter* writer, int64_t batch, const std::string& value) {
    auto column = std::make_shared<Column>(MakeType(TypeId::kText), 1);
    column->SetTextCopy(0, value);
    return writer->Write(BatchId(batch), 0, Batch({column}, 1));
  }
};

TEST_F(FileSinkTest, CutsOffWhatWasNotCommitted) {
  auto writer = Open(Target("raw"));
  ASSERT_TRUE(Write(writer.get(), 1, "one").ok());
  auto marker = writer->Commit(BatchId(1), absl::InfiniteFuture());
  ASSERT_TRUE(marker.ok()) << marker.status();
  EXPECT_EQ(*marker, "1 4 part-0-0-0f0e0d0c.txt");
  ASSERT_TRUE(Write(writer.get(), 2, "two").ok());
  ASSERT_TRUE(writer->Commit(BatchId(2), absl::InfiniteFuture()).ok());
  // The journal knows of batch 1 only.
  writer = Open(Target("raw"), *marker);
  EXPECT_EQ(Contents("part-0-0-0f0e0d0c.txt"), "one\n");
}

TEST_F(FileSinkTest, AFileCutByOthersIsDataLoss) {
  Append("part-0-0-0f0e0d0c.txt", "on");
  SinkContext context;
  context.marker = "1 4 part-0-0-0f0e0d0c.txt";
  EXPECT_EQ(NewFileSinkConnector(&registry_)->CreateWriter(Target("raw"), context).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST_F(FileSinkTest, WritesACsvHeaderOnce) {
  proto::Sink sink = Target("csv");
  (*sink.mutable_options())["header"] = "true";
  auto writer = Open(sink);
  ASSERT_TRUE(Write(writer.get(), 1, "a,b").ok());
  auto marker = writer->Commit(BatchId(1), absl::InfiniteFuture());
  ASSERT_TRUE(marker.ok());
  writer = Open(sink, *marker);
  ASSERT_TRUE(Write(writer.get(), 2, "c").ok());
  ASSERT_TRUE(writer->Commit(BatchId(2), absl::InfiniteFuture()).ok());
  EXPECT_EQ(Contents("part-0-0-0f0e0d0c.csv"), "value\n\"a,b\"\nc\n");
}

TEST_F(FileSinkTest, AFullDiskIsSaidAndCanBeTriedAgain) {
  std::filesystem::create_symlink("/dev/full", Path("part-0-0-0f0e0d0c.txt"));
  auto writer = Open(Target("raw"));
  ASSERT_TRUE(Write(writer.get(), 1, "one").ok());
  for (int i = 0; i < 2; ++i) {
    absl::Status status = writer->Commit(BatchId(1), absl::InfiniteFuture()).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "No space left on device")) << status;
  }
}

TEST_F(FileSinkTest, RawLinesHoldNoLineEnd) {
  auto writer = Open(Target("raw"));
  EXPECT_EQ(Write(writer.get(), 1, "one\ntwo").code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(FileSinkTest, AFileIsNoDirectory) {
  Append("f", "x");
  proto::Sink sink = Target("raw");
  (*sink.mutable_options())["path"] = Path("f");
  EXPECT_FALSE(NewFileSinkConnector(&registry_)->Probe(sink, absl::Seconds(1)).ok());
}

}  // namespace
}  // namespace millrace
