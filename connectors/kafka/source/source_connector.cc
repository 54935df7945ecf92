#include "connectors/kafka/source/source_connector.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "connectors/kafka/client/client.h"
#include "connectors/kafka/client/properties.h"
#include "connectors/kafka/client/start_position.h"
#include "connectors/kafka/client/topics.h"
#include "connectors/kafka/source/chunk_builder.h"
#include "connectors/kafka/source/enumerator.h"
#include "connectors/kafka/source/reader.h"
#include "connectors/shared/options.h"

namespace millrace::kafka {
namespace {

class KafkaSourceConnector : public SourceConnector {
 public:
  explicit KafkaSourceConnector(const ConnectorRegistry* formats) : formats_(formats) {}

  absl::Status Validate(const proto::Source& source) const override {
    ASSIGN_OR_RETURN(const Format* format, FormatOf(source));
    std::vector<std::string> own = format->Options({});
    own.insert(own.end(), {"group", "on_data_loss", "start", "topic"});
    const OptionMap& options = source.options();
    RETURN_IF_ERROR(CheckKafkaOptionNames(options, KafkaRole::kConsumer, own));
    RETURN_IF_ERROR(
        RequiredOption(options, "kafka", "bootstrap.servers", "'localhost:9092'").status());
    ASSIGN_OR_RETURN(std::string topic,
                     RequiredOption(options, "kafka", "topic", "'events' or '/events-.*/'"));
    ASSIGN_OR_RETURN(KafkaTopicSelection topics, ParseKafkaTopics(topic));
    ASSIGN_OR_RETURN(KafkaStart start, ParseKafkaStart(OptionOr(options, "start", "earliest")));
    if (start.kind == KafkaStart::Kind::kOffsets && topics.names.size() != 1) {
      return absl::InvalidArgumentError(
          "option start = 'offsets:…' gives offsets by partition number: it needs the option topic "
          "to name one topic");
    }
    if (OptionOr(options, "group", "x").empty()) {
      return absl::InvalidArgumentError("option group = '': a consumer group has a name");
    }
    RETURN_IF_ERROR(ChoiceOption(options, "on_data_loss", "fail", {"fail", "skip"}).status());
    RETURN_IF_ERROR(CheckKafkaPropertyValues(KafkaRole::kConsumer, options));
    RETURN_IF_ERROR(CheckSourceColumns(source, MetadataColumns()));
    return format->ValidateSource(source);
  }

  SourceTraits Traits(const proto::Source& source) const override {
    const absl::StatusOr<KafkaTopicSelection> topics =
        ParseKafkaTopics(OptionOr(source.options(), "topic", ""));
    return {.may_lose_partitions = topics.ok() && !topics->pattern.empty()};
  }

  std::vector<std::pair<std::string, SqlType>> MetadataColumns() const override {
    return KafkaMetadataColumns();
  }

  absl::StatusOr<std::unique_ptr<SourceEnumerator>> CreateEnumerator(
      const proto::Source& source, const SourceContext& context) const override {
    return NewKafkaEnumerator(source, context);
  }

  absl::StatusOr<std::unique_ptr<SourceReader>> CreateReader(
      const proto::Source& source, const SourceContext& context) const override {
    ASSIGN_OR_RETURN(const Format* format, FormatOf(source));
    return NewKafkaReader(source, context, format);
  }

 private:
  absl::StatusOr<const Format*> FormatOf(const proto::Source& source) const {
    if (source.format().empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("table ", source.table(), " needs the option format: raw, json or csv"));
    }
    return formats_->FindFormat(source.format());
  }

  const ConnectorRegistry* formats_;
};

}  // namespace

std::unique_ptr<SourceConnector> NewKafkaSourceConnector(const ConnectorRegistry* formats) {
  return std::make_unique<KafkaSourceConnector>(formats);
}

}  // namespace millrace::kafka
