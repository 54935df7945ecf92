// A sink whose shards share sessions (SinkTraits::Scope::kExecutor), as those of Kafka do, but in
// memory. Its connector remembers who has claimed a slot last and who has written there, over all
// epochs and executors of a test; sinks with the same connector may be of one group. A call that
// breaks the contract of SinkSession fails a CHECK.
//
// TestOutput gets the committed rows and these events, where g0/s1 is slot 1 of group 0:
// "open g0/s1 of 0,2 'marker'", "add 0/3 to g0/s1" (shard 3 of sink 0), "judge 0/3 b1 by 'terms'"
// (for rows that are visible), "prepare g0/s1 b1", "commit g0/s1 b1: 0/3 2/1" (of which shards it
// shows rows), "close g0/s1", and "former 0/3 'marker'" for a shard of versions before sessions.
#ifndef MILLRACE_EXECUTOR_TESTING_SHARED_TEST_SINK_H_
#define MILLRACE_EXECUTOR_TESTING_SHARED_TEST_SINK_H_

#include <memory>

#include "connectors/sink.h"
#include "executor/testing/test_connectors.h"

namespace millrace::executor {

// `output` outlives the connector.
std::unique_ptr<SinkConnector> NewSharedTestSink(TestOutput* output);

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_TESTING_SHARED_TEST_SINK_H_
