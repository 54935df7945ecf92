#include "connectors/kafka/sink/record_limits.h"

#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "connectors/kafka/client/client.h"

namespace millrace::kafka {
namespace {

// librdkafka's RD_KAFKAP_MESSAGE_V2_MAX_OVERHEAD: the attributes, and the varints of a record of
// format 2 at their longest.
constexpr int64_t kMostOverhead = 36;

// The bytes that a length takes in records of format 2: zigzag, 7 bits a byte.
int64_t VarintBytes(size_t length) {
  int64_t bytes = 1;
  for (size_t rest = length * 2; rest >= 128; rest /= 128) {
    ++bytes;
  }
  return bytes;
}

int64_t HeaderBytes(const KafkaRecord& record) {
  int64_t bytes = 0;
  if (record.headers != nullptr) {
    for (const auto& [name, value] : *record.headers) {
      const size_t value_size = value.has_value() ? value->size() : 0;
      bytes += VarintBytes(name.size()) + static_cast<int64_t>(name.size()) +
               VarintBytes(value_size) + static_cast<int64_t>(value_size);
    }
  }
  return bytes;
}

std::string Name(const KafkaRecord& record, int64_t bytes) {
  const auto size = static_cast<size_t>(bytes);
  return record.key.data() == nullptr ? DescribeKafkaRecord(size, std::nullopt)
                                      : absl::StrCat(DescribeKafkaRecord(size, record.key), ",");
}

absl::Status CheckRecord(const KafkaRecord& record, const KafkaRecordLimits& limits) {
  const KafkaTopicLimits& topic = limits.of_topic;
  if (const int64_t bytes = KafkaProducerBytes(record); bytes > limits.producer_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("topic ", limits.topic, ": ", Name(record, bytes),
                     " is larger than the table's option message.max.bytes, ",
                     limits.producer_bytes, "; raise it, and the topic's max.message.bytes"));
  }
  if (topic.max_message_bytes.has_value() && !limits.compressed &&
      KafkaBatchBytes(record) > *topic.max_message_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("topic ", limits.topic, ": ", Name(record, KafkaBatchBytes(record)),
                     " is larger than the topic's max.message.bytes, ", *topic.max_message_bytes));
  }
  if (topic.wants_key && record.key.data() == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        "topic ", limits.topic, ": ", Name(record, KafkaBatchBytes(record)),
        " has no key, which a topic with cleanup.policy = compact wants: give the table a PRIMARY "
        "KEY, or write _key"));
  }
  if (topic.partitions > 0 && record.partition >= topic.partitions) {
    return absl::InvalidArgumentError(absl::StrCat("topic ", limits.topic, ": _partition is ",
                                                   record.partition, ", and the topic has ",
                                                   topic.partitions, " partitions"));
  }
  return absl::OkStatus();
}

}  // namespace

int64_t KafkaProducerBytes(const KafkaRecord& record) {
  return kMostOverhead + static_cast<int64_t>(record.size()) + HeaderBytes(record);
}

int64_t KafkaBatchBytes(const KafkaRecord& record) {
  constexpr int64_t kBatchHeader = 61;
  constexpr int64_t kFixed = 3;  // attributes, and the differences of time and offset: 0
  const size_t headers = record.headers == nullptr ? 0 : record.headers->size();
  // The length of a missing key or value is −1, which takes one byte, like a short one's.
  const int64_t record_bytes =
      kFixed + VarintBytes(record.key.size()) + VarintBytes(record.value.size()) +
      static_cast<int64_t>(record.size()) + VarintBytes(headers) + HeaderBytes(record);
  return kBatchHeader + VarintBytes(static_cast<size_t>(record_bytes)) + record_bytes;
}

void CheckKafkaRecords(const Batch& rows, const std::vector<KafkaRecord>& records,
                       const KafkaRecordLimits& limits, RowErrors* refused) {
  const RowSet selected = rows.rows();
  for (size_t i = 0; i < selected.count; ++i) {
    if (absl::Status status = CheckRecord(records[i], limits); !status.ok()) {
      refused->Add(selected[i], std::move(status));
    }
  }
}

}  // namespace millrace::kafka
