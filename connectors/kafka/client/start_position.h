// The option `start` of a Kafka source: where a new job begins to read. Plain values, pure
// functions.
#ifndef MILLRACE_CONNECTORS_KAFKA_CLIENT_START_POSITION_H_
#define MILLRACE_CONNECTORS_KAFKA_CLIENT_START_POSITION_H_

#include <cstdint>
#include <map>
#include <string_view>

#include "absl/status/statusor.h"

namespace millrace::kafka {

struct KafkaStart {
  enum class Kind { kEarliest, kLatest, kTimestamp, kOffsets, kGroup };
  Kind kind = Kind::kEarliest;
  int64_t timestamp_ms = 0;            // kTimestamp: records at or after it
  std::map<int32_t, int64_t> offsets;  // kOffsets: by partition; others begin at earliest
};

// "earliest", "latest", "group", "timestamp:2026-01-31T12:00:00Z" (or milliseconds since 1970),
// "offsets:0:12,1:7". INVALID_ARGUMENT lists these.
absl::StatusOr<KafkaStart> ParseKafkaStart(std::string_view text);

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_CLIENT_START_POSITION_H_
