// Requests of librdkafka's admin API that the sink needs besides the chores of admin.h, and code
// that all of them share. Blocking calls, limited by their timeout; thread-safe as the client is.
#ifndef MILLRACE_CONNECTORS_KAFKA_CLIENT_ADMIN_REQUEST_H_
#define MILLRACE_CONNECTORS_KAFKA_CLIENT_ADMIN_REQUEST_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "connectors/kafka/client/client.h"
#include "connectors/kafka/client/offsets.h"

namespace millrace::kafka {

KafkaPtr<rd_kafka_AdminOptions_t> KafkaAdminOptions(KafkaClient* client,
                                                    rd_kafka_admin_op_t operation,
                                                    absl::Duration timeout);

// The answer to an admin request, or the error of the request as a whole.
absl::StatusOr<KafkaPtr<rd_kafka_event_t>> KafkaAdminAnswer(KafkaClient* client,
                                                            rd_kafka_queue_t* queue,
                                                            std::string_view what,
                                                            absl::Duration timeout);

// The first error of a list of per-topic results.
absl::Status FirstKafkaTopicError(const rd_kafka_topic_result_t** results, size_t count,
                                  std::string_view what);

// Returns when the topic can be written to. `replication` −1: the broker's default. ALREADY_EXISTS;
// INVALID_ARGUMENT says what the broker minds.
absl::Status CreateKafkaTopic(KafkaClient* client, const std::string& name, int32_t partitions,
                              int32_t replication, const std::map<std::string, std::string>& config,
                              absl::Duration timeout);

// Adds partitions until the topic has `partitions`. INVALID_ARGUMENT if it has more.
absl::Status GrowKafkaTopic(KafkaClient* client, const std::string& name, int32_t partitions,
                            absl::Duration timeout);

struct KafkaTopicSetting {
  std::string value;
  bool of_topic = false;  // set for the topic itself, not for the broker
};
// The settings that are in force for a topic, by name. NOT_FOUND if there is no such topic;
// PERMISSION_DENIED without DescribeConfigs.
absl::StatusOr<std::map<std::string, KafkaTopicSetting>> KafkaTopicSettings(KafkaClient* client,
                                                                            const std::string& name,
                                                                            absl::Duration timeout);

// The same for several topics, by topic, whose answer is under way: the request has been sent to
// `queue`. Leaves out topics whose settings cannot be read.
void RequestKafkaTopicSettings(KafkaClient* client, const std::vector<std::string>& names,
                               rd_kafka_queue_t* queue, absl::Duration timeout);
absl::StatusOr<std::map<std::string, std::map<std::string, KafkaTopicSetting>>>
AwaitKafkaTopicSettings(KafkaClient* client, rd_kafka_queue_t* queue, absl::Duration timeout);

struct KafkaGroupOffset {
  KafkaPartitionId partition;
  int64_t offset = 0;
  std::string metadata;
};
// The offsets that any group has committed. Waits for transactions that are ending: without that, a
// read right after a commit is often old. Empty if there is no such group. If a broker is asked for
// all partitions, it leaves out one whose first offset is in a transaction that is ending; for
// partitions that are named (`only`; all partitions if empty), it makes us wait for that too.
absl::StatusOr<std::vector<KafkaGroupOffset>> GroupKafkaOffsets(
    KafkaClient* client, const std::string& group, const std::vector<KafkaPartitionId>& only,
    absl::Duration timeout);

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_CLIENT_ADMIN_REQUEST_H_
