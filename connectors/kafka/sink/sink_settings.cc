#include "connectors/kafka/sink/sink_settings.h"

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "connectors/kafka/client/topics.h"
#include "connectors/shared/flow_out.h"

namespace millrace::kafka {
namespace {

// librdkafka's defaults, for options without a value.
constexpr int64_t kDefaultMaxMessageBytes = 1000000;
constexpr int64_t kDefaultBatchBytes = 1000000;
constexpr int64_t kDefaultTransactionTimeoutMs = 60000;

absl::StatusOr<std::string> OneTopic(const std::string& option, const std::string& value,
                                     const std::string& table) {
  ASSIGN_OR_RETURN(KafkaTopicSelection topics, ParseKafkaTopics(value));
  if (topics.names.size() != 1) {
    return absl::InvalidArgumentError(absl::StrCat("option ", option, " = '", value, "': table ",
                                                   table, " is written to, so it has one topic"));
  }
  return topics.names[0];
}

}  // namespace

std::vector<std::string> KafkaSinkOptionNames() {
  return {"topic", "delivery", "marker_topic", "on_lost_marker", kMaxHeldOption};
}

absl::StatusOr<KafkaSinkSettings> ParseKafkaSinkSettings(const proto::Sink& sink) {
  const OptionMap& options = sink.options();
  KafkaSinkSettings settings{.table = sink.table()};
  ASSIGN_OR_RETURN(std::string topic, RequiredOption(options, "kafka", "topic", "'counts'"));
  ASSIGN_OR_RETURN(settings.topic, OneTopic("topic", topic, sink.table()));
  ASSIGN_OR_RETURN(
      settings.marker_topic,
      OneTopic("marker_topic", OptionOr(options, "marker_topic", kDefaultKafkaMarkerTopic),
               sink.table()));
  ASSIGN_OR_RETURN(std::string delivery, ChoiceOption(options, "delivery", "exactly_once",
                                                      {"exactly_once", "at_least_once"}));
  settings.exactly_once = delivery == "exactly_once";
  ASSIGN_OR_RETURN(std::string lost, ChoiceOption(options, "on_lost_marker", "fail",
                                                  {"fail", "written", "not_written"}));
  settings.on_lost_marker = lost == "written"       ? OnLostMarker::kWritten
                            : lost == "not_written" ? OnLostMarker::kNotWritten
                                                    : OnLostMarker::kFail;
  ASSIGN_OR_RETURN(
      settings.max_message_bytes,
      IntOption(options, "message.max.bytes", kDefaultMaxMessageBytes, 1000, 1000000000));
  ASSIGN_OR_RETURN(settings.batch_bytes,
                   IntOption(options, "batch.size", kDefaultBatchBytes, 1, INT32_MAX));
  settings.compressed = OptionOr(options, "compression.type", "none") != "none" ||
                        OptionOr(options, "compression.codec", "none") != "none";
  ASSIGN_OR_RETURN(int64_t timeout_ms, IntOption(options, "transaction.timeout.ms",
                                                 kDefaultTransactionTimeoutMs, 1000, INT32_MAX));
  settings.transaction_timeout = absl::Milliseconds(timeout_ms);
  ASSIGN_OR_RETURN(settings.max_held_bytes, MaxHeldBytes(options));
  if (!settings.exactly_once && !OptionOr(options, kMaxHeldOption, "").empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("option ", kMaxHeldOption, " of table ", sink.table(),
                     " is for delivery = 'exactly_once': without a transaction that hides them, "
                     "rows wait in memory for their commit"));
  }
  return settings;
}

}  // namespace millrace::kafka
