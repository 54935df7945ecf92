// Writes a sink shard's records to a topic. Records are held until their batch is committed. Then
// they are written in one transaction with the shard's marker (exactly once, the default), or by an
// idempotent producer whose acknowledgements are awaited (at least once: if the process ends in
// between, records are written again). docs/exactly-once.md §3 is the protocol.
#ifndef MILLRACE_CONNECTORS_KAFKA_SINK_SINK_WRITER_H_
#define MILLRACE_CONNECTORS_KAFKA_SINK_SINK_WRITER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "connectors/format.h"
#include "connectors/sink.h"

namespace millrace::kafka {

// Claims the shard, within 30 s. ABORTED: a higher epoch has it. FAILED_PRECONDITION: the marker
// does not fit the journal (ClaimedBatch in sink_marker.h).
absl::StatusOr<std::unique_ptr<SinkWriter>> NewKafkaSinkWriter(const proto::Sink& sink,
                                                               const SinkContext& context,
                                                               const Format* format);

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_SINK_SINK_WRITER_H_
