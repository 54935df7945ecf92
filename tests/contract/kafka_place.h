// One Kafka broker for all tests of a binary, and what tests do with it.
#ifndef MILLRACE_TESTS_CONTRACT_KAFKA_PLACE_H_
#define MILLRACE_TESTS_CONTRACT_KAFKA_PLACE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "connectors/kafka/admin/admin.h"
#include "connectors/kafka/testing/transactional_producer.h"
#include "tests/harness/kafka_broker.h"

namespace millrace {

// Started when it is first asked for, ended with the test program.
KafkaBroker& Broker();
kafka::KafkaAdmin& Admin();

// A new topic with a name of its own.
std::string NewTopic(int32_t partitions, const std::map<std::string, std::string>& config = {});

// Writes records to one partition and waits for them.
void Produce(const std::string& topic, int32_t partition, const std::vector<std::string>& values);

// Where the partition ends once it holds no open transaction: the coordinator answers before the
// end of a transaction is in the log.
int64_t StableEnd(const std::string& topic, int32_t partition = 0);

struct PlainRecord {
  int32_t partition = 0;
  int64_t offset = 0;
  int64_t timestamp_ms = 0;
  std::optional<std::string> key;
  std::optional<std::string> value;
};
// All committed records of a topic, by partition and offset.
std::vector<PlainRecord> Consume(const std::string& topic);

}  // namespace millrace

#endif  // MILLRACE_TESTS_CONTRACT_KAFKA_PLACE_H_
