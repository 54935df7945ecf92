// The producer of one sink shard: one transaction at a time, which holds records and the shard's
// marker. For a sink that writes at least once the same calls without transactions. Thread-
// compatible; calls return within their deadline.
//
// A call that gives UNAVAILABLE while health() is kGood has run out of time and may be made again,
// or gone on with. After any other error the transaction cannot be committed any more, or nobody
// knows whether it is: Abort, drop the producer, and read the marker with the next one. That also
// happens when nothing moves for 5 s.
#ifndef MILLRACE_CONNECTORS_KAFKA_SINK_PRODUCER_H_
#define MILLRACE_CONNECTORS_KAFKA_SINK_PRODUCER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "connectors/kafka/client.h"
#include "connectors/kafka/record_encoder.h"
#include "connectors/kafka/sink_marker.h"
#include "connectors/kafka/sink_settings.h"
#include "connectors/kafka/topic_limits.h"

namespace millrace {

class KafkaSinkProducer {
 public:
  enum class Health {
    kGood,
    kMustAbort,  // the transaction has failed
    kInDoubt,    // its commit was sent and not answered
    kFatal,      // the producer is of no more use
    kFenced,     // … since another one has taken its transactional id
  };

  // `shard` is the transactional id and the group of the marker.
  static absl::StatusOr<std::unique_ptr<KafkaSinkProducer>> Create(
      const OptionMap& options, const KafkaSinkSettings& settings, const std::string& shard);

  // Fences every other producer of the shard, ends the transaction that it may have left open, and
  // sees that the topic of the markers is there. Nothing to do at least once.
  absl::Status Init(absl::Time deadline);

  // The shard's last marker, as no open transaction can change it any more. REQUIRES: exactly once,
  // Init.
  absl::StatusOr<std::optional<KafkaSinkMarker>> ReadMarker(absl::Time deadline);

  absl::Status Begin();
  // Hands a record over. It must not move or change until the producer is gone or the transaction
  // is committed. `partition` −1: by the key.
  absl::Status Produce(const KafkaRecord& record, int32_t partition, int64_t timestamp_ms,
                       absl::Time deadline);
  // Makes the marker part of the transaction, while records are still under way.
  absl::Status SendMarker(const KafkaSinkMarker& marker, absl::Time deadline);
  // Returns when the broker has every record.
  absl::Status Flush(absl::Time deadline);
  // REQUIRES: Flush. Not aborted when time runs out: the broker may have committed.
  absl::Status Commit(absl::Time deadline);
  // Ends the transaction as well as it goes, so that readers do not wait for it. Does nothing when
  // it may be committed, or is another's to end.
  void Abort(absl::Time deadline);

  absl::StatusOr<int32_t> PartitionCount(absl::Time deadline);
  // Also after the transaction has failed.
  absl::StatusOr<KafkaTopicLimits> ReadTopicLimits(absl::Time deadline);
  // Whether a record has failed for what it is: the topic does not take it.
  bool refused() const { return refused_; }

  Health health() const { return health_; }

 private:
  KafkaSinkProducer(KafkaSinkSettings settings, std::string shard)
      : settings_(std::move(settings)), shard_(std::move(shard)) {}

  absl::Status EnsureMarkerTopic(absl::Time deadline);
  // `status`, after which the producer is of no more use.
  absl::Status StandsStill(const absl::Status& status);
  absl::Status CheckTransaction();
  void OnDelivery(const rd_kafka_message_t* message);
  // Of a transactional call, which `what` names; takes `error`.
  absl::Status TransactionStatus(rd_kafka_error_t* error, std::string_view what);
  absl::Status FatalStatus(std::string_view what);
  // Keeps the first record's failure; that of one that was refused before those of others, which it
  // takes along.
  void NoteFailure(rd_kafka_resp_err_t error, const KafkaUndelivered& record, bool by_broker);
  rd_kafka_resp_err_t Enqueue(const KafkaRecord& record, int32_t partition, int64_t timestamp_ms);
  std::string What(std::string_view doing) const;

  const KafkaSinkSettings settings_;
  const std::string shard_;
  Health health_ = Health::kGood;
  absl::Status failure_;  // of the first record that could not be delivered
  bool refused_ = false;
  absl::Time begun_ = absl::InfiniteFuture();
  int32_t partition_count_ = 0;  // 0 = not asked yet
  KafkaPtr<rd_kafka_consumer_group_metadata_t> group_;
  std::shared_ptr<KafkaClient> client_;
  KafkaPtr<rd_kafka_topic_t> topic_handle_;
};

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_KAFKA_SINK_PRODUCER_H_
