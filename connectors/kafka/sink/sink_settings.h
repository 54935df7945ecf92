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

// What a claim does when the log of marks has lost what the journal knows of a place, about batches
// that may or may not be committed.
enum class OnLostMarker {
  kFail,
  kWritten,     // they are in the topic: do not write them again
  kNotWritten,  // they are not: write them
};

// What all tables of a session have in common.
struct KafkaSessionSettings {
  bool exactly_once = true;  // else at least once, without transactions
  std::string marker_topic;  // the log of marks; empty = the job's own
  OnLostMarker on_lost_marker = OnLostMarker::kFail;
  int64_t max_message_bytes = 0;
  int64_t batch_bytes = 0;     // batch.size
  bool compressed = false;     // by the producer
  int64_t max_held_bytes = 0;  // more bytes of a batch go into the open transaction
  absl::Duration transaction_timeout;
};

struct KafkaSinkSettings {
  std::string table;
  std::string topic;
  KafkaSessionSettings session;
};

// The names of the options that are read here and are no properties of librdkafka.
std::vector<std::string> KafkaSinkOptionNames();

// INVALID_ARGUMENT names the option and what it may hold.
absl::StatusOr<KafkaSinkSettings> ParseKafkaSinkSettings(const proto::Sink& sink);

// The same for tables that can share a session: those whose options differ only in what concerns
// neither the producer nor the log of marks, as topic and format do.
std::string KafkaSessionKey(const proto::Sink& sink);

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_SINK_SINK_SETTINGS_H_
