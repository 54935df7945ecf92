// Writes the Kafka sinks of an executor that share a producer. Rows are held until their batch is
// committed. Then those of all shards go out in one transaction, together with a record of the log
// of marks that says so (exactly once, the default); or by an idempotent producer whose
// acknowledgements are awaited (at least once: if the process ends in between, rows are written
// again). docs/exactly-once.md §3 is the protocol.
#ifndef MILLRACE_CONNECTORS_KAFKA_SINK_SINK_SESSION_H_
#define MILLRACE_CONNECTORS_KAFKA_SINK_SINK_SESSION_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "connectors/registry.h"
#include "connectors/sink.h"

namespace millrace::kafka {

// Claims the place, within 30 s. ABORTED: a higher epoch has it. FAILED_PRECONDITION: what is found
// there does not fit the journal (ClaimedMark in session_mark.h). `formats` outlives the session.
// REQUIRES: KafkaSessionKey of the tables is the same.
absl::StatusOr<std::unique_ptr<SinkSession>> OpenKafkaSinkSession(
    const std::vector<SinkTable>& tables, const SinkContext& context,
    const ConnectorRegistry* formats);

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_SINK_SINK_SESSION_H_
