// Checks whether a topic will take a record, as far as that can be known before the broker is
// asked. Rows whose records are refused here follow the source's on_error; when the broker refuses
// a record, it is too late for that. Pure functions.
#ifndef MILLRACE_CONNECTORS_KAFKA_SINK_RECORD_LIMITS_H_
#define MILLRACE_CONNECTORS_KAFKA_SINK_RECORD_LIMITS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/columnar/batch.h"
#include "common/expr/row_errors.h"
#include "connectors/kafka/client/topic_limits.h"
#include "connectors/kafka/sink/record_encoder.h"

namespace millrace::kafka {

// The limits are the same for all batches of an epoch.
struct KafkaRecordLimits {
  std::string topic;
  int64_t producer_bytes = 0;  // message.max.bytes of the table
  // Whether the producer compresses. Then the broker compares a smaller size with its limit than
  // the size that is known here.
  bool compressed = false;
  KafkaTopicLimits of_topic = {};
};

// The size that the producer compares with message.max.bytes: key, value, headers, and the most
// that the protocol adds to a record.
int64_t KafkaProducerBytes(const KafkaRecord& record);

// The size that the broker compares with max.message.bytes, without compression: that of a batch
// with this record alone. (The producer makes no larger batches of several records; its batch.size
// sees to that.)
int64_t KafkaBatchBytes(const KafkaRecord& record);

// Adds an error, which names topic, key and limit, for every row whose record exceeds the limits.
// Record i is that of the i-th selected row.
void CheckKafkaRecords(const Batch& rows, const std::vector<KafkaRecord>& records,
                       const KafkaRecordLimits& limits, RowErrors* refused);

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_SINK_RECORD_LIMITS_H_
