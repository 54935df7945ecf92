#include "executor/operators/sink_write.h"

#include "executor/operators/stage_context.h"

namespace millrace {

absl::Status SinkWrite::Process(const Batch& batch) {
  return context().outputs().SinkRows(sink_, context().sink_shard(), batch);
}

}  // namespace millrace
