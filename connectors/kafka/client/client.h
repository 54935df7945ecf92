// A librdkafka client with its configuration and its last connection error. All code in
// connectors/kafka that talks to a cluster holds one by shared_ptr: fetched messages may outlive
// the reader that fetched them, and the client must outlive the messages.
#ifndef MILLRACE_CONNECTORS_KAFKA_CLIENT_CLIENT_H_
#define MILLRACE_CONNECTORS_KAFKA_CLIENT_CLIENT_H_

#include <librdkafka/rdkafka.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "connectors/kafka/client/properties.h"

namespace millrace::kafka {

// Thread-safe, as rd_kafka_t is.
class KafkaClient {
 public:
  using DeliveryCallback = std::function<void(const rd_kafka_message_t*)>;

  // Makes a client with the allowed properties of `options`, secrets resolved, over Millrace's
  // defaults; `fixed` is set last. Does not connect. INVALID_ARGUMENT names a property with a wrong
  // value. `on_delivery` runs on the thread that polls.
  static absl::StatusOr<std::shared_ptr<KafkaClient>> Create(
      KafkaRole role, const OptionMap& options, const std::map<std::string, std::string>& fixed,
      DeliveryCallback on_delivery = nullptr);

  KafkaClient(const KafkaClient&) = delete;
  KafkaClient& operator=(const KafkaClient&) = delete;
  ~KafkaClient();

  rd_kafka_t* get() const { return client_; }
  const std::string& bootstrap_servers() const { return bootstrap_servers_; }

  // Serves callbacks without waiting.
  void Poll() { rd_kafka_poll(client_, 0); }

  // The error when no broker answered for `waited`: UNAVAILABLE with the servers' names and the
  // last connection error.
  absl::Status Unreachable(absl::Duration waited);

  // The `error` of a call as a Status that begins with `what`; Unreachable for errors of the
  // connection.
  absl::Status ErrorOf(rd_kafka_resp_err_t error, std::string_view what, absl::Duration waited);

  // Whether librdkafka has reported that no broker can be reached, and no NoteAlive has come since.
  // NoteAlive is called when a broker has answered.
  bool AllBrokersDown() const { return all_brokers_down_.load(std::memory_order_relaxed); }
  void NoteAlive() { all_brokers_down_.store(false, std::memory_order_relaxed); }

 private:
  KafkaClient() = default;

  static void OnError(rd_kafka_t* client, int error, const char* reason, void* opaque);
  static void OnLog(const rd_kafka_t* client, int level, const char* facility, const char* text);
  static void OnDelivery(rd_kafka_t* client, const rd_kafka_message_t* message, void* opaque);

  rd_kafka_t* client_ = nullptr;
  std::string bootstrap_servers_;
  DeliveryCallback on_delivery_;
  absl::Mutex mutex_;
  std::string last_error_ ABSL_GUARDED_BY(mutex_);
  std::atomic<bool> all_brokers_down_{false};
};

// While in scope, collects the errors that librdkafka gives to the client's error callback when
// this thread serves a queue: that is how it reports that a partition's topic is gone. Errors of
// the connection are not collected. Scopes do not nest.
class QueueErrors {
 public:
  QueueErrors();
  QueueErrors(const QueueErrors&) = delete;
  QueueErrors& operator=(const QueueErrors&) = delete;
  ~QueueErrors();

  rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;  // the first error
  std::string text;
};

// INVALID_ARGUMENT unless librdkafka takes every allowed property of `options` with its value. No
// I/O; values with secret references are not looked at.
absl::Status CheckKafkaPropertyValues(KafkaRole role, const OptionMap& options);

// An error code as a Status: "`what`: text".
absl::Status KafkaStatus(rd_kafka_resp_err_t error, std::string_view what);

// A record that could not be written. Views live as long as the call.
struct KafkaUndelivered {
  std::string_view topic;
  int32_t partition = -1;  // −1: not chosen yet
  std::optional<std::string_view> key;
  size_t bytes = 0;  // of key and value
};

// "a record of 120 bytes, key "a"", with an excerpt of a long key: how messages name a record that
// was not written.
std::string DescribeKafkaRecord(size_t bytes, std::optional<std::string_view> key);

KafkaUndelivered UndeliveredOf(const rd_kafka_message_t& message, std::string_view topic);

// Why a record could not be written, from a delivery report (`by_broker`) or from producing it:
// names topic, partition, key (an excerpt) and size, and for a refusal the setting that is in the
// way.
absl::Status KafkaDeliveryStatus(rd_kafka_resp_err_t error, const KafkaUndelivered& record,
                                 bool by_broker);

// Whether an error says that the topic does not take this record, no matter who sends it.
bool IsKafkaRefusal(rd_kafka_resp_err_t error);

// Whether an error says that another producer has taken the transactional id.
bool IsKafkaFencing(rd_kafka_resp_err_t error);

// For librdkafka's calls: at least 1 ms.
int MillisecondsOf(absl::Duration duration);

// Owners for librdkafka's objects.
struct KafkaDeleter {
  void operator()(rd_kafka_queue_t* queue) const { rd_kafka_queue_destroy(queue); }
  void operator()(rd_kafka_event_t* event) const { rd_kafka_event_destroy(event); }
  void operator()(rd_kafka_topic_partition_list_t* list) const {
    rd_kafka_topic_partition_list_destroy(list);
  }
  void operator()(rd_kafka_AdminOptions_t* options) const {
    rd_kafka_AdminOptions_destroy(options);
  }
  void operator()(rd_kafka_topic_t* topic) const { rd_kafka_topic_destroy(topic); }
  void operator()(rd_kafka_error_t* error) const { rd_kafka_error_destroy(error); }
  void operator()(rd_kafka_conf_t* conf) const { rd_kafka_conf_destroy(conf); }
  void operator()(rd_kafka_NewTopic_t* topic) const { rd_kafka_NewTopic_destroy(topic); }
  void operator()(rd_kafka_TopicCollection_t* topics) const {
    rd_kafka_TopicCollection_destroy(topics);
  }
  void operator()(rd_kafka_NewPartitions_t* grown) const { rd_kafka_NewPartitions_destroy(grown); }
  void operator()(rd_kafka_DeleteTopic_t* topic) const { rd_kafka_DeleteTopic_destroy(topic); }
  void operator()(rd_kafka_consumer_group_metadata_t* group) const {
    rd_kafka_consumer_group_metadata_destroy(group);
  }
};
template <typename T>
using KafkaPtr = std::unique_ptr<T, KafkaDeleter>;

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_CLIENT_CLIENT_H_
