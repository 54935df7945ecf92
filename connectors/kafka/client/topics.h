// Finds the topics and partitions of a cluster. Blocking calls, limited by their timeout;
// thread-safe as the client is.
#ifndef MILLRACE_CONNECTORS_KAFKA_CLIENT_TOPICS_H_
#define MILLRACE_CONNECTORS_KAFKA_CLIENT_TOPICS_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "connectors/kafka/client/client.h"
#include "connectors/source.h"

namespace millrace::kafka {

struct KafkaTopicMetadata {
  struct Partition {
    int32_t id = 0;
    int32_t leader = -1;
    std::vector<int32_t> replicas;
    std::vector<int32_t> in_sync;
  };
  std::string name;
  std::vector<Partition> partitions;  // by id
};

// All topics of the cluster by name, Kafka's own ("__…") included.
absl::StatusOr<std::vector<KafkaTopicMetadata>> ListKafkaTopics(KafkaClient* client,
                                                                absl::Duration timeout);

// One topic. NOT_FOUND lists similar names, and the existing ones.
absl::StatusOr<KafkaTopicMetadata> FindKafkaTopic(KafkaClient* client, const std::string& topic,
                                                  absl::Duration timeout);

// Returns `gone`, which is NOT_FOUND, if the cluster confirms it; UNAVAILABLE if not, since a
// broker that is starting answers before it knows its topics.
absl::Status ConfirmKafkaTopicGone(KafkaClient* client, const absl::Status& gone,
                                   const std::string& topic, int32_t partition,
                                   absl::Duration timeout);

// What a cluster says of several topics in one answer, by topic. The request is sent to `queue`,
// and Await takes the answer from there. NOT_FOUND names a topic that is missing.
struct KafkaTopicOutline {
  std::string id;  // as of KafkaTopicIds
  int32_t partitions = 0;
};
void RequestKafkaTopicOutlines(KafkaClient* client, const std::vector<std::string>& topics,
                               rd_kafka_queue_t* queue, absl::Duration timeout);
absl::StatusOr<std::map<std::string, KafkaTopicOutline>> AwaitKafkaTopicOutlines(
    KafkaClient* client, rd_kafka_queue_t* queue, absl::Duration timeout);

// The ids of topics, in order; a topic that is deleted and created again gets another one. Empty
// from a cluster without ids (before Kafka 2.8). NOT_FOUND names the topic.
absl::StatusOr<std::vector<std::string>> KafkaTopicIds(KafkaClient* client,
                                                       const std::vector<std::string>& topics,
                                                       absl::Duration timeout);

// NOT_FOUND with names near `topic` and, up to a limit, those there are.
absl::Status NoSuchTopic(const std::string& topic, const std::vector<KafkaTopicMetadata>& existing);

// The same status; a NOT_FOUND also says how to create the topic, for callers that want it to
// exist.
absl::Status WithCreationAdvice(const absl::Status& status, const std::string& topic);

// "topic/3", and the way back, for every life of the partition. Topic names have neither slash nor
// '#'.
PartitionName KafkaPartitionName(std::string_view topic, int32_t partition);
absl::StatusOr<std::pair<std::string, int32_t>> ParseKafkaPartition(const PartitionName& name);

// The table's option `topic`: a list of names, or a pattern in slashes.
struct KafkaTopicSelection {
  std::vector<std::string> names;
  std::string pattern;  // empty: names
};
absl::StatusOr<KafkaTopicSelection> ParseKafkaTopics(std::string_view text);

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_CLIENT_TOPICS_H_
