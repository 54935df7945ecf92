#include "connectors/kafka/sink/sink_connector.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "connectors/kafka/client/client.h"
#include "connectors/kafka/client/properties.h"
#include "connectors/kafka/client/topic_limits.h"
#include "connectors/kafka/client/topics.h"
#include "connectors/kafka/sink/former_claim.h"
#include "connectors/kafka/sink/mark_log.h"
#include "connectors/kafka/sink/record_encoder.h"
#include "connectors/kafka/sink/sink_producer.h"
#include "connectors/kafka/sink/sink_session.h"
#include "connectors/kafka/sink/sink_settings.h"
#include "connectors/shared/options.h"

namespace millrace::kafka {
namespace {

class KafkaSinkConnector : public SinkConnector {
 public:
  explicit KafkaSinkConnector(const ConnectorRegistry* formats) : formats_(formats) {}

  absl::Status Validate(const proto::Sink& sink) const override {
    ASSIGN_OR_RETURN(const Format* format, FormatOf(sink));
    std::vector<std::string> own = format->Options({.sink = true});
    for (std::string& name : KafkaSinkOptionNames()) {
      own.push_back(std::move(name));
    }
    const OptionMap& options = sink.options();
    RETURN_IF_ERROR(CheckKafkaOptionNames(options, KafkaRole::kProducer, own));
    RETURN_IF_ERROR(
        RequiredOption(options, "kafka", "bootstrap.servers", "'localhost:9092'").status());
    RETURN_IF_ERROR(ParseKafkaSinkSettings(sink).status());
    RETURN_IF_ERROR(CheckKafkaPropertyValues(KafkaRole::kProducer, options));
    RETURN_IF_ERROR(CheckSinkMode(sink, "kafka", traits()));
    ASSIGN_OR_RETURN(KafkaSinkColumns columns, SplitKafkaSinkColumns(sink));
    return format->ValidateSink(columns.payload);
  }

  SinkTraits traits() const override {
    return {.scope = SinkTraits::Scope::kExecutor, .accepts_upsert = true};
  }

  absl::Status Probe(const proto::Sink& sink, absl::Duration timeout) const override {
    ASSIGN_OR_RETURN(KafkaSinkSettings settings, ParseKafkaSinkSettings(sink));
    // Asks as a consumer, for which the broker never creates the topic, as it may for a producer.
    ASSIGN_OR_RETURN(std::shared_ptr<KafkaClient> client,
                     KafkaClient::Create(KafkaRole::kConsumer, sink.options(),
                                         {{"group.id", "millrace-probe"}}));
    const absl::StatusOr<KafkaTopicLimits> limits =
        ReadKafkaTopicLimits(client.get(), settings.topic, timeout);
    if (!limits.ok()) {
      return WithCreationAdvice(limits.status(), settings.topic);
    }
    // Properties that do not go together show only when all of them are in one client.
    const KafkaProducerConfig config{.options = sink.options(),
                                     .settings = settings.session,
                                     .name = "millrace-probe",
                                     .tables = {settings.table},
                                     .topics = {settings.topic},
                                     .log_topic = settings.session.marker_topic};
    RETURN_IF_ERROR(KafkaSinkProducer::Create(config).status());
    RETURN_IF_ERROR(CheckMarkLog(client.get(), settings.session.marker_topic, timeout));
    ASSIGN_OR_RETURN(const KafkaSinkColumns columns, SplitKafkaSinkColumns(sink));
    if (limits->wants_key && sink.mode() != proto::SINK_UPSERT && columns.key < 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "topic ", settings.topic, " has cleanup.policy = compact and takes no record without a ",
          "key: give table ", sink.table(), " a PRIMARY KEY, or write _key"));
    }
    return absl::OkStatus();
  }

  std::vector<std::pair<std::string, SqlType>> MetadataColumns() const override {
    return KafkaSinkMetadataColumns();
  }

  std::string SessionKey(const proto::Sink& sink) const override { return KafkaSessionKey(sink); }

  absl::StatusOr<std::unique_ptr<SinkSession>> Open(const std::vector<SinkTable>& tables,
                                                    const SinkContext& context) const override {
    return OpenKafkaSinkSession(tables, context, formats_);
  }

  absl::StatusOr<BatchId> ClaimFormerShard(const proto::Sink& sink,
                                           const SinkContext& context) const override {
    return ClaimFormerKafkaShard(sink, context);
  }

 private:
  absl::StatusOr<const Format*> FormatOf(const proto::Sink& sink) const {
    if (sink.format().empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("table ", sink.table(), " needs the option format: raw, json or csv"));
    }
    return formats_->FindFormat(sink.format());
  }

  const ConnectorRegistry* formats_;
};

}  // namespace

std::unique_ptr<SinkConnector> NewKafkaSinkConnector(const ConnectorRegistry* formats) {
  return std::make_unique<KafkaSinkConnector>(formats);
}

}  // namespace millrace::kafka
