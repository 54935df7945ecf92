#include "connectors/kafka/client/client.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/units.h"
#include "connectors/shared/secrets.h"

namespace millrace::kafka {
namespace {

// Measured (docs/benchmarks.md): with librdkafka's default of 1 s for fetch.queue.backoff.ms, a
// full queue costs 80 % of the throughput. fetch.wait.max.ms limits how late the end of a partition
// is noticed.
const std::map<std::string, std::string>& ConsumerDefaults() {
  static const auto& defaults = *new std::map<std::string, std::string>{
      {"fetch.queue.backoff.ms", "2"},  {"fetch.wait.max.ms", "100"},
      {"fetch.error.backoff.ms", "50"}, {"queued.max.messages.kbytes", "512"},
      {"queued.min.messages", "20000"},
  };
  return defaults;
}

const std::map<std::string, std::string>& ProducerDefaults() {
  static const auto& defaults = *new std::map<std::string, std::string>{
      {"partitioner", "murmur2_random"},
      // A record that the broker has not taken yet stays in flight until Commit's caller gives up:
      // sending it again would write it twice.
      {"message.timeout.ms", "0"},
      // A transaction may begin while the coordinator is still ending the last one; asking again
      // late costs 100 ms per commit.
      {"retry.backoff.max.ms", "10"},
      // Lingering gains nothing: records wait for the flush of the commit anyway.
      {"linger.ms", "1"},
  };
  return defaults;
}

const std::map<std::string, std::string>& CommonDefaults() {
  static const auto& defaults = *new std::map<std::string, std::string>{
      {"client.id", "millrace"},
      {"retry.backoff.ms", "2"},
      {"retry.backoff.max.ms", "100"},
      {"reconnect.backoff.ms", "20"},
      {"reconnect.backoff.max.ms", "1000"},
      {"socket.keepalive.enable", "true"},
      {"socket.nagle.disable", "true"},
      {"log.connection.close", "false"},
      {"topic.metadata.refresh.interval.ms", "10000"},
      // How long a topic that was just found may be missing from another broker's answer before it
      // counts as deleted.
      {"topic.metadata.propagation.max.ms", "3000"},
  };
  return defaults;
}

absl::Status Set(rd_kafka_conf_t* conf, const std::string& name, const std::string& value,
                 bool secret) {
  char reason[512];
  if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), reason, sizeof(reason)) !=
      RD_KAFKA_CONF_OK) {
    // librdkafka's text may repeat the value.
    return absl::InvalidArgumentError(absl::StrCat(
        "property ", name,
        secret ? ": the value its secret holds is not allowed" : absl::StrCat(": ", reason)));
  }
  return absl::OkStatus();
}

absl::Status SetAll(rd_kafka_conf_t* conf, const std::map<std::string, std::string>& properties) {
  for (const auto& [name, value] : properties) {
    RETURN_IF_ERROR(Set(conf, name, value, false));
  }
  return absl::OkStatus();
}

bool IsConnectionError(rd_kafka_resp_err_t error) {
  switch (error) {
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
      return true;
    default:
      return false;
  }
}

thread_local QueueErrors* queue_errors = nullptr;

absl::StatusCode CodeOf(rd_kafka_resp_err_t error) {
  switch (error) {
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR__NOENT:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID:
    case RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND:
      return absl::StatusCode::kNotFound;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
      return absl::StatusCode::kPermissionDenied;
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
      return absl::StatusCode::kUnauthenticated;
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
      return absl::StatusCode::kOutOfRange;
    case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS:
      return absl::StatusCode::kAlreadyExists;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
    case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
    case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
      return absl::StatusCode::kInvalidArgument;
    case RD_KAFKA_RESP_ERR__BAD_MSG:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
      return absl::StatusCode::kDataLoss;
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
      return absl::StatusCode::kUnimplemented;
    case RD_KAFKA_RESP_ERR__FATAL:
    case RD_KAFKA_RESP_ERR__FENCED:
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
    case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
      return absl::StatusCode::kAborted;
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
    case RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS:
    case RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT:
    case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
    case RD_KAFKA_RESP_ERR_NOT_CONTROLLER:
    case RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH:
    case RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH:
    case RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER:
    case RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR__PURGE_QUEUE:  // purged with its transaction, which has failed
    case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
    case RD_KAFKA_RESP_ERR__INVALID_DIFFERENT_RECORD:  // refused because of another record of its
                                                       // batch
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
      return absl::StatusCode::kUnavailable;
    default:
      return IsConnectionError(error) ? absl::StatusCode::kUnavailable : absl::StatusCode::kUnknown;
  }
}

}  // namespace

