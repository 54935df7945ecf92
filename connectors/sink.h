// The interface of sink connectors: a Connector that checks a table's options and opens Sessions. A
// session owns what is needed to commit: connection, transaction and claim. Shards write into it,
// and its Commit makes the rows of all of them visible in one step. docs/exactly-once.md §3 says
// why that is exactly once.
#ifndef MILLRACE_CONNECTORS_SINK_H_
#define MILLRACE_CONNECTORS_SINK_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
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

// A batch, as it is written to a shard.
struct SinkBatch {
  BatchId id;
  int64_t time_us = 0;  // batch time; becomes the record timestamp where there is one
  // Set if an earlier epoch has made the shard's output of this batch visible already. Then Write
  // keeps no rows, and judges them by these terms: those of the session that had the shard then
  // (SinkSession::Terms). The driver finds that out for shared sessions; others know it themselves.
  std::optional<std::string> visible = std::nullopt;
};

// Takes the rows of one shard. Belongs to the session that it writes into. One thread at a time
// calls it; shards of one session may be called at the same time.
class SinkShard {
 public:
  virtual ~SinkShard() = default;

  // Takes rows of a batch; columns as in proto::Sink.columns. Copies what it keeps, and takes the
  // memory for it from SinkContext::memory, whose error it returns. When much is held, a session
  // may pass rows on to a place that hides them until the commit (flow_out.h), and wait until it
  // can. Weight −1 = delete (only in modes UPSERT and CHANGES).
  //
  // If the sink can never take some of the rows (one is too large, or no line of a file), Write
  // takes none of them and fails with the first one's reason; TakeRefused then says which rows they
  // are. The caller drops them as on_error says, and writes the rest. After any other error the
  // batch is not committed.
  virtual absl::Status Write(const SinkBatch& batch, const Batch& rows) = 0;

  // The rows that the last Write refused, by their physical row, each with its reason; empty if it
  // failed for another reason. Every run of a batch refuses the same rows, even where its output is
  // visible already: otherwise the failed records that are set aside might not be those that were
  // left out. So a batch of which rows were refused is committed even if none was written.
  virtual std::vector<RowError> TakeRefused() { return {}; }
};

// What a session has made visible, for the journal.
struct SinkMark {
  Epoch written;       // shared sessions: the last epoch that has written here; 0 = none has
  BatchId batch;       // the last batch whose output is visible; 0 = none
  std::string marker;  // what the next session here must know, opaque; empty = nothing
};

// Writes some shards of an epoch on one executor. For each batch: Write of the shards any number of
// times, NoteBatch, Prepare, Commit; but only Write if all rows that came are visible already and
// none was refused. Batches come in ascending order. Readers see rows only after Commit. Blocking
// calls return within their deadline, a SteadyNow().
//
// One thread at a time calls NoteBatch and Prepare, and one at a time Settle, Finish and Commit:
// Commit(n) may run while later batches are written and prepared, and while shards are added.
//
// Opening a session is a claim of its place: a shard, or a slot of a sink or group of sinks
// (SinkTraits::scope). From then on, no session of a lower epoch can make anything visible in that
// place, and mark() tells what earlier ones have committed there.
class SinkSession {
 public:
  virtual ~SinkSession() = default;

  // The write end of a shard of one of the session's tables, `sink` by its index. Without I/O; not
  // between the first Write of a batch and its Prepare. Call once for each shard. The session owns
  // the result, which lives as long as it does.
  virtual absl::StatusOr<SinkShard*> AddShard(uint32_t sink, uint32_t shard) = 0;

  // By what this session judges rows of a table, beyond the table's own options (limits of a topic
  // that may change). The same for the session's life; the driver journals it, and passes it on
  // with shards whose output is visible (SinkBatch::visible). Empty if there is nothing of the
  // kind.
  virtual std::string Terms(uint32_t sink) const {
    (void)sink;
    return "";
  }

  // Tells the time of the batch that is prepared next. It is to be committed even if it has no
  // rows: files grow old by batch time, and refusals must be known.
  virtual void NoteBatch(BatchId batch, int64_t batch_time_us) { (void)batch, (void)batch_time_us; }

  // Says that the batch that is committed next is the last one, because the job finishes or a new
  // plan lacks the shard. Commit then closes what the session keeps open for more rows, so that
  // Settle can show all of it. The end is part of a commit, and so of the journal; otherwise a
  // zombie could close something to which its successor still writes.
  virtual void Finish() {}

  // Makes sure that Commit can only fail because of the environment: encodes and checks everything.
  virtual absl::Status Prepare(BatchId batch, absl::Time deadline) = 0;

