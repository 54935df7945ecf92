// The executor's view of a Kafka table: one consumer that fetches the assigned partitions
// continuously, each into a queue of its own, so that several threads read different partitions at
// once; text columns point into the message payloads.
//
// Memory: the stages of all partitions share `prefetch_bytes`, less librdkafka's own queues (about
// 1.5 MiB per partition), but at least a half of it.
#ifndef MILLRACE_CONNECTORS_KAFKA_SOURCE_READER_H_
#define MILLRACE_CONNECTORS_KAFKA_SOURCE_READER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "connectors/format.h"
#include "connectors/source.h"

namespace millrace::kafka {

// REQUIRES: the source was validated. `format` outlives the reader.
absl::StatusOr<std::unique_ptr<SourceReader>> NewKafkaReader(const proto::Source& source,
                                                             const SourceContext& context,
                                                             const Format* format);

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_SOURCE_READER_H_
