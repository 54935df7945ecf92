// The log of marks of a job: a compacted topic to which each session writes, in one transaction
// with its rows, how far it has come (session_mark.h), and which a claim reads.
#ifndef MILLRACE_CONNECTORS_KAFKA_SINK_MARK_LOG_H_
#define MILLRACE_CONNECTORS_KAFKA_SINK_MARK_LOG_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "connectors/kafka/client/client.h"
#include "connectors/kafka/sink/session_mark.h"

namespace millrace::kafka {

// A client that reads logs of marks, and asks about topics without making them. It sees only what
// is committed.
absl::StatusOr<std::shared_ptr<KafkaClient>> NewMarkLogClient(const OptionMap& options);

// INVALID_ARGUMENT if the topic is there and not compacted: the last words of a place must stay. OK
// if it is not there yet, if nothing can be said about it, or for "".
absl::Status CheckMarkLog(KafkaClient* client, const std::string& topic, absl::Duration timeout);

// Makes the topic unless it is there, with as many replicas as the widest of `data_topics` has, and
// returns its number of partitions. Thread-safe, also against other executors that do the same. To
// be called before a producer asks for the topic: brokers that make topics by themselves would then
// make it in their own way. `options`: for a producer that asks where `client` may not make topics
// because the brokers make them. INVALID_ARGUMENT as CheckMarkLog.
absl::StatusOr<int32_t> EnsureMarkLog(KafkaClient* client, const OptionMap& options,
                                      const std::string& topic,
                                      const std::vector<std::string>& data_topics,
                                      absl::Time deadline);

// Reads one partition, from an offset on or from its beginning, in the order of the log. Records
// arrive in the background from Create on, few at a time: a long log takes no more memory than a
// short one. Thread-compatible.
class MarkLogReader {
 public:
  static absl::StatusOr<std::unique_ptr<MarkLogReader>> Create(std::shared_ptr<KafkaClient> client,
                                                               const std::string& topic,
                                                               int32_t partition,
                                                               std::optional<int64_t> from);
  MarkLogReader(const MarkLogReader&) = delete;
  MarkLogReader& operator=(const MarkLogReader&) = delete;
  ~MarkLogReader();

  // Passes on what has been committed, up to the record at `offset`, which must be committed.
  // Begins with the first record of the log if there is none at `from` any more. UNAVAILABLE: that
  // record does not come before the deadline.
  absl::Status ReadTo(int64_t offset, absl::Time deadline, PlaceHistory* history);
  // The same, up to the first transaction that is open, or the end.
  absl::Status ReadToEnd(absl::Time deadline, PlaceHistory* history);

 private:
  MarkLogReader(std::shared_ptr<KafkaClient> client, std::string topic, int32_t partition)
      : client_(std::move(client)), topic_(std::move(topic)), partition_(partition) {}

  absl::Status Start(int64_t offset);
  void Stop();
  // `offset` none: up to the end.
  absl::Status Read(std::optional<int64_t> offset, absl::Time deadline, PlaceHistory* history);

  const std::shared_ptr<KafkaClient> client_;
  const std::string topic_;
  const int32_t partition_;
  KafkaPtr<rd_kafka_topic_t> handle_;
  bool started_ = false;
};

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_SINK_MARK_LOG_H_
