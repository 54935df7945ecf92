// Writes a sink shard's records to a topic: held in memory until their batch is committed, then
// produced by an idempotent producer and waited for. At least once: a batch whose commit was cut
// short by the end of the process is written again.
#ifndef MILLRACE_CONNECTORS_KAFKA_SINK_WRITER_H_
#define MILLRACE_CONNECTORS_KAFKA_SINK_WRITER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "connectors/format.h"
#include "connectors/sink.h"

namespace millrace {

// The writer's marker is the last committed batch in decimal.
absl::StatusOr<std::unique_ptr<SinkWriter>> NewKafkaSinkWriter(const proto::Sink& sink,
                                                               const SinkContext& context,
                                                               const Format* format,
                                                               const std::string& topic);

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_KAFKA_SINK_WRITER_H_
