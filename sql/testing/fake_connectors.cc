#include "sql/testing/fake_connectors.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace millrace::sql {
namespace {

using MetadataColumnList = std::vector<std::pair<std::string, SqlType>>;

template <typename Table>
absl::Status CheckOptions(const Table& table) {
  if (table.connector() == "kafka" && table.options().count("topic") == 0) {
    return absl::InvalidArgumentError("connector kafka needs option \"topic\"");
  }
  for (const auto& [name, value] : table.options()) {
    if (name != "topic" && name != "path" && name != "bootstrap.servers") {
      return absl::InvalidArgumentError(absl::StrCat("unknown option \"", name, "\""));
    }
  }
  return absl::OkStatus();
}

class FakeSource : public SourceConnector {
 public:
  explicit FakeSource(MetadataColumnList metadata) : metadata_(std::move(metadata)) {}

  absl::Status Validate(const proto::Source& source) const override { return CheckOptions(source); }
  SourceTraits Traits(const proto::Source&) const override { return {}; }
  MetadataColumnList MetadataColumns() const override { return metadata_; }
  absl::StatusOr<std::unique_ptr<SourceEnumerator>> CreateEnumerator(
      const proto::Source&, const SourceContext&) const override {
    return absl::UnimplementedError("fake");
  }
  absl::StatusOr<std::unique_ptr<SourceReader>> CreateReader(const proto::Source&,
                                                             const SourceContext&) const override {
    return absl::UnimplementedError("fake");
  }

 private:
  const MetadataColumnList metadata_;
};

class FakeSink : public SinkConnector {
 public:
  FakeSink(MetadataColumnList metadata, SinkTraits traits)
      : metadata_(std::move(metadata)), traits_(traits) {}

  absl::Status Validate(const proto::Sink& sink) const override { return CheckOptions(sink); }
  SinkTraits traits() const override { return traits_; }
  absl::Status Probe(const proto::Sink&, absl::Duration) const override { return absl::OkStatus(); }
  MetadataColumnList MetadataColumns() const override { return metadata_; }
  absl::StatusOr<std::unique_ptr<SinkSession>> Open(const std::vector<SinkTable>&,
                                                    const SinkContext&) const override {
    return absl::UnimplementedError("fake");
  }

 private:
  const MetadataColumnList metadata_;
  const SinkTraits traits_;
};

class FakeFormat : public Format {
 public:
  explicit FakeFormat(std::string name) : name_(std::move(name)) {}

  const std::string& name() const override { return name_; }
  FormatTraits traits() const override { return {.file_extension = name_}; }
  std::vector<std::string> Options(FormatRole) const override { return {}; }
  absl::Status ValidateSource(const proto::Source&) const override { return absl::OkStatus(); }
  absl::Status ValidateSink(const proto::Sink&) const override { return absl::OkStatus(); }
  absl::StatusOr<std::unique_ptr<FormatDecoder>> CreateDecoder(
      const proto::Source&) const override {
    return absl::UnimplementedError("fake");
  }
  absl::StatusOr<std::unique_ptr<FormatEncoder>> CreateEncoder(const proto::Sink&) const override {
    return absl::UnimplementedError("fake");
  }

 private:
  const std::string name_;
};

}  // namespace

std::unique_ptr<ConnectorRegistry> MakeFakeConnectors() {
  auto registry = std::make_unique<ConnectorRegistry>();
  const MetadataColumnList kafka_source = {{"_topic", MakeType(TypeId::kText)},
                                           {"_partition", MakeType(TypeId::kInt32)},
                                           {"_offset", MakeType(TypeId::kInt64)},
                                           {"_timestamp", MakeType(TypeId::kTimestampTz)},
                                           {"_key", MakeType(TypeId::kBytea)}};
  const MetadataColumnList kafka_sink = {{"_key", MakeType(TypeId::kBytea)},
                                         {"_partition", MakeType(TypeId::kInt32)}};
  registry->AddSource("kafka", std::make_unique<FakeSource>(kafka_source));
  registry->AddSource("file", std::make_unique<FakeSource>(MetadataColumnList{}));
  registry->AddSink("kafka",
                    std::make_unique<FakeSink>(kafka_sink, SinkTraits{.accepts_upsert = true}));
  registry->AddSink("file", std::make_unique<FakeSink>(MetadataColumnList{}, SinkTraits{}));
  registry->AddSink("print", std::make_unique<FakeSink>(MetadataColumnList{},
                                                        SinkTraits{.accepts_changes = true}));
  registry->AddFormat(std::make_unique<FakeFormat>("raw"));
  registry->AddFormat(std::make_unique<FakeFormat>("json"));
  return registry;
}

}  // namespace millrace::sql
