// The producer of a sink session: one transaction at a time, which has records of several topics
// and one of the log of marks. For sinks that write at least once, the same calls work without
// transactions. Thread-compatible; calls return within their deadline.
//
// If a call returns UNAVAILABLE while health() is kGood, it has run out of time, and may be made
// again or continued. After any other error the transaction cannot be committed any more, or nobody
// knows whether it was: call Abort, drop the producer, and claim the place again with the next one.
// The same holds when there is no progress for 5 s.
#ifndef MILLRACE_CONNECTORS_KAFKA_SINK_SINK_PRODUCER_H_
#define MILLRACE_CONNECTORS_KAFKA_SINK_SINK_PRODUCER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "connectors/kafka/client/client.h"
#include "connectors/kafka/sink/record_encoder.h"
#include "connectors/kafka/sink/session_mark.h"
#include "connectors/kafka/sink/sink_settings.h"

namespace millrace::kafka {

struct KafkaProducerConfig {
  OptionMap options;
  KafkaSessionSettings settings;
  std::string name;  // the transactional id
  std::vector<std::string> tables;
  std::vector<std::string> topics;  // of each table
  std::string log_topic;            // of the marks; empty = there are none
};

class KafkaSinkProducer {
 public:
  enum class Health {
    kGood,
    kMustAbort,  // the transaction has failed
    kInDoubt,    // its commit was sent and not answered
    kFatal,      // the producer cannot be used any more
    kFenced,     // the same, because another producer has its transactional id
  };

  // `config` outlives the producer.
  static absl::StatusOr<std::unique_ptr<KafkaSinkProducer>> Create(
      const KafkaProducerConfig& config);

  // Fences every other producer of the name, and ends a transaction that it left open. Does nothing
  // for at-least-once sinks.
  absl::Status Init(absl::Time deadline);

  absl::Status Begin();
  // Passes a record of a table to librdkafka. Its bytes must not move or change until the producer
  // is destroyed or the transaction is committed.
  absl::Status Produce(size_t table, const KafkaRecord& record, int64_t timestamp_ms,
                       absl::Time deadline);
  // The same with a mark, whose bytes are copied. REQUIRES: exactly once.
  absl::Status ProduceMark(const KafkaMarkRecord& mark, int32_t partition, absl::Time deadline);
  // The offset that the mark has got; none if the broker has not told. REQUIRES: Flush.
  std::optional<int64_t> mark_offset() const { return mark_offset_; }
  // Adds offsets of a group to the transaction.
  absl::Status SendOffsets(const std::string& group, const rd_kafka_topic_partition_list_t* offsets,
                           absl::Time deadline);
  // Waits until the broker has every record.
  absl::Status Flush(absl::Time deadline);
  // Commits the transaction. When time runs out it is not aborted, since the broker may have
  // committed it. REQUIRES: Flush.
  absl::Status Commit(absl::Time deadline);
  // Tries to end the transaction, so that readers do not wait for it. Does nothing if the
  // transaction may be committed, or belongs to another producer.
  void Abort(absl::Time deadline);

  // The topic that has refused a record; empty if none has.
  const std::string& refusing_topic() const { return refusing_topic_; }

  Health health() const { return health_; }
  // For requests about topics, which may be made even after the transaction has failed.
  KafkaClient* client() const { return client_.get(); }

 private:
  explicit KafkaSinkProducer(const KafkaProducerConfig& config) : config_(config) {}

  absl::StatusOr<KafkaPtr<rd_kafka_topic_t>> TopicOf(const std::string& name);
  // Returns `status` as an error after which the producer cannot be used any more.
  absl::Status StandsStill(const absl::Status& status);
  absl::Status CheckTransaction();
  void OnDelivery(const rd_kafka_message_t* message);
  // The status of a transactional call, which `what` names; frees `error`.
  absl::Status TransactionStatus(rd_kafka_error_t* error, std::string_view what);
  absl::Status FatalStatus(std::string_view what);
  // Keeps the failure of the first record. The failure of a refused record takes precedence over
  // those of others, which fail because of it.
  void NoteFailure(rd_kafka_resp_err_t error, const KafkaUndelivered& record, bool by_broker);
  // Passes a record on, and waits for room in librdkafka's queue. `is_mark`: its bytes are copied,
  // and its offset is noted.
  absl::Status Send(rd_kafka_topic_t* topic, const KafkaRecord& record, int64_t timestamp_ms,
                    bool is_mark, absl::Time deadline);
  rd_kafka_resp_err_t Enqueue(rd_kafka_topic_t* topic, const KafkaRecord& record,
                              int64_t timestamp_ms, bool is_mark);
  std::string What(std::string_view doing) const;

  const KafkaProducerConfig& config_;
  Health health_ = Health::kGood;
  absl::Status failure_;  // the error of the first record that could not be delivered
  std::string refusing_topic_;
  std::optional<int64_t> mark_offset_;
  absl::Time begun_ = absl::InfiniteFuture();
  std::shared_ptr<KafkaClient> client_;
  std::vector<KafkaPtr<rd_kafka_topic_t>> topics_;  // of each table
  KafkaPtr<rd_kafka_topic_t> log_;
};

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_SINK_SINK_PRODUCER_H_
