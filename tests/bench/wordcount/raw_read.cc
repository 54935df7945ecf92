// The floor of the word count benchmark: reads a topic from its start to its present end with
// librdkafka and does nothing with the records. Prints their number.
//
//   raw_read BOOTSTRAP TOPIC PARTITIONS
#include <librdkafka/rdkafka.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

namespace {

constexpr size_t kBatch = 4096;
constexpr int kWaitMs = 50;         // a call waits this long for its batch to be full
constexpr int kMaxIdleWaits = 600;  // 30 s without a record or an end of partition: give up

void Die(const char* what, const char* detail) {
  std::fprintf(stderr, "raw_read: %s: %s\n", what, detail);
  std::exit(1);
}

rd_kafka_t* NewConsumer(const char* bootstrap) {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  char error[512];
  const std::vector<std::pair<const char*, const char*>> properties = {
      {"bootstrap.servers", bootstrap},        {"group.id", "raw-read"},
      {"enable.auto.commit", "false"},         {"enable.partition.eof", "true"},
      {"fetch.queue.backoff.ms", "2"},  // the default of 1000 stalls a fast reader
      {"queued.max.messages.kbytes", "65536"}, {"isolation.level", "read_committed"}};
  for (const auto& [name, value] : properties) {
    if (rd_kafka_conf_set(conf, name, value, error, sizeof(error)) != RD_KAFKA_CONF_OK) {
      Die("configuration", error);
    }
  }
  rd_kafka_t* consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof(error));
  if (consumer == nullptr) {
    Die("consumer", error);
  }
  rd_kafka_poll_set_consumer(consumer);
  return consumer;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: raw_read BOOTSTRAP TOPIC PARTITIONS\n");
    return 2;
  }
  const int partitions = std::atoi(argv[3]);
  rd_kafka_t* consumer = NewConsumer(argv[1]);
  rd_kafka_topic_partition_list_t* assignment = rd_kafka_topic_partition_list_new(partitions);
  for (int p = 0; p < partitions; ++p) {
    rd_kafka_topic_partition_list_add(assignment, argv[2], p)->offset = RD_KAFKA_OFFSET_BEGINNING;
  }
  rd_kafka_resp_err_t assigned = rd_kafka_assign(consumer, assignment);
  if (assigned != RD_KAFKA_RESP_ERR_NO_ERROR) {
    Die("assign", rd_kafka_err2str(assigned));
  }
  rd_kafka_queue_t* queue = rd_kafka_queue_get_consumer(consumer);
  std::vector<rd_kafka_message_t*> messages(kBatch);
  int64_t records = 0;
  int ended = 0;
  int idle_waits = 0;
  while (ended < partitions) {
    ssize_t count = rd_kafka_consume_batch_queue(queue, kWaitMs, messages.data(), messages.size());
    idle_waits = count > 0 ? 0 : idle_waits + 1;
    if (count < 0 || idle_waits > kMaxIdleWaits) {
      Die("no record for 30 s", argv[2]);
    }
    for (ssize_t i = 0; i < count; ++i) {
      rd_kafka_message_t* message = messages[static_cast<size_t>(i)];
      if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        ++records;
      } else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        ++ended;
      } else {
        Die("reading", rd_kafka_message_errstr(message));
      }
      rd_kafka_message_destroy(message);
    }
  }
  std::printf("%lld\n", static_cast<long long>(records));
  rd_kafka_queue_destroy(queue);
  rd_kafka_topic_partition_list_destroy(assignment);
  rd_kafka_consumer_close(consumer);
  rd_kafka_destroy(consumer);
  return 0;
}
