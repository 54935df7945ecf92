// Kafka chores for the command line and for tests: topics, groups, producing and consuming by hand.
// No librdkafka type appears here. Properties are those that tables may set (bootstrap.servers
// above all); others are refused. Every call blocks at most for its timeout; UNAVAILABLE names
// bootstrap.servers.
#ifndef MILLRACE_CONNECTORS_KAFKA_ADMIN_ADMIN_H_
#define MILLRACE_CONNECTORS_KAFKA_ADMIN_ADMIN_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace millrace::kafka {

class KafkaClient;

using KafkaProperties = std::map<std::string, std::string>;

struct KafkaTopicSpec {
  std::string name;
  int32_t partitions = 1;
  int32_t replication = -1;                   // −1: the broker's default
  std::map<std::string, std::string> config;  // "min.insync.replicas", "retention.ms", …
};

struct KafkaTopicDescription {
  struct Partition {
    int32_t id = 0;
    int32_t leader = -1;
    std::vector<int32_t> replicas;
    std::vector<int32_t> in_sync;
    int64_t earliest = 0;    // DescribeTopic only, like the next two
    int64_t stable_end = 0;  // behind the last record that belongs to no open transaction
    int64_t high_watermark = 0;
  };
  std::string name;
  std::vector<Partition> partitions;
};

struct KafkaGroupPartition {
  std::string topic;
  int32_t partition = 0;
  int64_t committed = 0;
  int64_t stable_end = 0;
  int64_t high_watermark = 0;
};

// Thread-safe.
class KafkaAdmin {
 public:
  static absl::StatusOr<std::unique_ptr<KafkaAdmin>> Create(const KafkaProperties& properties);
  ~KafkaAdmin();

  // Creates a topic, and returns when it can be written to. ALREADY_EXISTS, or INVALID_ARGUMENT
  // with the broker's reason.
  absl::Status CreateTopic(const KafkaTopicSpec& spec, absl::Duration timeout);
  // All topics by name, without Kafka's own.
  absl::StatusOr<std::vector<KafkaTopicDescription>> ListTopics(absl::Duration timeout);
  // NOT_FOUND lists similar names, here and in the other calls.
  absl::StatusOr<KafkaTopicDescription> DescribeTopic(const std::string& name,
                                                      absl::Duration timeout);
  // The topic's settings that differ from the broker's, by name.
  absl::StatusOr<std::map<std::string, std::string>> TopicConfig(const std::string& name,
                                                                 absl::Duration timeout);
  // INVALID_ARGUMENT gives the broker's objection.
  absl::Status SetTopicConfig(const std::string& name, const std::string& setting,
                              const std::string& value, absl::Duration timeout);
  absl::Status DeleteTopic(const std::string& name, absl::Duration timeout);
  // Drops the records of a partition below `offset`, as retention would.
  absl::Status DeleteRecords(const std::string& topic, int32_t partition, int64_t offset,
                             absl::Duration timeout);

  // The committed offset of a group in each partition where it has one, by topic and partition.
  absl::StatusOr<std::vector<KafkaGroupPartition>> GroupOffsets(const std::string& group,
                                                                absl::Duration timeout);
  // Deletes a group and its offsets, as their expiry would. NOT_FOUND.
  absl::Status DeleteGroup(const std::string& group, absl::Duration timeout);

 private:
  explicit KafkaAdmin(std::shared_ptr<KafkaClient> client);

  std::shared_ptr<KafkaClient> client_;
};

// Writes records to a topic, bounded in memory: Send waits while librdkafka's queue is full.
// Thread-compatible.
class KafkaRecordProducer {
 public:
  virtual ~KafkaRecordProducer() = default;

  // `partition` −1: by the key, or at random without a key. Key and value are copied.
  virtual absl::Status Send(std::optional<std::string_view> key,
                            std::optional<std::string_view> value, int32_t partition = -1) = 0;
  // Returns when all sent records have been acknowledged; the error is that of the first record
  // that failed.
  virtual absl::Status Flush(absl::Duration timeout) = 0;
};
// NOT_FOUND if there is no such topic.
absl::StatusOr<std::unique_ptr<KafkaRecordProducer>> NewKafkaRecordProducer(
    const KafkaProperties& properties, const std::string& topic, absl::Duration timeout);

struct KafkaRecordView {
  std::string_view topic;
  int32_t partition = 0;
  int64_t offset = 0;
  int64_t timestamp_ms = 0;
  std::optional<std::string_view> key;
  std::optional<std::string_view> value;
};

struct KafkaConsumeRequest {
  std::string topic;               // names or a pattern, as in the table option
  std::string start = "earliest";  // as in the table option
  int64_t max_records = 0;         // 0: no limit
  bool follow = false;             // else it ends at the partitions' ends of its beginning
};

// Passes records to `sink`, in order within a partition, until the end or until `sink` returns
// false. `stopped` is called at least every 100 ms; true ends it as well. `timeout` is for finding
// the topic.
absl::Status ConsumeKafka(const KafkaProperties& properties, const KafkaConsumeRequest& request,
                          absl::Duration timeout,
                          const std::function<bool(const KafkaRecordView&)>& sink,
                          const std::function<bool()>& stopped);

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_ADMIN_ADMIN_H_
