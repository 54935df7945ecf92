// Claims a shard in the form of versions before sessions (former_marker.h): a process of such a
// version that sleeps through the upgrade and wakes later must find that its shard is taken.
#ifndef MILLRACE_CONNECTORS_KAFKA_SINK_FORMER_CLAIM_H_
#define MILLRACE_CONNECTORS_KAFKA_SINK_FORMER_CLAIM_H_

#include "absl/status/statusor.h"
#include "common/base/ids.h"
#include "connectors/sink.h"

namespace millrace::kafka {

// Ends what such a process has left open in the shard, within 30 s, and returns the last batch that
// is out. Blocks. Errors as of FormerlyWritten. A sink that writes at least once has nothing to
// claim.
absl::StatusOr<BatchId> ClaimFormerKafkaShard(const proto::Sink& sink, const SinkContext& context);

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_SINK_FORMER_CLAIM_H_