absl::StatusOr<std::shared_ptr<KafkaClient>> KafkaClient::Create(
    KafkaRole role, const OptionMap& options, const std::map<std::string, std::string>& fixed,
    DeliveryCallback on_delivery) {
  std::shared_ptr<KafkaClient> client(new KafkaClient());
  client->on_delivery_ = std::move(on_delivery);
  KafkaPtr<rd_kafka_conf_t> conf(rd_kafka_conf_new());
  RETURN_IF_ERROR(SetAll(conf.get(), CommonDefaults()));
  if (role != KafkaRole::kAdmin) {
    RETURN_IF_ERROR(
        SetAll(conf.get(), role == KafkaRole::kConsumer ? ConsumerDefaults() : ProducerDefaults()));
  }
  for (const auto& [name, value] : options) {
    if (!IsAllowedKafkaProperty(name, role)) {
      continue;  // the connector's own option; Validate has refused unknown ones
    }
    absl::StatusOr<std::string> resolved = ResolveSecrets(value);
    if (!resolved.ok()) {
      return Annotate(resolved.status(), absl::StrCat("property ", name));
    }
    RETURN_IF_ERROR(Set(conf.get(), name, *resolved, HasSecretReference(value)));
    if (name == "bootstrap.servers") {
      client->bootstrap_servers_ = value;
    }
  }
  RETURN_IF_ERROR(SetAll(conf.get(), fixed));
  rd_kafka_conf_set_opaque(conf.get(), client.get());
  rd_kafka_conf_set_error_cb(conf.get(), &KafkaClient::OnError);
  rd_kafka_conf_set_log_cb(conf.get(), &KafkaClient::OnLog);
  if (role == KafkaRole::kProducer) {
    rd_kafka_conf_set_dr_msg_cb(conf.get(), &KafkaClient::OnDelivery);
  }
  char reason[512];
  rd_kafka_type_t type = role == KafkaRole::kConsumer ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER;
  client->client_ = rd_kafka_new(type, conf.get(), reason, sizeof(reason));
  if (client->client_ == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("the Kafka client cannot be set up: ", reason));
  }
  (void)conf.release();  // rd_kafka_new has taken it
  return client;
}

KafkaClient::~KafkaClient() {
  if (client_ != nullptr) {
    // The engine's consumers are in no group, so there is nothing to leave.
    rd_kafka_destroy_flags(client_, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  }
}

absl::Status KafkaClient::Unreachable(absl::Duration waited) {
  for (int i = 0; i < 16 && rd_kafka_poll(client_, 0) > 0; ++i) {
  }
  absl::MutexLock lock(&mutex_);
  return absl::UnavailableError(
      absl::StrCat("no Kafka broker answered at bootstrap.servers = '", bootstrap_servers_,
                   "' within ", DurationToString(absl::Trunc(waited, absl::Milliseconds(1))),
                   last_error_.empty() ? "" : absl::StrCat(" (", last_error_, ")"),
                   "; check the address and that the broker runs"));
}

absl::Status KafkaClient::ErrorOf(rd_kafka_resp_err_t error, std::string_view what,
                                  absl::Duration waited) {
  if (IsConnectionError(error)) {
    return Annotate(Unreachable(waited), what);
  }
  return KafkaStatus(error, what);
}

void KafkaClient::OnError(rd_kafka_t*, int error, const char* reason, void* opaque) {
  auto* self = static_cast<KafkaClient*>(opaque);
  auto code = static_cast<rd_kafka_resp_err_t>(error);
  if (queue_errors != nullptr && !IsConnectionError(code)) {
    if (queue_errors->error == RD_KAFKA_RESP_ERR_NO_ERROR) {
      queue_errors->error = code;
      queue_errors->text = reason;
    }
    return;
  }
  if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
    self->all_brokers_down_.store(true,
                                  std::memory_order_relaxed);  // its text says no more than that
    return;
  }
  absl::MutexLock lock(&self->mutex_);
  self->last_error_ = reason;
}

