// The transactions of a sink session: hands over the rows that are held, commits them together with
// a mark, and finds out what became of a commit that was not answered. Thread-safe, but for Claim.
#ifndef MILLRACE_CONNECTORS_KAFKA_SINK_SINK_TRANSACTIONS_H_
#define MILLRACE_CONNECTORS_KAFKA_SINK_SINK_TRANSACTIONS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/ids.h"
#include "connectors/kafka/client/topic_limits.h"
#include "connectors/kafka/sink/held_batches.h"
#include "connectors/kafka/sink/place_claim.h"
#include "connectors/kafka/sink/session_mark.h"
#include "connectors/kafka/sink/sink_producer.h"
#include "connectors/sink.h"

namespace millrace::kafka {

class SinkTransactions {
 public:
  // `held` outlives this object: librdkafka points into its records.
  SinkTransactions(SinkContext context, KafkaProducerConfig config, HeldBatches* held);
  SinkTransactions(const SinkTransactions&) = delete;
  SinkTransactions& operator=(const SinkTransactions&) = delete;
  // Aborts an open transaction. Readers wait for its end, and there may be no next epoch to end it:
  // a cancelled job has none.
  ~SinkTransactions();

  // Claims the place: afterwards no session of a lower epoch can make anything visible there.
  // Returns the limits that each topic has, whose numbers of partitions are known. Call it once,
  // before all others.
  absl::StatusOr<std::vector<KafkaTopicLimits>> Claim(absl::Time deadline);

  // Moves the rows of the first batch into the open transaction: those that are held, and `more`,
  // for which there was no memory. When it returns, the broker has them, and they are nowhere else.
  // REQUIRES: exactly once; IsFirst(batch).
  absl::Status Flow(BatchId batch, std::optional<HeldRows> more);
  // Whether every commit that can come covers `batch`, which is being written now: no earlier batch
  // has rows here, or needs a mark.
  bool IsFirst(BatchId batch) const;

  // Notes that rows of a batch were refused: its commit leaves a mark even without rows.
  void NoteRefusal(BatchId batch);
  // As SinkSession::Commit.
  absl::Status Commit(BatchId through, absl::Time deadline);

  // The last batch that is committed everywhere, or was by this session.
  BatchId committed() const;
  SinkMark mark() const;

 private:
  // A transaction in progress, and how far it has come. The next call of Commit continues it.
  struct Round {
    BatchId through;
    std::vector<const HeldRows*> rows;
    size_t next = 0;    // index of the next rows to produce
    size_t record = 0;  // index of their next record
    bool begun = false;
    bool marked = false;
  };

  // A transaction that was begun before its commit was ordered, for the first batch that is not
  // committed. Some rows of that batch are in the transaction and nowhere else.
  struct OpenFlow {
    BatchId batch;
    absl::Time begun;
  };

  bool exactly_once() const { return config_.settings.exactly_once; }

  // Makes sure that the producer packs no more bytes of records into one batch than each topic
  // takes.
  absl::Status FitBatches(absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(transaction_mutex_);
  // `partitions`: of the log.
  absl::Status ClaimMark(const std::shared_ptr<KafkaClient>& client, int32_t partitions,
                         absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(transaction_mutex_);
  // Notes what the log says of the place, from the record at `offset` on.
  void SetMark(const WrittenMark& written, int64_t offset)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(transaction_mutex_);
  // Notes that all batches up to `batch` are committed.
  void SetCommitted(BatchId batch);

  absl::Status HandOverFlowing(BatchId batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(transaction_mutex_);
  // Ends the session's work after rows that had left were lost with their transaction. The other
  // rows of their batch must not be committed without them: this session commits no more, and the
  // batch is run again in another epoch. A batch that takes longer than the broker keeps a
  // transaction open would do so each time, and is made smaller.
  absl::Status LoseFlow(const absl::Status& cause)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(transaction_mutex_);

  absl::Status CommitOnce(BatchId through, absl::Time deadline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(transaction_mutex_);
  // Makes no round if there are no rows and no batch wants a mark.
  void StartRound(BatchId through) ABSL_EXCLUSIVE_LOCKS_REQUIRED(transaction_mutex_);
  // Whether rows of a batch up to `through` were refused.
  bool WantsMark(BatchId through) const;
  absl::Status RunRound(absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(transaction_mutex_);
  // Produces the records from `*record` up to `end`, and advances `*record` with each.
  absl::Status HandOver(const HeldRows& rows, size_t end, size_t* record, absl::Time deadline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(transaction_mutex_);

  // Gives up the round. After a failure nobody knows the outcome of the transaction; the next
  // producer finds it out. A producer that was fenced gets no successor in this epoch: to take the
  // place back would stop its rightful owner. Nor does a producer whose transaction had rows that
  // are nowhere else, unless that transaction may have been committed.
  absl::Status GiveUpRound(absl::Status status, absl::Time deadline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(transaction_mutex_);
  // Says why a producer was fenced: by a higher epoch, if that has claimed the place already.
  absl::Status FencedBy(const absl::Status& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(transaction_mutex_);
  // The error of a commit after the broker has refused a record. If the topic takes less than it
  // did when the epoch began, the batch is run again in a new epoch, which knows that and lets the
  // row follow on_error.
  absl::Status AfterRefusal(const absl::Status& refusal)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(transaction_mutex_);

  // Makes a new producer after one that failed. With exactly once, it claims the place again, with
  // the same epoch: if the log then says that the old one's batches are out, they are; if not, they
  // never will be, since the new producer has fenced the old one.
  absl::Status Reopen(absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(transaction_mutex_);
  absl::Status ResolveDoubt(absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(transaction_mutex_);

  const SinkContext context_;
  KafkaProducerConfig config_;  // the claim may lower batch_bytes
  HeldBatches* const held_;

  mutable absl::Mutex mutex_ ABSL_ACQUIRED_AFTER(transaction_mutex_);
  BatchId committed_ ABSL_GUARDED_BY(mutex_);  // only Commit changes it
  JournaledMark mark_ ABSL_GUARDED_BY(mutex_);
  std::set<BatchId> refused_ ABSL_GUARDED_BY(mutex_);  // not committed, and some rows were refused

  // Locked by Commit, and by a Write whose rows flow, while they use the members below. The
  // producer is destroyed before the rows, since librdkafka points into their records.
  absl::Mutex transaction_mutex_;
  KafkaPlace place_ ABSL_GUARDED_BY(transaction_mutex_);
  std::vector<KafkaTopicLimits> limits_ ABSL_GUARDED_BY(transaction_mutex_);  // of each topic
  absl::Status superseded_
      ABSL_GUARDED_BY(transaction_mutex_);  // not OK: this epoch writes no more
  std::optional<OpenFlow> flow_ ABSL_GUARDED_BY(transaction_mutex_);
  // Rows that are on their way into the open transaction.
  std::vector<HeldRows> flowing_ ABSL_GUARDED_BY(transaction_mutex_);
  std::optional<Round> round_ ABSL_GUARDED_BY(transaction_mutex_);
  std::unique_ptr<KafkaSinkProducer> producer_ ABSL_GUARDED_BY(transaction_mutex_);
};

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_SINK_SINK_TRANSACTIONS_H_
