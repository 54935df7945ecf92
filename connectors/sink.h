// The interface of sink connectors: a Connector that checks a table's options, and a Writer per
// shard that holds back a batch's rows until the driver commits the batch.
#ifndef MILLRACE_CONNECTORS_SINK_H_
#define MILLRACE_CONNECTORS_SINK_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
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

// Writes one shard of a sink in one epoch. One thread at a time calls it; blocking calls return
// within their deadline, a SteadyNow(). For each batch: Write any number of times, Prepare, Commit.
// Batches come in ascending order; Commit(n) may run while later batches are being written. Readers
// see rows only after Commit.
//
// A shard is claimed when its writer is created. From then on, no writer of a lower epoch can make
// anything visible, and committed() tells what earlier writers have committed.
class SinkWriter {
 public:
  virtual ~SinkWriter() = default;

  // Takes rows of a batch; columns as in proto::Sink.columns. Copies what it keeps, and takes the
  // memory for it from SinkContext::memory, whose error it returns. When much is held, a writer may
  // pass rows on to a place that hides them until the commit (flow_out.h), and wait until it can.
  // Weight −1 = delete (only in modes UPSERT and CHANGES). `batch_time_us` becomes the record
  // timestamp where there is one.
  //
  // If the sink can never take some of the rows (one is too large, or no line of a file), Write
  // takes none of them and fails with the first one's reason; TakeRefused then says which rows they
  // are. The caller drops them as on_error says, and writes the rest. After any other error the
  // batch is not committed.
  virtual absl::Status Write(BatchId batch, int64_t batch_time_us, const Batch& rows) = 0;

  // The rows that the last Write refused, by their physical row, each with its reason; empty if it
  // failed for another reason. Every run of a batch refuses the same rows, even where its output is
  // visible already: otherwise the failed records that are set aside might not be those that were
  // left out. So a batch of which rows were refused is committed even if none was written. A writer
  // whose judgement may change with its place notes the refusal there.
  virtual std::vector<RowError> TakeRefused() { return {}; }

  // Tells the time of a batch that the next Commit includes, even if no Write comes for it: files
  // grow old by batch time. Called before Prepare.
  virtual void NoteBatch(BatchId batch, int64_t batch_time_us) { (void)batch, (void)batch_time_us; }

  // Says that the batch that is committed next is the last one, because the job finishes or a new
  // plan lacks the shard. Commit then closes what the writer keeps open for more rows, so that
  // Settle can show all of it. The end is part of a commit, and so of the journal; otherwise a
  // zombie could close something to which its successor still writes.
  virtual void Finish() {}

  // Makes sure that Commit can only fail because of the environment: encodes and checks everything.
  virtual absl::Status Prepare(BatchId batch, absl::Time deadline) = 0;

  // Makes all prepared batches up to `through` visible, in one step where the connector can, and as
  // durable as it can. Returns the new marker: what a writer that is opened later must know to go
  // on after these batches (empty if nothing). Skips batches ≤ committed(), which are visible
  // already. May be called again after UNAVAILABLE: what has become visible is not written twice.
  // ABORTED: a higher epoch has claimed the shard. If rows that had left memory are lost with the
  // place that hid them, this call and all later ones fail, with a failure_kind.h that makes the
  // job run the batch again.
  virtual absl::StatusOr<std::string> Commit(BatchId through, absl::Time deadline) = 0;

  // The last batch whose output is visible, as the claim found it or Commit made it; 0 = none.
  // Thread-safe.
  virtual BatchId committed() const = 0;

  // The present marker, after the claim and before any Commit. Empty if nothing need be known.
  virtual std::string marker() const { return ""; }

  // Says that the commits of all batches up to `batch` are in the journal, so that steps that
  // depend on that may be taken (a rolled file gets its final name). Called before the next Commit
  // and now and then; cheap when there is nothing to do.
  virtual absl::Status Settle(BatchId batch, absl::Time deadline) {
    (void)batch, (void)deadline;
    return absl::OkStatus();
  }

  // The batch time at which Commit should be called even without rows (a file is old enough to
  // roll, a marker must be renewed); 0 = never. Thread-safe.
  virtual int64_t wake_at_us() const { return 0; }

  // Whether some committed rows are not visible to readers yet, so that the shard must be claimed
  // again even if no more rows come for it. Thread-safe.
  virtual bool hides_rows() const { return false; }

  // The bytes of rows that are held until commit: of all batches, and of one, including those of
  // its rows that have left memory already. Thread-safe.
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
  // The last committed batch and the last planned one, as the journal knows them. For batches
  // between them nobody knows whether this shard has committed them.
  BatchId committed_batch;
  BatchId planned_batch;
  // When the epoch began: the batch time of records that the claim writes.
  int64_t batch_time_us = 0;
  // Memory for rows that are held until commit, prepared or not; shared with the job's other
  // writers.
  std::shared_ptr<HeldMemory> memory = std::make_shared<HeldMemory>(int64_t{256} << 20);
  // Whether the epoch has ended here, so that a Write that waits or takes long gives up.
  std::function<bool()> ended = [] { return false; };
};

// What the engine must know of a sink to plan and run a job that writes to it, so that it need not
// ask which connector the sink has.
struct SinkTraits {
  // The option whose value is a path on the machine that writes it, so that the access policy must
  // allow it; empty if there is none.
  std::string_view path_option = {};
  // Whether the sink takes rows with negative weights without a PRIMARY KEY (print, memory,
  // blackhole).
  bool accepts_changes = false;
  // Whether the sink takes rows by PRIMARY KEY: the last row of a key replaces those before it.
  bool accepts_upsert = false;
  // Whether committed rows may stay invisible to readers until more come or Finish is called (files
  // that have not rolled). Such a job is brought to its end before its plan changes.
  bool holds_back = false;
  // Whether rows go to the driver, as results for a person, and not to a Writer (print).
  bool gathered = false;
};

class SinkConnector {
 public:
  virtual ~SinkConnector() = default;

  // Checks options, columns and mode at submission, without I/O; messages list what is allowed.
  virtual absl::Status Validate(const proto::Sink& sink) const = 0;
  // The same for every table of the connector.
  virtual SinkTraits traits() const = 0;
  // Checks at submission, within `timeout`, what needs the outside world: that the topic exists,
  // that the directory is writable.
  virtual absl::Status Probe(const proto::Sink& sink, absl::Duration timeout) const = 0;

  // Extra columns an INSERT may name ("_key", "_headers", "_partition").
  virtual std::vector<std::pair<std::string, SqlType>> MetadataColumns() const = 0;

  // May do I/O (recovering from the marker). REQUIRES: not traits().gathered.
  virtual absl::StatusOr<std::unique_ptr<SinkWriter>> CreateWriter(
      const proto::Sink& sink, const SinkContext& context) const = 0;
};

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_SINK_H_
