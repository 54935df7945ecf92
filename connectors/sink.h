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
#include "common/expr/row_errors.h"
#include "common/types/sql_type.h"
#include "connectors/held_memory.h"
#include "proto/plan.pb.h"

namespace millrace {

// One writer identity of a sink: a shard, in one epoch. Called by one thread at a time; blocking
// calls return within their deadline. Life of a batch: Write any number of times, Prepare, Commit.
// Batches come in ascending order; Commit(n) may run while later ones are being written. Rows are
// visible to readers only through Commit.
//
// A shard is claimed when its writer is created: from then on no writer of a lower epoch can make
// anything visible, and committed() tells what earlier ones have.
class SinkWriter {
 public:
  virtual ~SinkWriter() = default;

  // Takes rows of a batch; columns as in proto::Sink.columns. Copies what it keeps, and takes the
  // memory for it from SinkContext::memory, whose error it returns. Where much is held, a writer
  // may let rows leave for a place that hides them until the commit (flow_out.h), and wait for
  // that. `weights` in the batch: −1 = delete (only in modes UPSERT and CHANGES). `batch_time_us`
  // becomes the record timestamp where there is one.
  //
  // When the sink can never take some of the rows (one is too large, or no line of a file), Write
  // takes none of them and fails with the first one's reason; TakeRefused then says which rows they
  // are. The caller drops what on_error says, and writes the rest. After any other error the batch
  // is not committed.
  virtual absl::Status Write(BatchId batch, int64_t batch_time_us, const Batch& rows) = 0;

  // The rows that the last Write refused, by their physical row, each with its reason; empty when
  // it failed for another one. Every run of a batch refuses the same rows, also where its output is
  // out already: what was set aside instead of them may not be.
  virtual std::vector<RowError> TakeRefused() { return {}; }

  // The batch time of a batch that Commit will take in although no Write may come: files grow old
  // by it. Before Prepare.
  virtual void NoteBatch(BatchId batch, int64_t batch_time_us) { (void)batch, (void)batch_time_us; }

  // Nothing comes after the batch that is committed next, the last of a job that finishes (or of a
  // shard that a new plan lacks): Commit closes what the writer keeps open for more, so that Settle
  // can show all of it. That the end is part of a commit, and so of the journal, is what keeps a
  // zombie from closing what its successor still writes to.
  virtual void Finish() {}

  // Makes sure that Commit can only fail for reasons of the environment: everything is encoded and
  // checked.
  virtual absl::Status Prepare(BatchId batch, absl::Time deadline) = 0;

  // Makes all prepared batches up to `through` visible, in one step where the connector can,
  // durable as far as it can, and returns the new marker: what a writer opened later must know to
  // go on after them (empty if nothing). Batches ≤ committed() are out and are left out. Safe to
  // call again after an UNAVAILABLE: what then is out is not written twice. ABORTED: a higher epoch
  // has claimed the shard. Where rows that had left are gone with the place where they were, this
  // call and all later ones fail, with a failure_kind.h that makes the job run the batch again.
  virtual absl::StatusOr<std::string> Commit(BatchId through, absl::Time deadline) = 0;

  // The last batch whose output is out, as the claim found it or Commit made it; 0 = none.
  // Thread-safe.
  virtual BatchId committed() const = 0;

  // The marker as it is now: after the claim, before any Commit. Empty if nothing need be known.
  virtual std::string marker() const { return ""; }

  // The commit of all batches up to `batch` is in the journal, so that what hangs on it may be done
  // (a rolled file gets its final name). Called before the next Commit and now and then; cheap when
  // there is nothing to do.
  virtual absl::Status Settle(BatchId batch, absl::Time deadline) {
    (void)batch, (void)deadline;
    return absl::OkStatus();
  }

  // The batch time at which Commit should be called although no rows have come (a file is old
  // enough to roll, a marker to renew); 0 = never. Thread-safe.
  virtual int64_t wake_at_us() const { return 0; }

  // Whether some of what is committed is yet to be shown to readers, so that the shard must be
  // claimed again although nothing may come to it any more. Thread-safe.
  virtual bool hides_rows() const { return false; }

  // Bytes of rows held until commit: of all batches, and of one, with those of it that have left
  // already. Thread-safe.
  virtual int64_t held_bytes() const { return 0; }
  virtual int64_t held_bytes_of(BatchId batch) const {
    (void)batch;
    return 0;
  }
};

struct SinkContext {
  std::string job_name;
  std::string incarnation;
  Epoch epoch;
  uint32_t sink = 0;
  uint32_t shard = 0;
  std::string marker;  // last journaled marker of this shard; empty = it has never been claimed
  // By the journal: the last committed batch, and the last planned one. Batches between them are in
  // doubt: a shard may or may not have committed them.
  BatchId committed_batch;
  BatchId planned_batch;
  int64_t batch_time_us = 0;  // when the epoch began: the time of what the claim writes
  // For rows that are held until commit, prepared or not; shared with the job's other writers.
  std::shared_ptr<HeldMemory> memory = std::make_shared<HeldMemory>(int64_t{256} << 20);
  // Whether the epoch has ended here, so that a Write that waits gives up.
  std::function<bool()> ended = [] { return false; };
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
  // Whether committed rows may be out of readers' sight until more come or Finish is called (files
  // that have not rolled): a job is brought to its end before its plan changes.
  virtual bool holds_back() const { return false; }
  // Rows go to the driver as results for a person instead of to a Writer (print).
  virtual bool gathered() const { return false; }

  // May do I/O (recovering from the marker). REQUIRES: not gathered().
  virtual absl::StatusOr<std::unique_ptr<SinkWriter>> CreateWriter(
      const proto::Sink& sink, const SinkContext& context) const = 0;
};

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_SINK_H_