// librdkafka warns of every lost connection; errors that matter are returned by calls.
void KafkaClient::OnLog(const rd_kafka_t*, int level, const char* facility, const char* text) {
  spdlog::log(level <= 2 ? spdlog::level::err : spdlog::level::debug, "kafka {}: {}", facility,
              text);
}

void KafkaClient::OnDelivery(rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
  auto* self = static_cast<KafkaClient*>(opaque);
  if (self->on_delivery_ != nullptr) {
    self->on_delivery_(message);
  }
}

QueueErrors::QueueErrors() { queue_errors = this; }
QueueErrors::~QueueErrors() { queue_errors = nullptr; }

absl::Status CheckKafkaPropertyValues(KafkaRole role, const OptionMap& options) {
  KafkaPtr<rd_kafka_conf_t> conf(rd_kafka_conf_new());
  for (const auto& [name, value] : options) {
    if (IsAllowedKafkaProperty(name, role) && !HasSecretReference(value)) {
      RETURN_IF_ERROR(Set(conf.get(), name, value, false));
    }
  }
  return absl::OkStatus();
}

absl::Status KafkaStatus(rd_kafka_resp_err_t error, std::string_view what) {
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
    return absl::OkStatus();
  }
  return absl::Status(CodeOf(error), absl::StrCat(ToAbsl(what), ": ", rd_kafka_err2str(error)));
}

namespace {

// Says why a record was refused and what to do; empty for other errors.
std::string RefusalAdvice(rd_kafka_resp_err_t error, bool by_broker) {
  switch (error) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
      return by_broker ? "larger than the topic takes: raise its max.message.bytes"
                       : "larger than the producer's property message.max.bytes allows: raise it, "
                         "and the topic's max.message.bytes";
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
      return "the broker takes no such record: a topic with cleanup.policy = compact wants a key, "
             "and message.timestamp.before.max.ms and .after.max.ms bound timestamps";
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
      return "its timestamp is out of the topic's bounds, message.timestamp.before.max.ms and "
             ".after.max.ms";
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
      return "the principal needs the operation Write on the topic";
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
      return "the principal needs Write and Describe on transactional ids that begin with "
             "millrace-";
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
      return "does the topic still exist, with that many partitions?";
    default:
      return "";
  }
}

}  // namespace

std::string DescribeKafkaRecord(size_t bytes, std::optional<std::string_view> key) {
  constexpr size_t kShownKeyBytes = 100;
  std::string text = absl::StrCat("a record of ", bytes, " bytes");
  if (key.has_value()) {
    absl::StrAppend(&text, ", key \"", absl::CHexEscape(ToAbsl(key->substr(0, kShownKeyBytes))),
                    key->size() > kShownKeyBytes ? "…" : "", "\"");
  }
  return text;
}

KafkaUndelivered UndeliveredOf(const rd_kafka_message_t& message, std::string_view topic) {
  KafkaUndelivered record{
      .topic = topic, .partition = message.partition, .bytes = message.len + message.key_len};
  if (message.key != nullptr) {
    record.key = std::string_view(static_cast<const char*>(message.key), message.key_len);
  }
  return record;
}

absl::Status KafkaDeliveryStatus(rd_kafka_resp_err_t error, const KafkaUndelivered& record,
                                 bool by_broker) {
  std::string what = absl::StrCat("writing to topic ", ToAbsl(record.topic));
  if (record.partition >= 0) {
    absl::StrAppend(&what, " partition ", record.partition);
  }
  const std::string advice = RefusalAdvice(error, by_broker);
  if (!advice.empty()) {
    absl::StrAppend(&what, " ", DescribeKafkaRecord(record.bytes, record.key));
  }
  const absl::Status status = KafkaStatus(error, what);
  return advice.empty() ? status
                        : absl::Status(status.code(), absl::StrCat(status.message(), "; ", advice));
}

bool IsKafkaRefusal(rd_kafka_resp_err_t error) {
  return error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ||
         error == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE ||
         error == RD_KAFKA_RESP_ERR_INVALID_RECORD || error == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
}

bool IsKafkaFencing(rd_kafka_resp_err_t error) {
  return error == RD_KAFKA_RESP_ERR__FENCED || error == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
         error == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
}

int MillisecondsOf(absl::Duration duration) {
  return static_cast<int>(std::clamp<int64_t>(absl::ToInt64Milliseconds(duration), 1, INT32_MAX));
}

}  // namespace millrace::kafka
