// The connectors that need nothing but this process, in the contract suites.
#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>

#include "absl/strings/str_cat.h"
#include "connectors/blackhole/blackhole.h"
#include "connectors/memory/memory_tables.h"
#include "tests/contract/sink_contract.h"
#include "tests/contract/source_contract.h"

namespace millrace {
namespace {

// Records of different lengths, so that views of both kinds appear.
std::vector<std::string> SomeValues(const std::string& prefix, size_t count) {
  std::vector<std::string> values;
  values.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    values.push_back(absl::StrCat(prefix, "-", i, std::string(i % 37, '.')));
  }
  return values;
}

std::string FreshName() {
  static std::atomic<int> next{0};
  return absl::StrCat("contract_", next++);
}

class MemorySource : public SourceUnderTest {
 public:
  MemorySource()
      : name_(FreshName()),
        source_(TextSource("memory", "", {{"table", name_}, {"partitions", "2"}})) {
    Append(0, SomeValues("a", 300));
    Append(0, SomeValues("b", 1));
    Append(0, SomeValues("c", 200));
    Append(1, SomeValues("d", 100));
  }
  ~MemorySource() override { memory::MemoryTables::Global().Drop(name_); }

  const proto::Source& source() const override { return source_; }
  std::vector<std::string> Expected(size_t partition) const override {
    return values_.at(partition);
  }
  bool can_append() const override { return true; }
  bool prefetches() const override { return true; }
  void Append(size_t partition, const std::vector<std::string>& values) override {
    memory::MemoryTables::Global().Table(name_)->Append(static_cast<uint32_t>(partition),
                                                        TextRows({values}));
    values_[partition].insert(values_[partition].end(), values.begin(), values.end());
  }

 private:
  std::string name_;
  proto::Source source_;
  std::map<size_t, std::vector<std::string>> values_;
};

class GeneratorSource : public SourceUnderTest {
 public:
  GeneratorSource()
      : source_(TextSource("generator", "",
                           {{"rows", "801"}, {"partitions", "2"}, {"kind.value", "sequence"}})) {}

  const proto::Source& source() const override { return source_; }
  // Rows are dealt out in turns: 401 even numbers, 400 odd ones.
  std::vector<std::string> Expected(size_t partition) const override {
    std::vector<std::string> values;
    for (size_t number = partition; number < 801; number += 2) {
      values.push_back(absl::StrCat(number));
    }
    return values;
  }

 private:
  proto::Source source_;
};

class FileSource : public SourceUnderTest {
 public:
  FileSource(std::string format, bool follow)
      : format_(std::move(format)), directory_(NewDirectory()) {
    source_ = TextSource("file", format_, {{"path", directory_}});
    if (follow) {
      (*source_.mutable_options())["follow"] = "true";
    }
    Append(0, SomeValues("a", 700));
    Append(1, SomeValues("b", 30));
  }
  ~FileSource() override { std::filesystem::remove_all(directory_); }

  const proto::Source& source() const override { return source_; }
  std::vector<std::string> Expected(size_t partition) const override {
    return values_.at(partition);
  }
  bool can_append() const override { return source_.options().count("follow") > 0; }
  void Append(size_t partition, const std::vector<std::string>& values) override {
    std::ofstream file(absl::StrCat(directory_, "/part", partition), std::ios::app);
    for (const std::string& value : values) {
      file << (format_ == "json"  ? absl::StrCat("{\"value\": \"", value, "\"}")
               : format_ == "csv" ? absl::StrCat("\"", value, "\"")
                                  : value)
           << "\n";
      values_[partition].push_back(value);
    }
  }

 private:
  std::string format_;
  std::string directory_;
  proto::Source source_;
  std::map<size_t, std::vector<std::string>> values_;
};

template <typename T, typename... Args>
SourceCase Source(const std::string& name, const Args&... args) {
  return {name, [=]() -> std::unique_ptr<SourceUnderTest> { return std::make_unique<T>(args...); }};
}

INSTANTIATE_TEST_SUITE_P(
    Local, SourceContract,
    testing::Values(Source<MemorySource>("memory"), Source<GeneratorSource>("generator"),
                    Source<FileSource>("file_raw", std::string("raw"), false),
                    Source<FileSource>("file_json", std::string("json"), false),
                    Source<FileSource>("file_csv", std::string("csv"), false),
                    Source<FileSource>("file_raw_followed", std::string("raw"), true),
                    Source<FileSource>("file_csv_followed", std::string("csv"), true)),
    [](const auto& info) { return info.param.name; });

class MemorySink : public SinkUnderTest {
 public:
  MemorySink() : name_(FreshName()), sink_(TextSink("memory", "", {{"table", name_}})) {}
  ~MemorySink() override { memory::MemoryTables::Global().Drop(name_); }

