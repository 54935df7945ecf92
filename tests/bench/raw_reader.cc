// The floor of the word count: reads a topic to its end with librdkafka, tuned as our own connector
// is, and does nothing with the records. Prints {"records": …, "bytes": …}.
#include <librdkafka/rdkafka.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

constexpr int kTimeoutMs = 10'000;
constexpr size_t kMessages = 4'096;

[[noreturn]] void Die(const std::string& message) {
  std::fprintf(stderr, "raw_reader: %s\n", message.c_str());
  std::exit(1);
}

rd_kafka_t* NewConsumer(const std::string& bootstrap) {
  char error[512];
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  const char* const settings[][2] = {
      {"bootstrap.servers", bootstrap.c_str()}, {"group.id", "raw-reader"},
      {"enable.auto.commit", "false"},          {"enable.partition.eof", "true"},
      {"auto.offset.reset", "error"},           {"fetch.queue.backoff.ms", "2"},
      {"queued.max.messages.kbytes", "65536"}};
  for (const auto& [name, value] : settings) {
    if (rd_kafka_conf_set(conf, name, value, error, sizeof(error)) != RD_KAFKA_CONF_OK) {
      Die(error);
    }
  }
  rd_kafka_t* consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof(error));
  return consumer != nullptr ? consumer : (Die(error), nullptr);
}

// Assigns every partition from its beginning; the number of those that are not empty.
int AssignAll(rd_kafka_t* consumer, const std::string& topic, int partitions) {
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(partitions);
  int filled = 0;
  for (int32_t partition = 0; partition < partitions; ++partition) {
    int64_t low = 0;
    int64_t high = 0;
    const rd_kafka_resp_err_t asked = rd_kafka_query_watermark_offsets(
        consumer, topic.c_str(), partition, &low, &high, kTimeoutMs);
    if (asked != RD_KAFKA_RESP_ERR_NO_ERROR) {
      Die(topic + ": " + rd_kafka_err2str(asked));
    }
    if (high > low) {
      rd_kafka_topic_partition_list_add(list, topic.c_str(), partition)->offset = low;
      ++filled;
    }
  }
  const rd_kafka_resp_err_t assigned = rd_kafka_assign(consumer, list);
  if (assigned != RD_KAFKA_RESP_ERR_NO_ERROR) {
    Die(rd_kafka_err2str(assigned));
  }
  rd_kafka_topic_partition_list_destroy(list);
  return filled;
}

void ReadToEnd(rd_kafka_t* consumer, int partitions_left) {
  rd_kafka_queue_t* queue = rd_kafka_queue_get_consumer(consumer);
  std::vector<rd_kafka_message_t*> messages(kMessages);
  int64_t records = 0;
  int64_t bytes = 0;
  while (partitions_left > 0) {
    const ssize_t count =
        rd_kafka_consume_batch_queue(queue, 1'000, messages.data(), messages.size());
    for (ssize_t i = 0; i < count; ++i) {
      if (messages[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        --partitions_left;
      } else if (messages[i]->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        Die(rd_kafka_message_errstr(messages[i]));
      } else {
        ++records;
        bytes += static_cast<int64_t>(messages[i]->len);
      }
      rd_kafka_message_destroy(messages[i]);
    }
  }
  rd_kafka_queue_destroy(queue);
  std::printf("{\"records\": %lld, \"bytes\": %lld}\n", static_cast<long long>(records),
              static_cast<long long>(bytes));
}

}  // namespace

int main(int argc, char** argv) {
  std::string bootstrap;
  std::string topic;
  int partitions = 4;
  CLI::App app("Reads a topic to its end and does nothing with it.");
  app.add_option("--bootstrap", bootstrap)->required();
  app.add_option("--topic", topic)->required();
  app.add_option("--partitions", partitions);
  CLI11_PARSE(app, argc, argv);
  rd_kafka_t* consumer = NewConsumer(bootstrap);
  ReadToEnd(consumer, AssignAll(consumer, topic, partitions));
  rd_kafka_consumer_close(consumer);
  rd_kafka_destroy(consumer);
  return 0;
}
