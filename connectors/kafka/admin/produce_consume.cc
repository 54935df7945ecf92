// Producing and consuming by hand (admin.h).
#include <algorithm>
#include <atomic>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "connectors/kafka/admin/admin.h"
#include "connectors/kafka/client/client.h"
#include "connectors/kafka/client/start_position.h"
#include "connectors/kafka/client/topics.h"
#include "connectors/kafka/source/enumerator.h"

namespace millrace::kafka {
namespace {

constexpr int kPollMs = 100;

class RecordProducer : public KafkaRecordProducer {
 public:
  explicit RecordProducer(std::string topic) : topic_(std::move(topic)) {}

  absl::Status Open(const OptionMap& options) {
    ASSIGN_OR_RETURN(
        client_,
        KafkaClient::Create(KafkaRole::kProducer, options,
                            {{"enable.idempotence", "true"}, {"message.timeout.ms", "30000"}},
                            [this](const rd_kafka_message_t* message) { OnDelivery(message); }));
    handle_.reset(rd_kafka_topic_new(client_->get(), topic_.c_str(), nullptr));
    return handle_ == nullptr
               ? absl::InvalidArgumentError(absl::StrCat("no topic can be called ", topic_))
               : absl::OkStatus();
  }

  absl::Status Send(std::optional<std::string_view> key, std::optional<std::string_view> value,
                    int32_t partition) override {
    rd_kafka_poll(client_->get(), 0);
    if (!failure_.ok()) {
      return failure_;
    }
    std::string_view empty = "";  // not null: the record has a key, which is empty
    std::string_view key_bytes =
        key.has_value() && key->data() == nullptr ? empty : key.value_or(std::string_view());
    std::string_view bytes =
        value.has_value() && value->data() == nullptr ? empty : value.value_or(std::string_view());
    while (true) {
      rd_kafka_resp_err_t error = rd_kafka_producev(
          client_->get(), RD_KAFKA_V_RKT(handle_.get()),
          RD_KAFKA_V_PARTITION(partition < 0 ? RD_KAFKA_PARTITION_UA : partition),
          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
          RD_KAFKA_V_KEY(key_bytes.data(), key_bytes.size()),
          RD_KAFKA_V_VALUE(const_cast<char*>(bytes.data()), bytes.size()), RD_KAFKA_V_END);
      if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return absl::OkStatus();
      }
      if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        return KafkaDeliveryStatus(error,
                                   {.topic = topic_,
                                    .partition = partition,
                                    .key = key,
                                    .bytes = key_bytes.size() + bytes.size()},
                                   /*by_broker=*/false);
      }
      rd_kafka_poll(client_->get(), kPollMs);
      if (!failure_.ok()) {
        return failure_;
      }
    }
  }

  absl::Status Flush(absl::Duration timeout) override {
    if (rd_kafka_flush(client_->get(), MillisecondsOf(timeout)) != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return Annotate(client_->Unreachable(timeout), absl::StrCat("writing to topic ", topic_));
    }
    return failure_;
  }

 private:
  void OnDelivery(const rd_kafka_message_t* message) {
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR && failure_.ok()) {
      const absl::Status refused =
          KafkaDeliveryStatus(message->err, UndeliveredOf(*message, topic_), /*by_broker=*/true);
      failure_ = absl::IsUnavailable(refused) ? Annotate(client_->Unreachable(absl::Seconds(30)),
                                                         absl::StrCat("writing to topic ", topic_))
                                              : refused;
    }
  }

  std::string topic_;
  absl::Status failure_;
  std::shared_ptr<KafkaClient> client_;
  KafkaPtr<rd_kafka_topic_t> handle_;
};

// A consumer of all partitions of a request, and its position in each.
class ManualConsumer {
 public:
  explicit ManualConsumer(KafkaConsumeRequest request) : request_(std::move(request)) {}

  absl::Status Open(const OptionMap& options, absl::Duration timeout) {
    proto::Source source;
    *source.mutable_options() = options;
    (*source.mutable_options())["topic"] = request_.topic;
    (*source.mutable_options())["start"] = request_.start;
    ASSIGN_OR_RETURN(std::unique_ptr<SourceEnumerator> enumerator,
                     NewKafkaEnumerator(source, SourceContext{.job_name = "consume"}));
    ASSIGN_OR_RETURN(std::vector<PartitionName> names, enumerator->Discover(timeout));
    if (names.empty()) {
      return absl::NotFoundError(absl::StrCat("no topic matches ", request_.topic));
    }
    ASSIGN_OR_RETURN(std::vector<PartitionOffset> starts, enumerator->ResolveStart(names, timeout));
    ASSIGN_OR_RETURN(std::vector<PartitionEnd> ends, enumerator->Ends(names, timeout));
    ASSIGN_OR_RETURN(client_, KafkaClient::Create(KafkaRole::kConsumer, options,
                                                  {{"group.id", "millrace-consume"},
                                                   {"enable.auto.commit", "false"},
                                                   {"auto.offset.reset", "error"},
                                                   {"enable.partition.eof", "true"}}));
    KafkaPtr<rd_kafka_topic_partition_list_t> list(
        rd_kafka_topic_partition_list_new(static_cast<int>(names.size())));
    for (size_t i = 0; i < names.size(); ++i) {
      if (starts[i].offset >= ends[i].stable_end && !request_.follow) {
        continue;
      }
      ASSIGN_OR_RETURN(auto parsed, ParseKafkaPartition(names[i]));
      rd_kafka_topic_partition_list_add(list.get(), parsed.first.c_str(), parsed.second)->offset =
          starts[i].offset.value();
      ends_[names[i]] = ends[i].stable_end.value();
    }
    rd_kafka_poll_set_consumer(client_->get());
    return KafkaStatus(rd_kafka_assign(client_->get(), list.get()), "assigning the partitions");
  }