  // Makes all prepared batches up to `through` visible, in one step where the connector can, and as
  // durable as it can; mark() is the new one afterwards. Skips batches that are visible already.
  // May be called again after UNAVAILABLE: what has become visible is not written twice. ABORTED: a
  // higher epoch has claimed the place. If rows that had left memory are lost with the place that
  // hid them, this call and all later ones fail, with a failure_kind.h that makes the job run the
  // batch again.
  virtual absl::Status Commit(BatchId through, absl::Time deadline) = 0;

  // What the claim found, or the last Commit made. Thread-safe.
  virtual SinkMark mark() const = 0;

  // Says that the commits of all batches up to `batch` are in the journal, so that steps that
  // depend on that may be taken (a rolled file gets its final name). Called before the next Commit
  // and now and then; cheap when there is nothing to do.
  virtual absl::Status Settle(BatchId batch, absl::Time deadline) {
    (void)batch, (void)deadline;
    return absl::OkStatus();
  }

  // The batch time at which Commit should be called even without rows (a file is old enough to
  // roll); 0 = never. Thread-safe.
  virtual int64_t wake_at_us() const { return 0; }

  // Whether some committed rows are not visible to readers yet, so that the place must be claimed
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

// A session of SinkTraits::Scope::kShard, which writes its one shard itself.
class SingleShardSession : public SinkSession, public SinkShard {
 public:
  absl::StatusOr<SinkShard*> AddShard(uint32_t, uint32_t) final { return this; }
};

// A table that a session writes, by its index in the plan. The table outlives the session.
struct SinkTable {
  uint32_t index = 0;
  const proto::Sink* table = nullptr;
};

// What a claim is told of the job, the epoch and the place, and what a session may use.
struct SinkContext {
  std::string job_name;
  std::string incarnation;
  Epoch epoch;
  // The place that is claimed: a shard of a sink, or the slot of an executor in a group of sinks,
  // which the least index of its sinks names.
  uint32_t sink = 0;
  uint32_t shard = 0;
  uint32_t slot = 0;
  std::string marker;  // last journaled marker of this place; empty = it has never been claimed
  // The last committed batch and the last planned one, as the journal knows them. For batches
  // between them nobody knows whether they have been committed here.
  BatchId committed_batch;
  BatchId planned_batch;
  // When the epoch began: the batch time of records that the claim writes.
  int64_t batch_time_us = 0;
  // Memory for rows that are held until commit, prepared or not; shared with the job's other
  // sessions.
  std::shared_ptr<HeldMemory> memory = std::make_shared<HeldMemory>(int64_t{256} << 20);
  // Whether the epoch has ended here, so that a Write that waits or takes long gives up.
  std::function<bool()> ended = [] { return false; };
};

// What the engine must know of a sink to plan and run a job that writes to it, so that it need not
// ask which connector the sink has.
struct SinkTraits {
  // What a session writes.
  enum class Scope {
    // One shard. The place outlives executors by the marker that the journal keeps.
    kShard,
    // All shards of an executor, of one sink or of several (SinkConnector::SessionKey). The place
    // is the executor's slot in the epoch, and keeps itself who has written there last.
    kExecutor,
  };
  Scope scope = Scope::kShard;
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
  // Whether rows go to the driver, as results for a person, and not to a session (print).
  bool gathered = false;
};

// Immutable, so safe from any thread; outlives its sessions. Errors do not name the table's shard
// or slot: whoever opens and uses sessions does.
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

  // Scope kExecutor: sinks whose keys are equal and not empty share a session. Pure; the driver
  // groups the sinks of a plan by it (session_groups.h).
  virtual std::string SessionKey(const proto::Sink& sink) const {
    (void)sink;
    return "";
  }

  // Claims a place, which may take I/O, and opens a session there. `tables`: one with scope kShard;
  // with kExecutor those that share the session, the one that names it first. ABORTED: a higher
  // epoch has claimed the place. REQUIRES: not traits().gathered.
  virtual absl::StatusOr<std::unique_ptr<SinkSession>> Open(const std::vector<SinkTable>& tables,
                                                            const SinkContext& context) const = 0;

  // Claims a shard in the form of versions before sessions, for a connector that now has scope
  // kExecutor: ends what a process of such a version may have left open, makes it give up, and
  // returns the last batch that it has committed. context.marker: as that version left it.
  virtual absl::StatusOr<BatchId> ClaimFormerShard(const proto::Sink& sink,
                                                   const SinkContext& context) const {
    (void)sink;
    return context.committed_batch;
  }
};

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_SINK_H_