  const proto::Sink& sink() const override { return sink_; }
  proto::Sink UpsertSink() const override {
    proto::Sink sink = sink_;
    sink.clear_columns();
    AddSinkColumn(&sink, "key", proto::TYPE_TEXT);
    AddSinkColumn(&sink, "value", proto::TYPE_TEXT);
    sink.add_key_columns(0);
    sink.set_mode(proto::SINK_UPSERT);
    return sink;
  }
  std::vector<std::string> Visible() const override {
    std::vector<std::string> out;
    for (const memory::MemoryTable::Committed& committed :
         memory::MemoryTables::Global().Table(name_)->committed()) {
      std::vector<std::string> first = Texts(committed.rows);
      if (committed.rows.column_count() == 1) {
        out.insert(out.end(), first.begin(), first.end());
        continue;
      }
      std::vector<std::string> second = Texts(committed.rows, 1);
      for (size_t i = 0; i < first.size(); ++i) {
        out.push_back(committed.rows.weight(i) < 0 ? first[i] + " deleted"
                                                   : first[i] + "=" + second[i]);
      }
    }
    return out;
  }

 private:
  std::string name_;
  proto::Sink sink_;
};

class FileSink : public SinkUnderTest {
 public:
  // Every commit rolls, so that readers see it once it is settled.
  FileSink()
      : directory_(NewDirectory()),
        sink_(TextSink("file", "raw", {{"path", directory_}, {"roll_size", "0"}})) {}
  ~FileSink() override { std::filesystem::remove_all(directory_); }

  const proto::Sink& sink() const override { return sink_; }
  std::vector<std::string> Visible() const override {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
      if (entry.path().filename().string()[0] != '.') {
        paths.push_back(entry.path());
      }
    }
    std::sort(paths.begin(), paths.end());
    std::vector<std::string> lines;
    for (const auto& path : paths) {
      std::ifstream file(path);
      for (std::string line; std::getline(file, line);) {
        lines.push_back(line);
      }
    }
    return lines;
  }

 private:
  std::string directory_;
  proto::Sink sink_;
};

template <typename T>
SinkCase Sink(const std::string& name) {
  return {name, []() -> std::unique_ptr<SinkUnderTest> { return std::make_unique<T>(); }};
}

INSTANTIATE_TEST_SUITE_P(Local, SinkContract,
                         testing::Values(Sink<MemorySink>("memory"), Sink<FileSink>("file")),
                         [](const auto& info) { return info.param.name; });
INSTANTIATE_TEST_SUITE_P(Local, LargeBatchContract, testing::Values(Sink<FileSink>("file")),
                         [](const auto& info) { return info.param.name; });

// A black hole shows nothing: its count is all there is to see.
TEST(BlackholeSink, CountsCommittedRowsOnce) {
  const SinkConnector* connector = *Connectors().Sink("blackhole");
  SinkLife life(connector, TextSink("blackhole", "", {}));
  ASSERT_OK(connector->Validate(life.table));
  const int64_t before = blackhole::BlackholeRows();
  auto member = life.Open();
  ASSERT_OK(member->Write(1, TextRows({{"a", "b", "c"}})));
  EXPECT_EQ(blackhole::BlackholeRows(), before);
  ASSERT_OK(life.CommitAndJournal(member.get(), 1));
  ASSERT_OK(life.CommitAndJournal(member.get(), 1));
  EXPECT_EQ(blackhole::BlackholeRows(), before + 3);
  member = life.Open();
  ASSERT_OK(member->Write(1, TextRows({{"a", "b", "c"}})));
  ASSERT_OK(life.CommitAndJournal(member.get(), 1));
  EXPECT_EQ(blackhole::BlackholeRows(), before + 3);
}

TEST(PrintSink, IsGatheredAndTakesEverything) {
  const SinkConnector* connector = *Connectors().Sink("print");
  EXPECT_TRUE(connector->traits().gathered);
  SinkLife life(connector, TextSink("print", "", {}));
  life.table.set_mode(proto::SINK_CHANGES);
  EXPECT_OK(connector->Validate(life.table));
  EXPECT_FALSE(life.Claim(life.ContextOf(0)).ok());
}

// The driver and the executors must agree with the connector on what a session writes.
TEST(ConnectorRegistry, KnowsWhichSinksHaveSessionsOfTheirOwn) {
  for (const char* name : {"blackhole", "file", "memory"}) {
    EXPECT_EQ((*Connectors().Sink(name))->traits().scope, SinkTraits::Scope::kShard) << name;
  }
  EXPECT_EQ((*Connectors().Sink("kafka"))->traits().scope, SinkTraits::Scope::kExecutor);
}

TEST(ConnectorRegistry, ListsWhatThereIs) {
  absl::Status status = Connectors().Source("kafak").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(),
            "no source connector \"kafak\"; there are: file, generator, kafka, memory");
  EXPECT_EQ(Connectors().Sink("x").status().message(),
            "no sink connector \"x\"; there are: blackhole, file, kafka, memory, print");
  EXPECT_EQ(Connectors().FindFormat("avro").status().message(),
            "no format \"avro\"; there are: csv, json, raw");
}

}  // namespace
}  // namespace millrace
