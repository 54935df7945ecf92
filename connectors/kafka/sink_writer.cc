#include "connectors/kafka/sink_writer.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/base/units.h"
#include "connectors/kafka/client.h"
#include "connectors/kafka/record_encoder.h"
#include "connectors/kafka/topics.h"

namespace millrace {
namespace {

constexpr int64_t kDefaultMaxMessageBytes = 1000000;  // librdkafka's message.max.bytes
constexpr int kDrainMs = 10;

enum class Delivery { kWaiting, kSent, kDone, kFailed };

// A record and where it is on its way. Its address is librdkafka's handle for it.
struct HeldRecord {
  KafkaRecord record;
  Delivery delivery = Delivery::kWaiting;
  rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
};

struct HeldBatch {
  int64_t time_us = 0;
  int64_t bytes = 0;
  std::vector<HeldRecord> records;  // does not move once producing has begun
  std::vector<TextOwner> owners;
};

class KafkaSinkWriter : public SinkWriter {
 public:
  KafkaSinkWriter(SinkContext context, std::string topic, BatchId committed,
                  int64_t max_message_bytes, std::unique_ptr<KafkaRecordEncoder> encoder)
      : context_(std::move(context)),
        topic_(std::move(topic)),
        max_message_bytes_(max_message_bytes),
        encoder_(std::move(encoder)),
        committed_(committed) {}

  absl::Status Open(const OptionMap& options) {
    ASSIGN_OR_RETURN(client_, KafkaClient::Create(KafkaRole::kProducer, options,
                                                  {{"enable.idempotence", "true"}},
                                                  &KafkaSinkWriter::OnDelivery));
    topic_handle_.reset(rd_kafka_topic_new(client_->get(), topic_.c_str(), nullptr));
    return topic_handle_ == nullptr
               ? absl::InvalidArgumentError(absl::StrCat("no topic can be called ", topic_))
               : absl::OkStatus();
  }

  absl::Status Write(BatchId batch, int64_t batch_time_us, const Batch& rows) override {
    ASSIGN_OR_RETURN(KafkaRecordEncoder::Encoded encoded, encoder_->Encode(rows));
    int64_t bytes = 0;
    for (const KafkaRecord& record : encoded.records) {
      bytes += static_cast<int64_t>(record.size() + sizeof(HeldRecord));
      if (static_cast<int64_t>(record.size()) > max_message_bytes_) {
        return absl::InvalidArgumentError(
            absl::StrCat("topic ", topic_, ": a record of ", record.size(),
                         " bytes is larger than message.max.bytes, ", max_message_bytes_,
                         "; raise that property here and on the broker"));
      }
    }
    std::lock_guard<std::mutex> lock(mutex_);
    if (held_bytes_ + bytes > context_.max_held_bytes) {
      return TooMuchHeld(held_bytes_ + bytes);
    }
    HeldBatch& held = held_[batch];
    held.time_us = batch_time_us;
    held.bytes += bytes;
    held_bytes_ += bytes;
    held.records.reserve(held.records.size() + encoded.records.size());
    for (KafkaRecord& record : encoded.records) {
      held.records.push_back({.record = std::move(record)});
    }
    std::move(encoded.owners.begin(), encoded.owners.end(), std::back_inserter(held.owners));
    return absl::OkStatus();
  }

  absl::Status Prepare(BatchId, absl::Time) override {
    std::lock_guard<std::mutex> lock(mutex_);
    return held_bytes_ > context_.max_held_bytes ? TooMuchHeld(held_bytes_) : absl::OkStatus();
  }

  absl::StatusOr<std::string> Commit(BatchId batch, absl::Time deadline) override {
    HeldBatch* held = nullptr;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      auto found = held_.find(batch);
      held = found == held_.end() ? nullptr : &found->second;  // a map's values stay where they are
    }
    if (held != nullptr && batch > committed_) {
      RETURN_IF_ERROR(Publish(batch, held, deadline));
    }
    std::lock_guard<std::mutex> lock(mutex_);
    committed_ = std::max(committed_, batch);
    while (!held_.empty() && held_.begin()->first <= committed_) {
      held_bytes_ -= held_.begin()->second.bytes;
      held_.erase(held_.begin());
    }
    return absl::StrCat(committed_.value());
  }

