// Turns records that could not be decoded or evaluated into rows of the table that on_error =
// 'table:NAME' names. Pure function.
#ifndef MILLRACE_EXECUTOR_EPOCH_FAILED_RECORDS_H_
#define MILLRACE_EXECUTOR_EPOCH_FAILED_RECORDS_H_

#include <cstdint>
#include <map>

#include "absl/status/status.h"
#include "common/columnar/batch.h"
#include "connectors/source.h"
#include "proto/plan.pb.h"

namespace millrace::executor {

// One row per failed record of the chunk, in the order of offsets. `failed`: what was wrong, by the
// record's row in the chunk. What the connector does not know of a record is NULL. REQUIRES:
// `table` passed CheckErrorTable.
Batch FailedRecords(const proto::Sink& table, const SourceChunk& chunk,
                    const std::map<uint32_t, absl::Status>& failed);

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_EPOCH_FAILED_RECORDS_H_
