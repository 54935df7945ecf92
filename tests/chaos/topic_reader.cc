#include "tests/chaos/topic_reader.h"

#include <librdkafka/rdkafka.h>

#include <array>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "tests/chaos/kafka_conf.h"

namespace millrace::chaos {
namespace {

constexpr size_t kBatch = 2048;

}  // namespace

absl::StatusOr<std::unique_ptr<TopicReader>> TopicReader::Create(const std::string& bootstrap,
                                                                 std::vector<std::string> topics,
                                                                 int32_t partitions) {
  std::unique_ptr<TopicReader> reader(new TopicReader());
  ASSIGN_OR_RETURN(reader->consumer_,
                   NewClient(RD_KAFKA_CONSUMER, {{"bootstrap.servers", bootstrap},
                                                 {"group.id", "chaos-ledger"},
                                                 {"isolation.level", "read_committed"},
                                                 {"enable.auto.commit", "false"},
                                                 {"enable.partition.eof", "true"},
                                                 {"auto.offset.reset", "error"},
                                                 {"fetch.queue.backoff.ms", "2"},
                                                 {"fetch.error.backoff.ms", "20"},
                                                 {"reconnect.backoff.ms", "50"},
                                                 {"reconnect.backoff.max.ms", "500"},
                                                 {"queued.max.messages.kbytes", "16384"}}));
  rd_kafka_poll_set_consumer(reader->consumer_);
  reader->queue_ = rd_kafka_queue_get_consumer(reader->consumer_);
  reader->topics_ = std::move(topics);
  rd_kafka_topic_partition_list_t* assignment = rd_kafka_topic_partition_list_new(partitions);
  for (size_t topic = 0; topic < reader->topics_.size(); ++topic) {
    reader->numbers_[reader->topics_[topic]] = topic;
    for (int32_t p = 0; p < partitions; ++p) {
      reader->positions_[{topic, p}] = 0;
      rd_kafka_topic_partition_list_add(assignment, reader->topics_[topic].c_str(), p)->offset = 0;
    }
  }
  const rd_kafka_resp_err_t error = rd_kafka_assign(reader->consumer_, assignment);
  rd_kafka_topic_partition_list_destroy(assignment);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return absl::InternalError(absl::StrCat("assign: ", rd_kafka_err2str(error)));
  }
  return reader;
}

TopicReader::~TopicReader() {
  if (queue_ != nullptr) {
    rd_kafka_queue_destroy(queue_);
  }
  if (consumer_ != nullptr) {
    rd_kafka_consumer_close(consumer_);
    rd_kafka_destroy(consumer_);
  }
}

void TopicReader::Poll(int wait_ms, const std::function<void(const TopicRecord&)>& take) {
  // One with a wait, then what else is there: a batch call would wait for its batch to be full.
  std::array<rd_kafka_message_t*, kBatch> messages;
  for (const size_t most : {size_t{1}, kBatch}) {
    const ssize_t count =
        rd_kafka_consume_batch_queue(queue_, most == 1 ? wait_ms : 0, messages.data(), most);
    for (ssize_t i = 0; i < count; ++i) {
      Take(*messages[static_cast<size_t>(i)], take);
      rd_kafka_message_destroy(messages[static_cast<size_t>(i)]);
    }
    if (count <= 0) {
      return;
    }
  }
}

void TopicReader::Take(const rd_kafka_message_s& message,
                       const std::function<void(const TopicRecord&)>& take) {
  // Errors of connections are passed over: the client goes on by itself.
  if (message.rkt == nullptr) {
    return;
  }
  const auto number = numbers_.find(rd_kafka_topic_name(message.rkt));
  if (number == numbers_.end()) {
    return;
  }
  const PartitionId id{number->second, message.partition};
  if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    positions_[id] = message.offset;  // past control records and aborted ones
  } else if (message.err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    positions_[id] = message.offset + 1;
    TopicRecord record{id.first, message.partition, message.offset};
    record.key = {static_cast<const char*>(message.key), message.key_len};
    if (message.payload != nullptr) {
      record.value = {static_cast<const char*>(message.payload), message.len};
    }
    take(record);
  }
}

std::optional<TopicReader::Offsets> TopicReader::StableEnds(int timeout_ms) const {
  Offsets ends;
  for (const auto& [id, position] : positions_) {
    int64_t low = 0;
    int64_t high = 0;
    if (rd_kafka_query_watermark_offsets(consumer_, topics_[id.first].c_str(), id.second, &low,
                                         &high, timeout_ms) != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return std::nullopt;
    }
    ends[id] = high;
  }
  return ends;
}

bool TopicReader::HasReached(const Offsets& ends) const {
  for (const auto& [id, end] : ends) {
    if (positions_.at(id) < end) {
      return false;
    }
  }
  return true;
}

}  // namespace millrace::chaos
