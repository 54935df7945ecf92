#include "connectors/kafka/testing/transactional_producer.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "connectors/kafka/client/client.h"

namespace millrace::kafka {
namespace {

constexpr int kTimeoutMs = 30000;

KafkaPtr<rd_kafka_topic_partition_list_t> ListOf(const KafkaPartitionId& partition) {
  KafkaPtr<rd_kafka_topic_partition_list_t> list(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(list.get(), partition.topic.c_str(), partition.partition)
      ->offset = 0;
  return list;
}

class Producer : public TransactionalProducer {
 public:
  absl::Status Open(const OptionMap& options, const std::map<std::string, std::string>& fixed) {
    ASSIGN_OR_RETURN(client_, KafkaClient::Create(KafkaRole::kProducer, options, fixed,
                                                  [this](const rd_kafka_message_t* message) {
                                                    last_offset_ = message->offset;
                                                  }));
    return FromError(rd_kafka_init_transactions(client_->get(), kTimeoutMs), "init");
  }
  absl::Status Begin() override {
    return FromError(rd_kafka_begin_transaction(client_->get()), "begin");
  }

  absl::Status Send(const std::string& topic, int32_t partition, std::string_view value) override {
    return SendRecord(topic, partition, std::nullopt, value);
  }
  absl::Status SendKeyed(const std::string& topic, int32_t partition, std::string_view key,
                         std::string_view value) override {
    return SendRecord(topic, partition, key, value);
  }

  absl::Status Flush() override {
    return KafkaStatus(rd_kafka_flush(client_->get(), kTimeoutMs), "flush");
  }

  int64_t last_offset() const override { return last_offset_; }

  absl::Status SendOffset(const std::string& group, const KafkaPartitionId& partition,
                          std::string_view metadata) override {
    KafkaPtr<rd_kafka_topic_partition_list_t> list = ListOf(partition);
    list->elems[0].metadata = std::malloc(metadata.size());  // the list frees it
    std::memcpy(list->elems[0].metadata, metadata.data(), metadata.size());
    list->elems[0].metadata_size = metadata.size();
    KafkaPtr<rd_kafka_consumer_group_metadata_t> owner(
        rd_kafka_consumer_group_metadata_new(group.c_str()));
    return FromError(
        rd_kafka_send_offsets_to_transaction(client_->get(), list.get(), owner.get(), kTimeoutMs),
        "send offset");
  }

  absl::Status Commit(absl::Duration timeout) override {
    return FromError(rd_kafka_commit_transaction(client_->get(), MillisecondsOf(timeout)),
                     "commit");
  }
  absl::Status Abort() override {
    return FromError(rd_kafka_abort_transaction(client_->get(), kTimeoutMs), "abort");
  }

 private:
  absl::Status SendRecord(const std::string& topic, int32_t partition,
                          std::optional<std::string_view> key, std::string_view value) {
    return KafkaStatus(
        rd_kafka_producev(
            client_->get(), RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_PARTITION(partition),
            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_KEY(key.has_value() ? key->data() : nullptr, key.value_or("").size()),
            RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()), RD_KAFKA_V_END),
        topic);
  }

  absl::Status FromError(rd_kafka_error_t* error, std::string_view what) {
    KafkaPtr<rd_kafka_error_t> owner(error);
    if (error == nullptr) {
      return absl::OkStatus();
    }
    const std::string text = absl::StrCat(ToAbsl(what), ": ", rd_kafka_error_string(error));
    if (IsKafkaFencing(rd_kafka_error_code(error)) ||
        IsKafkaFencing(rd_kafka_fatal_error(client_->get(), nullptr, 0))) {
      return absl::AbortedError(text);
    }
    return rd_kafka_error_is_retriable(error) != 0 ? absl::UnavailableError(text)
                                                   : absl::InternalError(text);
  }

  int64_t last_offset_ = -1;  // the client's callback sets it in Flush
  std::shared_ptr<KafkaClient> client_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<TransactionalProducer>> NewTransactionalProducer(
    const std::string& bootstrap_servers, const std::string& transactional_id,
    absl::Duration transaction_timeout) {
  OptionMap options;
  options["bootstrap.servers"] = bootstrap_servers;
  auto producer = std::make_unique<Producer>();
  RETURN_IF_ERROR(producer->Open(
      options, {{"transactional.id", transactional_id},
                {"message.timeout.ms",
                 absl::StrCat(std::min(kTimeoutMs, MillisecondsOf(transaction_timeout)))},
                {"transaction.timeout.ms", absl::StrCat(MillisecondsOf(transaction_timeout))}}));
  return producer;
}

absl::StatusOr<std::optional<std::string>> ReadOffsetMetadata(const std::string& bootstrap_servers,
                                                              const std::string& group,
                                                              const KafkaPartitionId& partition,
                                                              bool stable, absl::Duration timeout) {
  OptionMap options;
  options["bootstrap.servers"] = bootstrap_servers;
  ASSIGN_OR_RETURN(
      std::shared_ptr<KafkaClient> client,
      KafkaClient::Create(KafkaRole::kConsumer, options,
                          {{"group.id", group},
                           {"isolation.level", stable ? "read_committed" : "read_uncommitted"}}));
  KafkaPtr<rd_kafka_topic_partition_list_t> list = ListOf(partition);
  rd_kafka_resp_err_t error =
      rd_kafka_committed(client->get(), list.get(), MillisecondsOf(timeout));
  const rd_kafka_topic_partition_t& found = list->elems[0];
  error = error == RD_KAFKA_RESP_ERR_NO_ERROR ? found.err : error;
  if (error == RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT) {
    return absl::UnavailableError(absl::StrCat("the offset of group ", group, " is unstable"));
  }
  RETURN_IF_ERROR(KafkaStatus(error, absl::StrCat("reading the offset of group ", group)));
  if (found.offset < 0) {
    return std::nullopt;
  }
  return std::string(static_cast<const char*>(found.metadata), found.metadata_size);
}

}  // namespace millrace::kafka
