#include "connectors/kafka/sink/sink_shard.h"

#include <optional>

#include "common/base/status.h"
#include "connectors/kafka/client/topic_limits.h"
#include "connectors/kafka/sink/session_mark.h"

namespace millrace::kafka {

absl::Status KafkaSinkShard::Write(const SinkBatch& batch, const Batch& rows) {
  refused_.Clear();
  ASSIGN_OR_RETURN(const KafkaRecordLimits limits, LimitsOf(batch));
  ASSIGN_OR_RETURN(KafkaRecordEncoder::Encoded encoded, encoder_->Encode(rows, &refused_));
  CheckKafkaRecords(rows, encoded.records, limits, &refused_);
  const bool out = batch.visible.has_value() || batch.id <= owner_->committed();
  if (!refused_.empty()) {
    if (!out) {
      owner_->NoteRefusal(batch.id);
    }
    return refused_.errors().front().status;
  }
  if (out) {
    return absl::OkStatus();
  }
  ChoosePartitions(batch.id, &encoded.records);
  return owner_->Hold({.table = table_,
                       .shard = shard_,
                       .batch = batch.id,
                       .time_us = batch.time_us,
                       .memory = {},
                       .records = std::move(encoded.records),
                       .owners = std::move(encoded.owners)});
}

absl::StatusOr<KafkaRecordLimits> KafkaSinkShard::LimitsOf(const SinkBatch& batch) const {
  KafkaRecordLimits limits = *limits_;
  if (batch.visible.has_value()) {
    ASSIGN_OR_RETURN(const std::optional<KafkaTopicLimits> then,
                     ParseKafkaSinkTerms(*batch.visible));
    limits.of_topic = then.value_or(limits.of_topic);
  }
  return limits;
}

void KafkaSinkShard::ChoosePartitions(BatchId batch, std::vector<KafkaRecord>* records) const {
  const auto of_batch = static_cast<int32_t>((shard_ + static_cast<uint64_t>(batch.value())) %
                                             static_cast<uint64_t>(limits_->of_topic.partitions));
  for (KafkaRecord& record : *records) {
    if (record.partition < 0 && record.key.data() == nullptr) {
      record.partition = of_batch;
    }
  }
}

}  // namespace millrace::kafka