  BatchId committed() const override {
    std::lock_guard<std::mutex> lock(mutex_);
    return committed_;
  }

 private:
  absl::Status TooMuchHeld(int64_t bytes) const {
    return absl::ResourceExhaustedError(
        absl::StrCat("the writer of topic ", topic_, " would hold ", FormatBytes(bytes),
                     " until commit, more than its ", FormatBytes(context_.max_held_bytes),
                     "; make batches smaller"));
  }

  static void OnDelivery(const rd_kafka_message_t* message) {
    auto* held = static_cast<HeldRecord*>(message->_private);
    held->error = message->err;
    held->delivery =
        message->err == RD_KAFKA_RESP_ERR_NO_ERROR ? Delivery::kDone : Delivery::kFailed;
  }

  // Returns OK when the broker has taken every record. Called again it goes on where it stopped.
  absl::Status Publish(BatchId batch, HeldBatch* held, absl::Time deadline) {
    for (HeldRecord& record : held->records) {
      if (record.delivery == Delivery::kWaiting) {
        RETURN_IF_ERROR(Produce(batch, held->time_us, &record, deadline));
      }
    }
    rd_kafka_flush(client_->get(), MillisecondsOf(deadline - absl::Now()));
    char reason[256];
    if (rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(client_->get(), reason, sizeof(reason));
        fatal != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return absl::AbortedError(
          absl::StrCat("the producer of topic ", topic_, " cannot go on: ", reason));
    }
    return Outcome(held);
  }

  absl::Status Outcome(HeldBatch* held) {
    size_t open = 0;
    absl::Status failure;
    for (HeldRecord& record : held->records) {
      if (record.delivery == Delivery::kFailed) {
        failure = DeliveryError(record);
        record.delivery = Delivery::kWaiting;  // another Commit tries again
      }
      open += record.delivery == Delivery::kDone ? 0 : 1;
    }
    if (!failure.ok()) {
      return failure;
    }
    if (open > 0) {
      return absl::UnavailableError(absl::StrCat(
          "topic ", topic_, " at bootstrap.servers = '", client_->bootstrap_servers(), "': ", open,
          " of ", held->records.size(), " records were not acknowledged in time"));
    }
    return absl::OkStatus();
  }

  absl::Status DeliveryError(const HeldRecord& record) const {
    std::string where = absl::StrCat("writing to topic ", topic_);
    if (record.record.partition >= 0) {
      absl::StrAppend(&where, " partition ", record.record.partition);
    }
    absl::Status status = KafkaStatus(record.error, where);
    if (status.code() == absl::StatusCode::kNotFound) {
      return absl::NotFoundError(absl::StrCat(
          status.message(), "; does the topic still exist, with that many partitions?"));
    }
    return status;
  }

