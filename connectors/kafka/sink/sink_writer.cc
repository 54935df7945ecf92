#include "connectors/kafka/sink/sink_writer.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/base/failpoint.h"
#include "common/base/failure_kind.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "connectors/kafka/sink/held_batches.h"
#include "connectors/kafka/sink/record_encoder.h"
#include "connectors/kafka/sink/record_limits.h"
#include "connectors/kafka/sink/sink_marker.h"
#include "connectors/kafka/sink/sink_producer.h"
#include "connectors/kafka/sink/sink_settings.h"
#include "connectors/shared/flow_out.h"

namespace millrace::kafka {
namespace {

constexpr absl::Duration kClaimTimeout = absl::Seconds(30);
constexpr absl::Duration kOpenPatience = absl::Seconds(10);
constexpr absl::Duration kOpenPause = absl::Milliseconds(100);
constexpr absl::Duration kAbortTimeout = absl::Seconds(5);
// For the abort when the epoch ends. Writers end one after another, and the broker may be away.
constexpr absl::Duration kLastAbortTimeout = absl::Milliseconds(250);
// So many records of a large batch may be in flight at once: few enough for librdkafka's queue, so
// that a broker that accepts none is noticed.
constexpr size_t kFlowRecords = 10000;
// In batch time. Well below any sensible offsets.retention.minutes, so that no marker of a running
// job expires.
constexpr absl::Duration kRenewal = absl::Hours(1);
constexpr int kAttempts = 3;  // per Commit, while there is time

// One transaction in progress, and how far it has come. The next call of Commit continues it.
struct Round {
  BatchId through;
  int64_t time_us = 0;  // batch time of its last batch
  std::vector<const HeldBatch*> batches;
  size_t batch = 0;   // index of the next batch to produce
  size_t record = 0;  // index of its next record
  bool begun = false;
  bool last_marker_seen = false;
  bool marker_sent = false;
};

// A batch that a commit must cover although there may be no rows of it.
struct NotedBatch {
  int64_t time_us = 0;
  // Whether rows of it were refused. Then its commit must leave a marker: if the batch runs again,
  // the marker tells the next epoch that it must judge rows by the same limits.
  bool refused = false;
};

// A transaction that was begun before its commit was ordered, for the first batch that is not
// committed. Some rows of that batch are in the transaction and nowhere else.
struct Flow {
  BatchId batch;
  int64_t time_us = 0;
  absl::Time begun;
};

class KafkaSinkWriter : public SinkWriter {
 public:
  KafkaSinkWriter(OptionMap options, SinkContext context, KafkaSinkSettings settings,
                  std::unique_ptr<KafkaRecordEncoder> encoder)
      : options_(std::move(options)),
        context_(std::move(context)),
        settings_(std::move(settings)),
        encoder_(std::move(encoder)),
        limits_{.topic = settings_.topic,
                .producer_bytes = settings_.max_message_bytes,
                .compressed = settings_.compressed},
        flow_out_(context_, settings_.max_held_bytes) {}

  // Aborts an open transaction. Readers wait for its end, and there may be no next epoch to end it:
  // a cancelled job has none.
  ~KafkaSinkWriter() override {
    if (producer_ != nullptr && (flow_.has_value() || (round_.has_value() && round_->begun))) {
      producer_->Abort(SteadyNow() + kLastAbortTimeout);
    }
  }

  // Claims the shard, for CreateWriter: afterwards no writer of a lower epoch can make anything
  // visible.
  absl::Status Claim(absl::Time deadline) {
    absl::MutexLock lock(&transaction_mutex_);
    RETURN_IF_ERROR(OpenProducer(deadline));
    std::optional<KafkaSinkMarker> found;
    if (settings_.exactly_once) {
      ASSIGN_OR_RETURN(found, producer_->ReadMarker(deadline));
    }
    ASSIGN_OR_RETURN(BatchId batch, ClaimedBatch(found, context_, settings_));
    RETURN_IF_ERROR(SetLimits(batch, deadline));
    if (settings_.exactly_once) {
      RETURN_IF_ERROR(producer_->Begin());
      RETURN_IF_ERROR(producer_->SendMarker(MarkerOf(batch), deadline));
      MILLRACE_FAILPOINT("kafka_sink.before_claimed");
      RETURN_IF_ERROR(producer_->Commit(deadline));
      MILLRACE_FAILPOINT("kafka_sink.claimed");
    }
    SetCommitted(batch, context_.batch_time_us);
    return absl::OkStatus();
  }

