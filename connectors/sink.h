// What a sink connector is to the engine: a Connector that checks a table's options, and a Writer
// per shard that holds a batch's rows back until the driver commits the batch.
#ifndef MILLRACE_CONNECTORS_SINK_H_
#define MILLRACE_CONNECTORS_SINK_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/ids.h"
#include "common/columnar/batch.h"
#include "common/types/sql_type.h"
#include "proto/plan.pb.h"

namespace millrace {

// One writer identity of a sink. Called by one thread at a time; blocking calls return within their
// deadline. Life of a batch: Write any number of times, Prepare, Commit. Batches come in ascending
// order; Commit(n) may run while n+1 is being written. Rows are visible to readers only through
// Commit.
class SinkWriter {
 public:
  virtual ~SinkWriter() = default;

  // Takes rows of a batch; columns as in proto::Sink.columns. Copies what it keeps. `weights` in
  // the batch: −1 = delete (only in modes UPSERT and CHANGES). `batch_time_us` becomes the record
  // timestamp where there is one.
  virtual absl::Status Write(BatchId batch, int64_t batch_time_us, const Batch& rows) = 0;

  // Makes sure that Commit can only fail for reasons of the environment: everything is encoded and
  // checked. RESOURCE_EXHAUSTED when the held rows exceed the writer's bound.
  virtual absl::Status Prepare(BatchId batch, absl::Time deadline) = 0;

  // Makes the batch visible and durable as far as the connector can, and returns its new marker:
  // what a writer opened later must know to go on after this batch (empty if nothing). Safe to call
  // again after an UNAVAILABLE.
  virtual absl::StatusOr<std::string> Commit(BatchId batch, absl::Time deadline) = 0;
};

struct SinkContext {
  std::string job_name;
  std::string incarnation;
  Epoch epoch;
  uint32_t sink = 0;
  uint32_t shard = 0;
  std::string marker;  // last journaled marker of this shard; empty = it has never committed
  int64_t max_held_bytes = 256 << 20;  // of prepared and unprepared rows together
};

class SinkConnector {
 public:
  virtual ~SinkConnector() = default;

  // Checks options, columns and mode at submission without any I/O; messages list what is allowed.
  virtual absl::Status Validate(const proto::Sink& sink) const = 0;
  // Checks at submission what needs the outside world (the topic exists, the directory is
  // writable), within `timeout`.
  virtual absl::Status Probe(const proto::Sink& sink, absl::Duration timeout) const = 0;

  // Extra columns an INSERT may name ("_key", "_headers", "_partition").
  virtual std::vector<std::pair<std::string, SqlType>> MetadataColumns() const = 0;
  // Whether rows with negative weights are welcome without a PRIMARY KEY (print, memory,
  // blackhole).
  virtual bool accepts_changes() const = 0;
  virtual bool accepts_upsert() const = 0;
  // Rows go to the driver as results for a person instead of to a Writer (print).
  virtual bool gathered() const { return false; }

  // May do I/O (recovering from the marker). REQUIRES: not gathered().
  virtual absl::StatusOr<std::unique_ptr<SinkWriter>> CreateWriter(
      const proto::Sink& sink, const SinkContext& context) const = 0;
};

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_SINK_H_
