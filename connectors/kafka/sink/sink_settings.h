// The options of a Kafka sink table that belong to the sink. Pure functions.
#ifndef MILLRACE_CONNECTORS_KAFKA_SINK_SINK_SETTINGS_H_
#define MILLRACE_CONNECTORS_KAFKA_SINK_SINK_SETTINGS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "connectors/shared/options.h"

namespace millrace::kafka {

// The default of the option marker_topic.
constexpr char kDefaultKafkaMarkerTopic[] = "millrace-markers";

// What a claim does when the broker has expired the shard's marker, about batches that may or may
// not be committed.
enum class OnLostMarker {
  kFail,
  kWritten,     // they are in the topic: do not write them again
  kNotWritten,  // they are not: write them
};

struct KafkaSinkSettings {
  std::string table;
  std::string topic;
  bool exactly_once = true;  // else at least once, without transactions
  std::string marker_topic;
  OnLostMarker on_lost_marker = OnLostMarker::kFail;
  int64_t max_message_bytes = 0;
  int64_t batch_bytes = 0;     // batch.size
  bool compressed = false;     // by the producer
  int64_t max_held_bytes = 0;  // more bytes of a batch go into the open transaction
  absl::Duration transaction_timeout;
};

// The names of the options that are read here and are no properties of librdkafka.
std::vector<std::string> KafkaSinkOptionNames();

// INVALID_ARGUMENT names the option and what it may hold.
absl::StatusOr<KafkaSinkSettings> ParseKafkaSinkSettings(const proto::Sink& sink);

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_SINK_SINK_SETTINGS_H_
