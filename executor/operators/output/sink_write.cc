#include "executor/operators/output/sink_write.h"

#include "common/base/check.h"
#include "common/base/status.h"
#include "executor/operators/stage_context.h"

namespace millrace::executor {

// If the sink refuses a row, all rows of its record in this call are left out, and the others are
// written in another call.
absl::Status SinkWrite::Process(const Batch& input) {
  Batch batch = input;
  for (size_t left = batch.rows().count; left > 0;) {
    RETURN_IF_ERROR(
        context().outputs().SinkRows(sink_, context().sink_shard(), batch, &context().errors()));
    if (context().errors().empty()) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(context().DropFailedRows(&batch));
    MILLRACE_CHECK(batch.rows().count < left)
        << "sink " << sink_ << " refuses rows it was not given";
    left = batch.rows().count;
  }
  return absl::OkStatus();
}

}  // namespace millrace::executor
