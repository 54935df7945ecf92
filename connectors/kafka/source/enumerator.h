// The driver's view of a Kafka table: partitions of its topics, their offsets, its consumer group.
#ifndef MILLRACE_CONNECTORS_KAFKA_SOURCE_ENUMERATOR_H_
#define MILLRACE_CONNECTORS_KAFKA_SOURCE_ENUMERATOR_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "connectors/source.h"

namespace millrace::kafka {

// The consumer group to which a table of a job reports its progress.
std::string KafkaGroupOf(const proto::Source& source, const std::string& job_name);

// Whether readers of the table leave out uncommitted records: the table's own property
// isolation.level decides, else the job's setting.
bool ReadsCommitted(const proto::Source& source, const SourceContext& context);

// REQUIRES: the source was validated.
absl::StatusOr<std::unique_ptr<SourceEnumerator>> NewKafkaEnumerator(const proto::Source& source,
                                                                     const SourceContext& context);

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_SOURCE_ENUMERATOR_H_