  absl::Status Produce(BatchId batch, int64_t time_us, HeldRecord* held, absl::Time deadline) {
    const KafkaRecord& record = held->record;
    int32_t partition = record.partition;
    if (partition < 0 && record.key.data() == nullptr) {
      // Not at random: a batch that is written again goes where it went.
      ASSIGN_OR_RETURN(int32_t count, PartitionCount(deadline));
      partition = static_cast<int32_t>((context_.shard + static_cast<uint64_t>(batch.value())) %
                                       static_cast<uint64_t>(count));
    }
    while (true) {
      rd_kafka_resp_err_t error = Enqueue(held, partition, time_us / 1000);
      if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return absl::OkStatus();
      }
      if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        held->error = error;
        return DeliveryError(*held);
      }
      if (absl::Now() >= deadline) {
        return absl::UnavailableError(
            absl::StrCat("topic ", topic_, ": the broker did not take the records fast enough"));
      }
      rd_kafka_poll(client_->get(), kDrainMs);
    }
  }

  rd_kafka_resp_err_t Enqueue(HeldRecord* held, int32_t partition, int64_t timestamp_ms) {
    const KafkaRecord& record = held->record;
    rd_kafka_headers_t* headers = nullptr;
    if (record.headers != nullptr) {
      headers = rd_kafka_headers_new(record.headers->size());
      for (const auto& [name, value] : *record.headers) {
        rd_kafka_header_add(headers, name.data(), static_cast<ssize_t>(name.size()),
                            value.has_value() ? value->data() : nullptr,
                            value.has_value() ? static_cast<ssize_t>(value->size()) : 0);
      }
    }
    // Delivery reports come from polling on this thread, so the state may be set behind the call.
    held->delivery = Delivery::kSent;
    // No flags: the value stays ours, and the held batch keeps it until its report has come.
    rd_kafka_resp_err_t error =
        headers == nullptr
            ? rd_kafka_producev(
                  client_->get(), RD_KAFKA_V_RKT(topic_handle_.get()),
                  RD_KAFKA_V_PARTITION(partition < 0 ? RD_KAFKA_PARTITION_UA : partition),
                  RD_KAFKA_V_MSGFLAGS(0), RD_KAFKA_V_KEY(record.key.data(), record.key.size()),
                  RD_KAFKA_V_VALUE(const_cast<char*>(record.value.data()), record.value.size()),
                  RD_KAFKA_V_TIMESTAMP(timestamp_ms), RD_KAFKA_V_OPAQUE(held), RD_KAFKA_V_END)
            : rd_kafka_producev(
                  client_->get(), RD_KAFKA_V_RKT(topic_handle_.get()),
                  RD_KAFKA_V_PARTITION(partition < 0 ? RD_KAFKA_PARTITION_UA : partition),
                  RD_KAFKA_V_MSGFLAGS(0), RD_KAFKA_V_KEY(record.key.data(), record.key.size()),
                  RD_KAFKA_V_VALUE(const_cast<char*>(record.value.data()), record.value.size()),
                  RD_KAFKA_V_TIMESTAMP(timestamp_ms), RD_KAFKA_V_OPAQUE(held),
                  RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      held->delivery = Delivery::kWaiting;
      if (headers != nullptr) {
        rd_kafka_headers_destroy(headers);
      }
    }
    return error;
  }

  absl::StatusOr<int32_t> PartitionCount(absl::Time deadline) {
    if (partition_count_ == 0) {
      ASSIGN_OR_RETURN(KafkaTopicMetadata topic,
                       FindKafkaTopic(client_.get(), topic_, deadline - absl::Now()));
      partition_count_ = static_cast<int32_t>(topic.partitions.size());
    }
    if (partition_count_ == 0) {
      return absl::UnavailableError(absl::StrCat("topic ", topic_, " has no partitions yet"));
    }
    return partition_count_;
  }

  const SinkContext context_;
  const std::string topic_;
  const int64_t max_message_bytes_;
  std::unique_ptr<KafkaRecordEncoder> encoder_;

  mutable std::mutex mutex_;  // Write of a batch runs beside Commit of the one before
  std::map<BatchId, HeldBatch> held_;
  int64_t held_bytes_ = 0;
  BatchId committed_;

  int32_t partition_count_ = 0;  // 0 = not asked yet; Commit's
  // Behind the batches: librdkafka points into their records until it is gone.
  std::shared_ptr<KafkaClient> client_;
  KafkaPtr<rd_kafka_topic_t> topic_handle_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<SinkWriter>> NewKafkaSinkWriter(const proto::Sink& sink,
                                                               const SinkContext& context,
                                                               const Format* format,
                                                               const std::string& topic) {
  int64_t committed = 0;
  if (!context.marker.empty() && !absl::SimpleAtoi(context.marker, &committed)) {
    return absl::DataLossError(absl::StrCat("the marker \"", context.marker, "\" of sink ",
                                            context.sink, " shard ", context.shard,
                                            " is no batch number"));
  }
  ASSIGN_OR_RETURN(int64_t max_message_bytes, IntOption(sink.options(), "message.max.bytes",
                                                        kDefaultMaxMessageBytes, 1000, 1000000000));
  ASSIGN_OR_RETURN(std::unique_ptr<KafkaRecordEncoder> encoder,
                   KafkaRecordEncoder::Create(sink, format));
  auto writer = std::make_unique<KafkaSinkWriter>(context, topic, BatchId(committed),
                                                  max_message_bytes, std::move(encoder));
  RETURN_IF_ERROR(writer->Open(sink.options()));
  return writer;
}

}  // namespace millrace