  void NoteBatch(BatchId batch, int64_t batch_time_us) override {
    absl::MutexLock lock(&mutex_);
    if (batch > committed_) {
      noted_[batch].time_us = batch_time_us;
    }
  }

  absl::Status Write(BatchId batch, int64_t batch_time_us, const Batch& rows) override {
    refused_.Clear();
    ASSIGN_OR_RETURN(KafkaRecordEncoder::Encoded encoded, encoder_->Encode(rows, &refused_));
    CheckKafkaRecords(rows, encoded.records, limits_, &refused_);
    if (!refused_.empty()) {
      NoteRefusal(batch, batch_time_us);
      return refused_.errors().front().status;
    }
    if (batch <= committed()) {
      return absl::OkStatus();  // the batch is run again, and committed already
    }
    int64_t bytes = 0;
    for (const KafkaRecord& record : encoded.records) {
      bytes += static_cast<int64_t>(record.size() + sizeof(KafkaRecord));
    }
    HeldBytes memory;
    const absl::Status taken =
        memory.Add(context_.memory, bytes, absl::StrCat("the writer of topic ", settings_.topic));
    if (taken.ok()) {
      uncommitted_.Add(batch, batch_time_us, std::exchange(encoded, {}), std::move(memory));
    }
    if (!settings_.exactly_once || (taken.ok() && !MayFlow(batch))) {
      return taken;
    }
    const auto is_first = [&] { return IsFirst(batch); };
    if (!taken.ok()) {
      RETURN_IF_ERROR(flow_out_.AwaitTurn(taken, is_first));
    } else if (!is_first()) {
      return absl::OkStatus();
    }
    return FlowRows({.batch = batch,
                     .time_us = batch_time_us,
                     .records = std::move(encoded.records),
                     .owners = std::move(encoded.owners),
                     .left_bytes = taken.ok() ? 0 : bytes});
  }

  std::vector<RowError> TakeRefused() override { return refused_.Take(); }

  absl::Status Prepare(BatchId, absl::Time) override { return absl::OkStatus(); }

  absl::StatusOr<std::string> Commit(BatchId through, absl::Time deadline) override {
    absl::MutexLock lock(&transaction_mutex_);
    for (int attempt = 1;; ++attempt) {
      absl::Status status = CommitOnce(through, deadline);
      if (status.ok()) {
        return marker();
      }
      const bool resumable = producer_ != nullptr &&
                             producer_->health() == KafkaSinkProducer::Health::kGood &&
                             absl::IsUnavailable(status);
      if (!resumable) {
        status = GiveUpRound(std::move(status), deadline);
      }
      if (resumable || !absl::IsUnavailable(status) || attempt == kAttempts ||
          SteadyNow() >= deadline) {
        return status;
      }
    }
  }

  BatchId committed() const override {
    absl::MutexLock lock(&mutex_);
    return committed_;
  }

  std::string marker() const override {
    absl::MutexLock lock(&mutex_);
    return FormatJournaledKafkaMarker(
        {.epoch = settings_.exactly_once ? std::make_optional(context_.epoch) : std::nullopt,
         .batch = marked_,
         .limits = limits_.of_topic});
  }

  int64_t wake_at_us() const override {
    absl::MutexLock lock(&mutex_);
    return settings_.exactly_once ? marked_at_us_ + absl::ToInt64Microseconds(kRenewal) : 0;
  }

