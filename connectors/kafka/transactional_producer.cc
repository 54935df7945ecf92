#include "connectors/kafka/transactional_producer.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "connectors/kafka/client.h"

namespace millrace {
namespace {

constexpr int kTimeoutMs = 30000;

absl::Status FromError(rd_kafka_error_t* error) {
  KafkaPtr<rd_kafka_error_t> owner(error);
  return error == nullptr ? absl::OkStatus() : absl::InternalError(rd_kafka_error_string(error));
}

class Producer : public TransactionalProducer {
 public:
  explicit Producer(std::shared_ptr<KafkaClient> client) : client_(std::move(client)) {}

  absl::Status Init() { return FromError(rd_kafka_init_transactions(client_->get(), kTimeoutMs)); }
  absl::Status Begin() override { return FromError(rd_kafka_begin_transaction(client_->get())); }

  absl::Status Send(const std::string& topic, int32_t partition, std::string_view value) override {
    return KafkaStatus(
        rd_kafka_producev(client_->get(), RD_KAFKA_V_TOPIC(topic.c_str()),
                          RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                          RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()),
                          RD_KAFKA_V_END),
        topic);
  }

  absl::Status Flush() override {
    return KafkaStatus(rd_kafka_flush(client_->get(), kTimeoutMs), "flush");
  }
  absl::Status Commit() override {
    return FromError(rd_kafka_commit_transaction(client_->get(), kTimeoutMs));
  }
  absl::Status Abort() override {
    return FromError(rd_kafka_abort_transaction(client_->get(), kTimeoutMs));
  }

 private:
  std::shared_ptr<KafkaClient> client_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<TransactionalProducer>> NewTransactionalProducer(
    const std::string& bootstrap_servers, const std::string& transactional_id) {
  OptionMap options;
  options["bootstrap.servers"] = bootstrap_servers;
  ASSIGN_OR_RETURN(std::shared_ptr<KafkaClient> client,
                   KafkaClient::Create(KafkaRole::kProducer, options,
                                       {{"transactional.id", transactional_id},
                                        {"message.timeout.ms", absl::StrCat(kTimeoutMs)},
                                        {"transaction.timeout.ms", absl::StrCat(2 * kTimeoutMs)}}));
  auto producer = std::make_unique<Producer>(std::move(client));
  RETURN_IF_ERROR(producer->Init());
  return producer;
}

}  // namespace millrace
