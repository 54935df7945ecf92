#include "connectors/kafka/record_limits.h"

#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "connectors/kafka/client.h"

namespace millrace {
namespace {

// librdkafka's RD_KAFKAP_MESSAGE_V2_MAX_OVERHEAD: attributes, and the longest that the varints of a
// record of format 2 can be.
constexpr int64_t kMostOverhead = 36;

// Of a length as records of format 2 write it: zigzag, 7 bits a byte.
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

absl::Status CheckRecord(const KafkaRecord& record, const KafkaRecordLimits& limits) {
  const int64_t bytes = KafkaProducerBytes(record);
  if (bytes <= limits.producer_bytes) {
    return absl::OkStatus();
  }
  const std::optional<std::string_view> key =
      record.key.data() == nullptr ? std::nullopt : std::make_optional(record.key);
  return absl::InvalidArgumentError(absl::StrCat(
      "topic ", limits.topic, ": ", DescribeKafkaRecord(static_cast<size_t>(bytes), key),
      ", is larger than the table's option message.max.bytes, ", limits.producer_bytes,
      "; raise it, and the topic's max.message.bytes"));
}

}  // namespace

int64_t KafkaProducerBytes(const KafkaRecord& record) {
  return kMostOverhead + static_cast<int64_t>(record.size()) + HeaderBytes(record);
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

}  // namespace millrace