  int64_t held_bytes() const override { return uncommitted_.bytes(); }
  int64_t held_bytes_of(BatchId batch) const override { return uncommitted_.bytes_of(batch); }

 private:
  KafkaSinkMarker MarkerOf(BatchId batch) const {
    return {.incarnation = context_.incarnation, .epoch = context_.epoch, .batch = batch};
  }

  // Sets the limits by which Write judges records. Also makes sure that the producer packs no more
  // bytes of records into one batch than the topic takes.
  absl::Status SetLimits(BatchId claimed, absl::Time deadline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(transaction_mutex_) {
    ASSIGN_OR_RETURN(const KafkaTopicLimits now, producer_->ReadTopicLimits(deadline));
    limits_.of_topic = LimitsInDoubt(context_, claimed).value_or(now);
    if (now.max_message_bytes.value_or(settings_.batch_bytes) >= settings_.batch_bytes) {
      return absl::OkStatus();
    }
    settings_.batch_bytes = *now.max_message_bytes;
    return OpenProducer(deadline);
  }

  void NoteRefusal(BatchId batch, int64_t batch_time_us) {
    absl::MutexLock lock(&mutex_);
    if (batch > committed_) {
      noted_[batch] = {.time_us = batch_time_us, .refused = true};
    }
  }

  // The error of a commit after the broker has refused a record. If the topic takes less than it
  // did when the epoch began, the batch is run again in a new epoch, which knows that and lets the
  // row follow on_error.
  absl::Status AfterRefusal(const absl::Status& refusal)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(transaction_mutex_) {
    const absl::StatusOr<KafkaTopicLimits> now =
        producer_->ReadTopicLimits(SteadyNow() + kAbortTimeout);
    if (!now.ok() || !now->TighterThan(limits_.of_topic)) {
      return refusal;
    }
    return WithFailureKind(
        Reworded(refusal, absl::StrCat(refusal.message(),
                                       "; the topic takes less than when the epoch began: the "
                                       "batch is run again")),
        FailureKind::kUndecided);
  }

  // A producer that makes no progress, as may happen to a client that was made while the broker
  // started, is replaced by another.
  absl::Status OpenProducer(absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(transaction_mutex_) {
    while (true) {
      ASSIGN_OR_RETURN(
          producer_, KafkaSinkProducer::Create(options_, settings_, KafkaSinkShardName(context_)));
      absl::Status opened = producer_->Init(std::min(deadline, SteadyNow() + kOpenPatience));
      if (!absl::IsUnavailable(opened) || SteadyNow() + kOpenPause >= deadline) {
        return opened;
      }
      absl::SleepFor(kOpenPause);
    }
  }

  // Notes that all batches up to `batch` are committed, with a marker that says so.
  void SetCommitted(BatchId batch, int64_t time_us) {
    absl::MutexLock lock(&mutex_);
    committed_ = std::max(committed_, batch);
    marked_ = batch;
    marked_at_us_ = time_us;
    noted_.erase(noted_.begin(), noted_.upper_bound(batch));
  }

  // Whether rows of the batch, for which there is memory, may leave it. Not those of a batch that
  // was planned in an earlier epoch: perhaps other shards have committed it. Then it cannot be made
  // smaller, and a transaction that it fills for too long would expire each time that it runs.
  bool MayFlow(BatchId batch) const {
    return batch > context_.planned_batch && flow_out_.Wanted(uncommitted_.bytes());
  }

  // Whether every commit that can come covers `batch`, which is being written now: no earlier batch
  // has rows here, or needs a marker.
  bool IsFirst(BatchId batch) const {
    if (const BatchId first = uncommitted_.first(); first != BatchId() && first < batch) {
      return false;
    }
    absl::MutexLock lock(&mutex_);
    return noted_.empty() || noted_.begin()->first >= batch;
  }

  // Moves the rows of the first batch into the open transaction: those that are held, and `more`,
  // for which there was no memory. When it returns, the broker has them, and they are nowhere else.
  absl::Status FlowRows(HeldBatch more) {
    absl::MutexLock lock(&transaction_mutex_);
    RETURN_IF_ERROR(superseded_);
    if (producer_ == nullptr || round_.has_value()) {
      return absl::InternalError(absl::StrCat("topic ", settings_.topic, ": rows of batch ",
                                              more.batch.value(),
                                              " come for a transaction that is another batch's"));
    }
    const BatchId batch = more.batch;
    const int64_t time_us = more.time_us;
    flowing_.push_back(uncommitted_.TakeRows(batch));
    const int64_t bytes = flowing_.back().memory.bytes() + more.left_bytes;
    flowing_.push_back(std::move(more));
    const absl::Status status = HandOverFlowing(batch, time_us);
    if (!status.ok()) {
      return GiveUpRound(status, absl::InfiniteFuture());
    }
    flowing_.clear();
    uncommitted_.NoteLeft(batch, bytes);
    return absl::OkStatus();
  }

  absl::Status HandOverFlowing(BatchId batch, int64_t time_us)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(transaction_mutex_) {
    if (!flow_.has_value()) {
      flow_ = {.batch = batch, .time_us = time_us, .begun = SteadyNow()};
      MILLRACE_FAILPOINT("kafka_sink.before_begin");
      RETURN_IF_ERROR(producer_->Begin());
    }
    // A slow broker may take as long as it keeps the transaction open; one that makes no progress
    // may not.
    const absl::Time deadline = flow_->begun + settings_.transaction_timeout;
    for (const HeldBatch& rows : flowing_) {
      for (size_t record = 0; record < rows.records.size();) {
        if (context_.ended()) {
          return absl::CancelledError(absl::StrCat("topic ", settings_.topic,
                                                   ": the epoch ended while rows of batch ",
                                                   batch.value(), " left memory"));
        }
        const size_t end = std::min(record + kFlowRecords, rows.records.size());
        RETURN_IF_ERROR(HandOverBatch(rows, end, &record, deadline));
        RETURN_IF_ERROR(producer_->Flush(deadline));
      }
    }
    MILLRACE_FAILPOINT("kafka_sink.flowed");
    return absl::OkStatus();
  }

  // Ends the writer's work after rows that had left were lost with their transaction. The other
  // rows of their batch must not be committed without them: this writer commits no more, and the
  // batch is run again in another epoch. A batch that takes longer than the broker keeps a
  // transaction open would do so each time, and is made smaller.
  absl::Status LoseFlow(const absl::Status& cause)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(transaction_mutex_) {
    const bool expired = SteadyNow() - flow_->begun >= settings_.transaction_timeout;
    std::string words = absl::StrCat(cause.message(), "; rows of batch ", flow_->batch.value(),
                                     " were in that transaction, so the batch is run again");
    if (expired) {
      absl::StrAppend(&words, ". It was open for longer than transaction.timeout.ms of table ",
                      settings_.table, ": raise that, or raise ", kMaxHeldOption,
                      ", so that rows wait in memory until the commit");
    }
    // The caller must not try again with this writer.
    superseded_ = absl::IsUnavailable(cause)
                      ? WithFailureKind(absl::AbortedError(words), FailureKind::kEnvironment)
                      : Reworded(cause, words);
    if (expired) {
      superseded_ = WithFailureKind(superseded_, FailureKind::kTooLarge);
    }
    return superseded_;
  }

  absl::Status CommitOnce(BatchId through, absl::Time deadline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(transaction_mutex_) {
    RETURN_IF_ERROR(superseded_);
    if (producer_ == nullptr) {
      RETURN_IF_ERROR(Reopen(deadline));
    }
    if (round_.has_value()) {  // the round of an earlier call, which may end before `through`
      RETURN_IF_ERROR(RunRound(deadline));
    }
    StartRound(through);
    if (round_.has_value()) {
      return RunRound(deadline);
    }
    absl::MutexLock lock(&mutex_);
    committed_ = std::max(committed_, through);
    noted_.erase(noted_.begin(), noted_.upper_bound(through));
    return absl::OkStatus();
  }

  // Makes no round if there are no rows and no batch wants a marker.
  void StartRound(BatchId through) ABSL_EXCLUSIVE_LOCKS_REQUIRED(transaction_mutex_) {
    const BatchId out = committed();
    uncommitted_.DropUpto(out);  // written by a call that ended before its answer came
    if (through <= out || (flow_.has_value() && through < flow_->batch)) {
      return;  // the open transaction is a later batch's, and there are no rows before it
    }
    std::vector<const HeldBatch*> batches = uncommitted_.Upto(through);
    const NotedBatch noted = NotedUpto(through);
    const bool wants_marker =
        settings_.exactly_once && (noted.refused || noted.time_us >= wake_at_us());
    if (batches.empty() && !flow_.has_value() && !wants_marker) {
      return;
    }
    int64_t time_us = std::max(noted.time_us, flow_.has_value() ? flow_->time_us : 0);
    time_us = batches.empty() ? time_us : std::max(time_us, batches.back()->time_us);
    round_ = {.through = through,
              .time_us = time_us,
              .batches = std::move(batches),
              .begun = flow_.has_value()};
  }

  // The time of the last batch up to `through` that was noted (0 = there was none), and whether
  // rows of any of them were refused.
  NotedBatch NotedUpto(BatchId through) const {
    NotedBatch all;
    absl::MutexLock lock(&mutex_);
    for (const auto& [batch, noted] : noted_) {
      if (batch > through) {
        break;
      }
      all = {.time_us = noted.time_us, .refused = all.refused || noted.refused};
    }
    return all;
  }

  absl::Status RunRound(absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(transaction_mutex_) {
    if (!round_->begun) {
      MILLRACE_FAILPOINT("kafka_sink.before_begin");
      RETURN_IF_ERROR(producer_->Begin());
      round_->begun = true;
    }
    RETURN_IF_ERROR(HandOver(deadline));
    if (!round_->marker_sent) {
      MILLRACE_FAILPOINT("kafka_sink.produced");
      if (!round_->last_marker_seen) {
        RETURN_IF_ERROR(AwaitMarker(deadline));
        round_->last_marker_seen = true;
      }
      RETURN_IF_ERROR(producer_->SendMarker(MarkerOf(round_->through), deadline));
      round_->marker_sent = true;
      MILLRACE_FAILPOINT("kafka_sink.offsets_sent");
    }
    RETURN_IF_ERROR(producer_->Flush(deadline));
    MILLRACE_FAILPOINT("kafka_sink.before_commit");
    RETURN_IF_ERROR(producer_->Commit(deadline));
    MILLRACE_FAILPOINT("kafka_sink.committed");
    SetCommitted(round_->through, round_->time_us);
    uncommitted_.DropUpto(round_->through);
    flow_.reset();
    round_.reset();
    return absl::OkStatus();
  }

  // Waits until the last marker is visible. Brokers up to Kafka 3.9 (KAFKA-17507) put a committed
  // offset into their cache only some time after its transaction has ended. The offset of the next
  // transaction would replace one that is not in the cache yet; if that transaction were then
  // aborted, the marker would be that of the transaction before, and the batches in between would
  // be written twice. A stable read waits until no offset is pending. If the marker is lost
  // nevertheless, the one that is sent now replaces it.
  absl::Status AwaitMarker(absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(transaction_mutex_) {
    if (!settings_.exactly_once) {
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(std::optional<KafkaSinkMarker> found, producer_->ReadMarker(deadline));
    if (found.has_value() && found->epoch > context_.epoch) {
      superseded_ = ClaimedByHigherEpoch(*found, context_, settings_);
    }
    return superseded_;
  }

  absl::Status HandOver(absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(transaction_mutex_) {
    for (; round_->batch < round_->batches.size(); ++round_->batch, round_->record = 0) {
      const HeldBatch& held = *round_->batches[round_->batch];
      RETURN_IF_ERROR(HandOverBatch(held, held.records.size(), &round_->record, deadline));
    }
    return absl::OkStatus();
  }

  // Produces the batch's records from `*record` up to `end`, and advances `*record` with each.
  absl::Status HandOverBatch(const HeldBatch& held, size_t end, size_t* record, absl::Time deadline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(transaction_mutex_) {
    int32_t of_batch = -1;  // the partition of records without a key
    for (; *record < end; ++*record) {
      const KafkaRecord& next = held.records[*record];
      int32_t partition = next.partition;
      if (partition < 0 && next.key.data() == nullptr) {
        if (of_batch < 0) {
          ASSIGN_OR_RETURN(of_batch, PartitionOf(held.batch, deadline));
        }
        partition = of_batch;
      }
      RETURN_IF_ERROR(producer_->Produce(next, partition, held.time_us / 1000, deadline));
    }
    return absl::OkStatus();
  }

  // Not random: a batch that is written again goes to the same partition.
  absl::StatusOr<int32_t> PartitionOf(BatchId batch, absl::Time deadline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(transaction_mutex_) {
    ASSIGN_OR_RETURN(int32_t count, producer_->PartitionCount(deadline));
    return static_cast<int32_t>((context_.shard + static_cast<uint64_t>(batch.value())) %
                                static_cast<uint64_t>(count));
  }

  // Gives up the round. After a failure nobody knows the outcome of the transaction; the next
  // producer finds it out. A producer that was fenced gets no successor in this epoch: to take the
  // shard back would stop its rightful owner. Nor does a producer whose transaction had rows that
  // are nowhere else, unless that transaction may have been committed.
  absl::Status GiveUpRound(absl::Status status, absl::Time deadline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(transaction_mutex_) {
    round_.reset();
    if (producer_ == nullptr) {
      return status;
    }
    producer_->Abort(std::min(deadline, SteadyNow() + kAbortTimeout));
    const bool in_doubt = producer_->health() == KafkaSinkProducer::Health::kInDoubt;
    if (producer_->health() == KafkaSinkProducer::Health::kFenced) {
      superseded_ = FencedBy(absl::IsAborted(status)
                                 ? status
                                 : absl::AbortedError(absl::StrCat(
                                       status.message(), "; another writer has taken the shard")));
      status = superseded_;
    } else if (producer_->refused()) {
      status = AfterRefusal(status);
    }
    // Whether the shard is still this writer's: only the transaction has failed, or the broker has
    // ended it.
    const bool ours = superseded_.ok() || FailureKindOf(superseded_) == FailureKind::kEnvironment;
    if (flow_.has_value() && !in_doubt && ours) {
      status = LoseFlow(status);
    }
    producer_.reset();
    flowing_.clear();
    return status;
  }

  // Says why a producer was fenced: by a higher epoch, if that has left its marker already.
  absl::Status FencedBy(const absl::Status& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(transaction_mutex_) {
    absl::StatusOr<std::optional<KafkaSinkMarker>> found =
        producer_->ReadMarker(SteadyNow() + kAbortTimeout);
    return found.ok() && found->has_value() && (*found)->epoch > context_.epoch
               ? ClaimedByHigherEpoch(**found, context_, settings_)
               : status;
  }

  // Makes a new producer after one that failed. If the marker has the old one's batches, they are
  // committed; if not, they never will be, since the new producer has fenced the old one.
  absl::Status Reopen(absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(transaction_mutex_) {
    absl::Status opened = OpenProducer(deadline);
    if (opened.ok() && settings_.exactly_once) {
      opened = ResolveDoubt(deadline);
    }
    if (opened.ok() && flow_.has_value()) {
      opened = committed() < flow_->batch
                   ? LoseFlow(absl::UnavailableError(absl::StrCat(
                         "topic ", settings_.topic, ": a commit that was in doubt is not out")))
                   : absl::OkStatus();
      flow_.reset();
    }
    if (!opened.ok() && producer_ != nullptr) {
      if (producer_->health() == KafkaSinkProducer::Health::kFenced) {
        superseded_ = opened;
      }
      producer_.reset();
    }
    return opened;
  }

  absl::Status ResolveDoubt(absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(transaction_mutex_) {
    ASSIGN_OR_RETURN(std::optional<KafkaSinkMarker> found, producer_->ReadMarker(deadline));
    if (found.has_value() && found->epoch > context_.epoch) {
      superseded_ = ClaimedByHigherEpoch(*found, context_, settings_);
      return superseded_;
    }
    BatchId marked;
    int64_t marked_at_us = 0;
    {
      absl::MutexLock lock(&mutex_);
      marked = marked_;
      marked_at_us = marked_at_us_;
    }
    if (!found.has_value() || found->epoch != context_.epoch || found->batch < marked) {
      superseded_ = absl::AbortedError(
          absl::StrCat("topic ", settings_.topic, ", shard ", context_.shard,
                       ": the marker of this epoch is gone; the shard must be claimed again"));
      return superseded_;
    }
    MILLRACE_FAILPOINT("kafka_sink.doubt_resolved");
    if (found->batch > marked) {
      SetCommitted(found->batch, marked_at_us);  // or later; then it is renewed too early
    }
    return absl::OkStatus();
  }

  const OptionMap options_;
  const SinkContext context_;
  KafkaSinkSettings settings_;                   // the claim may lower batch_bytes
  std::unique_ptr<KafkaRecordEncoder> encoder_;  // used by Write, like the next two
  KafkaRecordLimits limits_;                     // the claim sets them
  RowErrors refused_;

  mutable absl::Mutex mutex_ ABSL_ACQUIRED_AFTER(transaction_mutex_);
  // Only Commit changes these three.
  BatchId committed_ ABSL_GUARDED_BY(mutex_);
  // The batch in the marker, without later batches that had no rows.
  BatchId marked_ ABSL_GUARDED_BY(mutex_);
  int64_t marked_at_us_ ABSL_GUARDED_BY(mutex_) = 0;  // in batch time, like all times of markers
  std::map<BatchId, NotedBatch> noted_ ABSL_GUARDED_BY(mutex_);  // by NoteBatch and refusals

  const FlowOut flow_out_;
  HeldBatches uncommitted_;

  // Locked by Commit, and by a Write whose rows flow, while they use the members below. The
  // producer is destroyed before the batches, since librdkafka points into their records.
  absl::Mutex transaction_mutex_;
  absl::Status superseded_
      ABSL_GUARDED_BY(transaction_mutex_);  // not OK: this epoch writes no more
  std::optional<Flow> flow_ ABSL_GUARDED_BY(transaction_mutex_);
  // Rows that are on their way into the open transaction.
  std::vector<HeldBatch> flowing_ ABSL_GUARDED_BY(transaction_mutex_);
  std::optional<Round> round_ ABSL_GUARDED_BY(transaction_mutex_);
  std::unique_ptr<KafkaSinkProducer> producer_ ABSL_GUARDED_BY(transaction_mutex_);
};

}  // namespace

absl::StatusOr<std::unique_ptr<SinkWriter>> NewKafkaSinkWriter(const proto::Sink& sink,
                                                               const SinkContext& context,
                                                               const Format* format) {
  ASSIGN_OR_RETURN(KafkaSinkSettings settings, ParseKafkaSinkSettings(sink));
  RETURN_IF_ERROR(ParseJournaledKafkaMarker(context).status());
  ASSIGN_OR_RETURN(std::unique_ptr<KafkaRecordEncoder> encoder,
                   KafkaRecordEncoder::Create(sink, format));
  auto writer = std::make_unique<KafkaSinkWriter>(sink.options(), context, std::move(settings),
                                                  std::move(encoder));
  RETURN_IF_ERROR(writer->Claim(SteadyNow() + kClaimTimeout));
  return writer;
}

}  // namespace millrace::kafka
