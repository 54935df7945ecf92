// The producer of one sink shard: one transaction at a time, which has records and the shard's
// marker. For a sink that writes at least once, the same calls work without transactions.
// Thread-compatible; calls return within their deadline.
//
// If a call returns UNAVAILABLE while health() is kGood, it has run out of time, and may be made
// again or continued. After any other error the transaction cannot be committed any more, or nobody
// knows whether it was: call Abort, drop the producer, and read the marker with the next one. The
// same holds when there is no progress for 5 s.
#ifndef MILLRACE_CONNECTORS_KAFKA_SINK_SINK_PRODUCER_H_
#define MILLRACE_CONNECTORS_KAFKA_SINK_SINK_PRODUCER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "connectors/kafka/client/client.h"
#include "connectors/kafka/client/topic_limits.h"
#include "connectors/kafka/sink/record_encoder.h"
#include "connectors/kafka/sink/sink_marker.h"
#include "connectors/kafka/sink/sink_settings.h"

namespace millrace::kafka {

class KafkaSinkProducer {
 public:
  enum class Health {
    kGood,
    kMustAbort,  // the transaction has failed
    kInDoubt,    // its commit was sent and not answered
    kFatal,      // the producer cannot be used any more
    kFenced,     // the same, because another producer has its transactional id
  };

  // `shard` is the transactional id and the group of the marker.
  static absl::StatusOr<std::unique_ptr<KafkaSinkProducer>> Create(
      const OptionMap& options, const KafkaSinkSettings& settings, const std::string& shard);

  // Fences every other producer of the shard, ends a transaction that it left open, and makes sure
  // that the marker topic exists. Does nothing for at-least-once sinks.
  absl::Status Init(absl::Time deadline);

  // Reads the shard's last marker, which no open transaction can change any more. REQUIRES: exactly
  // once; Init.
  absl::StatusOr<std::optional<KafkaSinkMarker>> ReadMarker(absl::Time deadline);

  absl::Status Begin();
  // Passes a record to librdkafka. Its bytes must not move or change until the producer is
  // destroyed or the transaction is committed. `partition` −1: by the key.
  absl::Status Produce(const KafkaRecord& record, int32_t partition, int64_t timestamp_ms,
                       absl::Time deadline);
  // Adds the marker to the transaction, while records are still on their way.
  absl::Status SendMarker(const KafkaSinkMarker& marker, absl::Time deadline);
  // Waits until the broker has every record.
  absl::Status Flush(absl::Time deadline);
  // Commits the transaction. When time runs out it is not aborted, since the broker may have
  // committed it. REQUIRES: Flush.
  absl::Status Commit(absl::Time deadline);
  // Tries to end the transaction, so that readers do not wait for it. Does nothing if the
  // transaction may be committed, or belongs to another producer.
  void Abort(absl::Time deadline);

  absl::StatusOr<int32_t> PartitionCount(absl::Time deadline);
  // May be called even after the transaction has failed.
  absl::StatusOr<KafkaTopicLimits> ReadTopicLimits(absl::Time deadline);
  // Whether the topic has refused a record.
  bool refused() const { return refused_; }

  Health health() const { return health_; }

 private:
  KafkaSinkProducer(KafkaSinkSettings settings, std::string shard)
      : settings_(std::move(settings)), shard_(std::move(shard)) {}

  absl::Status EnsureMarkerTopic(absl::Time deadline);
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
  rd_kafka_resp_err_t Enqueue(const KafkaRecord& record, int32_t partition, int64_t timestamp_ms);
  std::string What(std::string_view doing) const;

  const KafkaSinkSettings settings_;
  const std::string shard_;
  Health health_ = Health::kGood;
  absl::Status failure_;  // the error of the first record that could not be delivered
  bool refused_ = false;
  absl::Time begun_ = absl::InfiniteFuture();
  int32_t partition_count_ = 0;  // 0 = not asked yet
  KafkaPtr<rd_kafka_consumer_group_metadata_t> group_;
  std::shared_ptr<KafkaClient> client_;
  KafkaPtr<rd_kafka_topic_t> topic_handle_;
};

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_SINK_SINK_PRODUCER_H_
