// Says what records a topic takes, by its settings. They are read when a sink session begins, and
// again when the broker has refused a record. Rows are judged by them before they are written.
#ifndef MILLRACE_CONNECTORS_KAFKA_CLIENT_TOPIC_LIMITS_H_
#define MILLRACE_CONNECTORS_KAFKA_CLIENT_TOPIC_LIMITS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "connectors/kafka/client/client.h"

namespace millrace::kafka {

struct KafkaTopicLimits {
  std::optional<int64_t> max_message_bytes;  // of a record batch; none: not known
  bool wants_key = false;                    // cleanup.policy = compact
  int32_t partitions = 0;                    // 0: not known

  // Whether some record may exceed these limits that does not exceed `other`.
  bool TighterThan(const KafkaTopicLimits& other) const;

  friend bool operator==(const KafkaTopicLimits&, const KafkaTopicLimits&) = default;
};

// Settings that this client may not read, or that the broker does not tell, count as not known.
// Other errors name the topic.
absl::StatusOr<KafkaTopicLimits> ReadKafkaTopicLimits(KafkaClient* client, const std::string& topic,
                                                      absl::Duration timeout);

// The same for several topics, in one round trip: the constructor sends, and Wait collects the
// answers in the order of the topics, so that other requests can be under way at once.
class KafkaTopicLimitsRequest {
 public:
  KafkaTopicLimitsRequest(KafkaClient* client, std::vector<std::string> topics,
                          absl::Duration timeout);
  absl::StatusOr<std::vector<KafkaTopicLimits>> Wait();

 private:
  // What has been asked in one go. An error where the answer is not complete, as for a topic that
  // was just made.
  absl::StatusOr<std::vector<KafkaTopicLimits>> Answer();

  KafkaClient* const client_;
  const std::vector<std::string> topics_;
  const absl::Time deadline_;
  KafkaPtr<rd_kafka_queue_t> partitions_;
  KafkaPtr<rd_kafka_queue_t> settings_;
};

// "1048588:0:12": bytes (−1: not known), whether a key is wanted, partitions. DATA_LOSS for
// anything else.
std::string FormatKafkaTopicLimits(const KafkaTopicLimits& limits);
absl::StatusOr<KafkaTopicLimits> ParseKafkaTopicLimits(std::string_view text);

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_CLIENT_TOPIC_LIMITS_H_