  absl::Status Run(const std::function<bool(const KafkaRecordView&)>& sink,
                   const std::function<bool()>& stopped) {
    int64_t count = 0;
    while ((request_.follow || !ends_.empty()) && !stopped()) {
      rd_kafka_message_t* message = rd_kafka_consumer_poll(client_->get(), kPollMs);
      if (message == nullptr) {
        continue;
      }
      std::unique_ptr<rd_kafka_message_t, void (*)(rd_kafka_message_t*)> owner(
          message, &rd_kafka_message_destroy);
      if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR &&
          message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        absl::Status status = KafkaStatus(message->err, absl::StrCat("reading ", request_.topic));
        if (status.code() != absl::StatusCode::kUnavailable) {
          return status;
        }
        continue;
      }
      if (!IsWanted(*message)) {
        continue;
      }
      if (!sink(ViewOf(*message)) ||
          (request_.max_records > 0 && ++count >= request_.max_records)) {
        return absl::OkStatus();
      }
    }
    return absl::OkStatus();
  }

 private:
  // Notes the partition's position. A record behind the requested end is not wanted.
  bool IsWanted(const rd_kafka_message_t& message) {
    bool is_record = message.err == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (request_.follow) {
      return is_record;
    }
    auto end = ends_.find(KafkaPartitionName(rd_kafka_topic_name(message.rkt), message.partition));
    if (end == ends_.end()) {
      return false;
    }
    bool wanted = is_record && message.offset < end->second;
    if (message.offset + (is_record ? 1 : 0) >= end->second) {
      ends_.erase(end);
    }
    return wanted;
  }

  static KafkaRecordView ViewOf(const rd_kafka_message_t& message) {
    rd_kafka_timestamp_type_t type;
    KafkaRecordView view{.topic = rd_kafka_topic_name(message.rkt),
                         .partition = message.partition,
                         .offset = message.offset,
                         .timestamp_ms = rd_kafka_message_timestamp(&message, &type)};
    if (message.key != nullptr) {
      view.key = std::string_view(static_cast<const char*>(message.key), message.key_len);
    }
    if (message.payload != nullptr) {
      view.value = std::string_view(static_cast<const char*>(message.payload), message.len);
    }
    return view;
  }

  KafkaConsumeRequest request_;
  std::map<PartitionName, int64_t> ends_;  // ends of the partitions that are not done
  std::shared_ptr<KafkaClient> client_;
};

absl::StatusOr<OptionMap> CheckedOptions(const KafkaProperties& properties, KafkaRole role) {
  OptionMap options(properties.begin(), properties.end());
  RETURN_IF_ERROR(CheckKafkaOptionNames(options, role, {}));
  RETURN_IF_ERROR(
      RequiredOption(options, "kafka", "bootstrap.servers", "'localhost:9092'").status());
  return options;
}

}  // namespace

absl::StatusOr<std::unique_ptr<KafkaRecordProducer>> NewKafkaRecordProducer(
    const KafkaProperties& properties, const std::string& topic, absl::Duration timeout) {
  ASSIGN_OR_RETURN(OptionMap options, CheckedOptions(properties, KafkaRole::kProducer));
  KafkaProperties common;
  for (const auto& [name, value] : properties) {
    if (IsAllowedKafkaProperty(name, KafkaRole::kAdmin)) {
      common[name] = value;
    }
  }
  ASSIGN_OR_RETURN(std::unique_ptr<KafkaAdmin> admin, KafkaAdmin::Create(common));
  RETURN_IF_ERROR(WithCreationAdvice(admin->DescribeTopic(topic, timeout).status(), topic));
  auto producer = std::make_unique<RecordProducer>(topic);
  RETURN_IF_ERROR(producer->Open(options));
  return producer;
}

absl::Status ConsumeKafka(const KafkaProperties& properties, const KafkaConsumeRequest& request,
                          absl::Duration timeout,
                          const std::function<bool(const KafkaRecordView&)>& sink,
                          const std::function<bool()>& stopped) {
  ASSIGN_OR_RETURN(OptionMap options, CheckedOptions(properties, KafkaRole::kConsumer));
  ManualConsumer consumer(request);
  RETURN_IF_ERROR(consumer.Open(options, timeout));
  return consumer.Run(sink, stopped);
}

}  // namespace millrace::kafka
