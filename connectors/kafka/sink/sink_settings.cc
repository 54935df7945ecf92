#include "connectors/kafka/sink/sink_settings.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "connectors/kafka/client/properties.h"
#include "connectors/kafka/client/topics.h"
#include "connectors/shared/flow_out.h"

namespace millrace::kafka {
namespace {

// librdkafka's defaults, for options without a value.
constexpr int64_t kDefaultMaxMessageBytes = 1000000;
constexpr int64_t kDefaultBatchBytes = 1000000;
constexpr int64_t kDefaultTransactionTimeoutMs = 60000;

constexpr char kMarkerTopicOption[] = "marker_topic";

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
  return {"topic", "delivery", kMarkerTopicOption, "on_lost_marker", kMaxHeldOption};
}

absl::StatusOr<KafkaSinkSettings> ParseKafkaSinkSettings(const proto::Sink& sink) {
  const OptionMap& options = sink.options();
  KafkaSinkSettings settings{.table = sink.table()};
  KafkaSessionSettings& session = settings.session;
  ASSIGN_OR_RETURN(std::string topic, RequiredOption(options, "kafka", "topic", "'counts'"));
  ASSIGN_OR_RETURN(settings.topic, OneTopic("topic", topic, sink.table()));
  if (const std::string log = OptionOr(options, kMarkerTopicOption, ""); !log.empty()) {
    ASSIGN_OR_RETURN(session.marker_topic, OneTopic(kMarkerTopicOption, log, sink.table()));
  }
  ASSIGN_OR_RETURN(std::string delivery, ChoiceOption(options, "delivery", "exactly_once",
                                                      {"exactly_once", "at_least_once"}));
  session.exactly_once = delivery == "exactly_once";
  ASSIGN_OR_RETURN(std::string lost, ChoiceOption(options, "on_lost_marker", "fail",
                                                  {"fail", "written", "not_written"}));
  session.on_lost_marker = lost == "written"       ? OnLostMarker::kWritten
                           : lost == "not_written" ? OnLostMarker::kNotWritten
                                                   : OnLostMarker::kFail;
  ASSIGN_OR_RETURN(session.max_message_bytes, IntOption(options, "message.max.bytes",
                                                        kDefaultMaxMessageBytes, 1000, 1000000000));
  ASSIGN_OR_RETURN(session.batch_bytes,
                   IntOption(options, "batch.size", kDefaultBatchBytes, 1, INT32_MAX));
  session.compressed = OptionOr(options, "compression.type", "none") != "none" ||
                       OptionOr(options, "compression.codec", "none") != "none";
  ASSIGN_OR_RETURN(int64_t timeout_ms, IntOption(options, "transaction.timeout.ms",
                                                 kDefaultTransactionTimeoutMs, 1000, INT32_MAX));
  session.transaction_timeout = absl::Milliseconds(timeout_ms);
  ASSIGN_OR_RETURN(session.max_held_bytes, MaxHeldBytes(options));
  if (!session.exactly_once && !OptionOr(options, kMaxHeldOption, "").empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("option ", kMaxHeldOption, " of table ", sink.table(),
                     " is for delivery = 'exactly_once': without a transaction that hides them, "
                     "rows wait in memory for their commit"));
  }
  return settings;
}

std::string KafkaSessionKey(const proto::Sink& sink) {
  std::map<std::string, std::string> shared;  // sorted
  for (const auto& [name, value] : sink.options()) {
    if (IsAllowedKafkaProperty(name, KafkaRole::kProducer)) {
      shared[name] = value;
    }
  }
  for (const std::string& name : KafkaSinkOptionNames()) {
    if (name != "topic") {
      shared[name] = OptionOr(sink.options(), name, "");
    }
  }
  std::string key;
  for (const auto& [name, value] : shared) {
    absl::StrAppend(&key, name, "=", value.size(), ":", value, "\n");
  }
  return key;
}

}  // namespace millrace::kafka
