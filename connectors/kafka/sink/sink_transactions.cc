#include "connectors/kafka/sink/sink_transactions.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/failpoint.h"
#include "common/base/failure_kind.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "connectors/kafka/sink/mark_log.h"
#include "connectors/shared/flow_out.h"

namespace millrace::kafka {
namespace {

constexpr absl::Duration kAbortTimeout = absl::Seconds(5);
// For the abort when the epoch ends. Sessions end one after another, and the broker may be away.
constexpr absl::Duration kLastAbortTimeout = absl::Milliseconds(250);
// So many records of a large batch may be in flight at once: few enough for librdkafka's queue, so
// that a broker that accepts none is noticed.
constexpr size_t kFlowRecords = 10000;
constexpr int kAttempts = 3;  // per Commit, while there is time
// With less time than this left, another attempt would be in vain.
constexpr absl::Duration kLeastTime = absl::Milliseconds(20);

}  // namespace

SinkTransactions::SinkTransactions(SinkContext context, KafkaProducerConfig config,
                                   HeldBatches* held)
    : context_(std::move(context)),
      config_(std::move(config)),
      held_(held),
      committed_(context_.committed_batch),
      place_{.context = context_,
             .log_topic = config_.log_topic,
             .words = {.tables = config_.tables, .log_topic = config_.log_topic}} {}

SinkTransactions::~SinkTransactions() {
  if (producer_ != nullptr && (flow_.has_value() || (round_.has_value() && round_->begun))) {
    producer_->Abort(SteadyNow() + kLastAbortTimeout);
  }
}

absl::StatusOr<std::vector<KafkaTopicLimits>> SinkTransactions::Claim(absl::Time deadline) {
  absl::MutexLock lock(&transaction_mutex_);
  ASSIGN_OR_RETURN(const std::shared_ptr<KafkaClient> client, NewMarkLogClient(config_.options));
  KafkaTopicLimitsRequest limits(client.get(), config_.topics, deadline - SteadyNow());
  int32_t log_partitions = 0;
  if (exactly_once()) {
    ASSIGN_OR_RETURN(log_partitions, EnsureMarkLog(client.get(), config_.options, config_.log_topic,
                                                   config_.topics, deadline));
  }
  ASSIGN_OR_RETURN(producer_, OpenKafkaSinkProducer(config_, deadline));
  ASSIGN_OR_RETURN(limits_, limits.Wait());
  RETURN_IF_ERROR(FitBatches(deadline));
  if (exactly_once()) {
    RETURN_IF_ERROR(ClaimMark(client, log_partitions, deadline));
  }
  return limits_;
}

absl::Status SinkTransactions::FitBatches(absl::Time deadline) {
  int64_t least = config_.settings.batch_bytes;
  for (const KafkaTopicLimits& limits : limits_) {
    least = std::min(least, limits.max_message_bytes.value_or(least));
  }
  if (least == config_.settings.batch_bytes) {
    return absl::OkStatus();
  }
  producer_.reset();
  config_.settings.batch_bytes = least;
  ASSIGN_OR_RETURN(producer_, OpenKafkaSinkProducer(config_, deadline));
  return absl::OkStatus();
}

absl::Status SinkTransactions::ClaimMark(const std::shared_ptr<KafkaClient>& client,
                                         int32_t partitions, absl::Time deadline) {
  ASSIGN_OR_RETURN(const std::optional<JournaledMark> journaled, ParseJournaledMark(context_));
  if (journaled.has_value() && journaled->partition < partitions) {
    place_.partition = journaled->partition;
    place_.known = {.offset = journaled->offset, .epoch = journaled->claimed};
  } else {
    place_.partition = static_cast<int32_t>(context_.slot % static_cast<uint32_t>(partitions));
  }
  place_.words.partition = place_.partition;
  ASSIGN_OR_RETURN(OwnedPlace owned,
                   ClaimPlace(place_, config_, client, std::move(producer_), deadline));
  producer_ = std::move(owned.producer);
  ASSIGN_OR_RETURN(const WrittenMark written,
                   ClaimedMark(owned.claimed.found, journaled, context_,
                               config_.settings.on_lost_marker, place_.words));
  SetMark(written, owned.claimed.offset);
  return absl::OkStatus();
}

void SinkTransactions::SetMark(const WrittenMark& written, int64_t offset) {
  place_.known = {.offset = offset, .epoch = context_.epoch};
  absl::MutexLock lock(&mutex_);
  mark_ = {.written = written,
           .partition = place_.partition,
           .offset = offset,
           .claimed = context_.epoch};
}

void SinkTransactions::SetCommitted(BatchId batch) {
  absl::MutexLock lock(&mutex_);
  committed_ = std::max(committed_, batch);
  refused_.erase(refused_.begin(), refused_.upper_bound(batch));
}

BatchId SinkTransactions::committed() const {
  absl::MutexLock lock(&mutex_);
  return committed_;
}

SinkMark SinkTransactions::mark() const {
  absl::MutexLock lock(&mutex_);
  return exactly_once() ? SinkMark{.written = mark_.written.epoch,
                                   .batch = mark_.written.batch,
                                   .marker = FormatJournaledMark(mark_)}
                        : SinkMark{.batch = committed_};
}

void SinkTransactions::NoteRefusal(BatchId batch) {
  absl::MutexLock lock(&mutex_);
  refused_.insert(batch);
}

bool SinkTransactions::IsFirst(BatchId batch) const {
  if (const BatchId first = held_->first(); first != BatchId() && first < batch) {
    return false;
  }
  absl::MutexLock lock(&mutex_);
  return refused_.empty() || *refused_.begin() >= batch;
}

absl::Status SinkTransactions::Flow(BatchId batch, std::optional<HeldRows> more) {
  absl::MutexLock lock(&transaction_mutex_);
  RETURN_IF_ERROR(superseded_);
  if (producer_ == nullptr || round_.has_value()) {
    return absl::InternalError(absl::StrCat("table ", config_.tables.front(), ": rows of batch ",
                                            batch.value(),
                                            " come for a transaction that is another batch's"));
  }
  flowing_ = held_->TakeRows(batch);
  if (more.has_value()) {
    flowing_.push_back(*std::move(more));
  }
  if (flowing_.empty()) {
    return absl::OkStatus();  // another shard has just taken them along
  }
  const absl::Status status = HandOverFlowing(batch);
  if (!status.ok()) {
    return GiveUpRound(status, absl::InfiniteFuture());
  }
  flowing_.clear();
  return absl::OkStatus();
}

absl::Status SinkTransactions::HandOverFlowing(BatchId batch) {
  if (!flow_.has_value()) {
    flow_ = {.batch = batch, .begun = SteadyNow()};
    MILLRACE_FAILPOINT("kafka_sink.before_begin");
    RETURN_IF_ERROR(producer_->Begin());
  }
  // A slow broker may take as long as it keeps the transaction open; one that makes no progress
  // may not.
  const absl::Time deadline = flow_->begun + config_.settings.transaction_timeout;
  for (const HeldRows& rows : flowing_) {
    for (size_t record = 0; record < rows.records.size();) {
      if (context_.ended()) {
        return absl::CancelledError(absl::StrCat("topic ", config_.topics[rows.table],
                                                 ": the epoch ended while rows of batch ",
                                                 batch.value(), " left memory"));
      }
      const size_t end = std::min(record + kFlowRecords, rows.records.size());
      RETURN_IF_ERROR(HandOver(rows, end, &record, deadline));
      RETURN_IF_ERROR(producer_->Flush(deadline));
    }
  }
  MILLRACE_FAILPOINT("kafka_sink.flowed");
  return absl::OkStatus();
}

absl::Status SinkTransactions::LoseFlow(const absl::Status& cause) {
  const bool expired = SteadyNow() - flow_->begun >= config_.settings.transaction_timeout;
  std::string words = absl::StrCat(cause.message(), "; rows of batch ", flow_->batch.value(),
                                   " were in that transaction, so the batch is run again");
  if (expired) {
    absl::StrAppend(&words, ". It was open for longer than transaction.timeout.ms of table ",
                    absl::StrJoin(config_.tables, ", "), ": raise that, or raise ", kMaxHeldOption,
                    ", so that rows wait in memory until the commit");
  }
  // The caller must not try again with this session.
  superseded_ = absl::IsUnavailable(cause)
                    ? WithFailureKind(absl::AbortedError(words), FailureKind::kEnvironment)
                    : Reworded(cause, words);
  if (expired) {
    superseded_ = WithFailureKind(superseded_, FailureKind::kTooLarge);
  }
  return superseded_;
}

absl::Status SinkTransactions::Commit(BatchId through, absl::Time deadline) {
  absl::MutexLock lock(&transaction_mutex_);
  for (int attempt = 1;; ++attempt) {
    absl::Status status = CommitOnce(through, deadline);
    if (status.ok()) {
      return status;
    }
    const bool resumable = producer_ != nullptr &&
                           producer_->health() == KafkaSinkProducer::Health::kGood &&
                           absl::IsUnavailable(status);
    if (!resumable) {
      status = GiveUpRound(std::move(status), deadline);
    }
    if (resumable || !absl::IsUnavailable(status) || attempt == kAttempts ||
        SteadyNow() + kLeastTime >= deadline) {
      return status;
    }
  }
}

absl::Status SinkTransactions::CommitOnce(BatchId through, absl::Time deadline) {
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
  SetCommitted(through);
  return absl::OkStatus();
}

void SinkTransactions::StartRound(BatchId through) {
  const BatchId out = committed();
  held_->DropUpto(out);  // written by a call that ended before its answer came
  if (through <= out || (flow_.has_value() && through < flow_->batch)) {
    return;  // the open transaction is a later batch's, and there are no rows before it
  }
  std::vector<const HeldRows*> rows = held_->Upto(through);
  if (rows.empty() && !flow_.has_value() && !WantsMark(through)) {
    return;
  }
  round_ = {.through = through, .rows = std::move(rows), .begun = flow_.has_value()};
}

bool SinkTransactions::WantsMark(BatchId through) const {
  absl::MutexLock lock(&mutex_);
  return exactly_once() && !refused_.empty() && *refused_.begin() <= through;
}

absl::Status SinkTransactions::RunRound(absl::Time deadline) {
  if (!round_->begun) {
    MILLRACE_FAILPOINT("kafka_sink.before_begin");
    RETURN_IF_ERROR(producer_->Begin());
    round_->begun = true;
  }
  for (; round_->next < round_->rows.size(); ++round_->next, round_->record = 0) {
    const HeldRows& rows = *round_->rows[round_->next];
    RETURN_IF_ERROR(HandOver(rows, rows.records.size(), &round_->record, deadline));
  }
  const WrittenMark written{.epoch = context_.epoch, .batch = round_->through};
  if (exactly_once() && !round_->marked) {
    MILLRACE_FAILPOINT("kafka_sink.produced");
    RETURN_IF_ERROR(
        producer_->ProduceMark(OutRecord(context_, written), place_.partition, deadline));
    round_->marked = true;
    MILLRACE_FAILPOINT("kafka_sink.marked");
  }
  RETURN_IF_ERROR(producer_->Flush(deadline));
  MILLRACE_FAILPOINT("kafka_sink.before_commit");
  RETURN_IF_ERROR(producer_->Commit(deadline));
  MILLRACE_FAILPOINT("kafka_sink.committed");
  if (exactly_once()) {
    // The record that was known before will do if the broker does not tell the new one's offset.
    SetMark(written, producer_->mark_offset().value_or(place_.known->offset));
  }
  SetCommitted(round_->through);
  held_->DropUpto(round_->through);
  flow_.reset();
  round_.reset();
  return absl::OkStatus();
}

absl::Status SinkTransactions::HandOver(const HeldRows& rows, size_t end, size_t* record,
                                        absl::Time deadline) {
  for (; *record < end; ++*record) {
    RETURN_IF_ERROR(
        producer_->Produce(rows.table, rows.records[*record], rows.time_us / 1000, deadline));
  }
  return absl::OkStatus();
}

absl::Status SinkTransactions::GiveUpRound(absl::Status status, absl::Time deadline) {
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
                                     status.message(), "; another session has taken the place")));
    status = superseded_;
  } else if (!producer_->refusing_topic().empty()) {
    status = AfterRefusal(status);
  }
  // Whether the place is still this session's: only the transaction has failed, or the broker has
  // ended it.
  const bool ours = superseded_.ok() || FailureKindOf(superseded_) == FailureKind::kEnvironment;
  if (flow_.has_value() && !in_doubt && ours) {
    status = LoseFlow(status);
  }
  producer_.reset();
  flowing_.clear();
  return status;
}

absl::Status SinkTransactions::FencedBy(const absl::Status& status) {
  const auto client = NewMarkLogClient(config_.options);
  return client.ok() ? WhoHasFenced(place_, *client, status) : status;
}

absl::Status SinkTransactions::AfterRefusal(const absl::Status& refusal) {
  const std::string& topic = producer_->refusing_topic();
  const auto found = std::find(config_.topics.begin(), config_.topics.end(), topic);
  if (found == config_.topics.end()) {
    return refusal;
  }
  const absl::StatusOr<KafkaTopicLimits> now =
      ReadKafkaTopicLimits(producer_->client(), topic, kAbortTimeout);
  if (!now.ok() ||
      !now->TighterThan(limits_[static_cast<size_t>(found - config_.topics.begin())])) {
    return refusal;
  }
  return WithFailureKind(
      Reworded(refusal, absl::StrCat(refusal.message(),
                                     "; the topic takes less than when the epoch began: the "
                                     "batch is run again")),
      FailureKind::kUndecided);
}

absl::Status SinkTransactions::Reopen(absl::Time deadline) {
  ASSIGN_OR_RETURN(producer_, OpenKafkaSinkProducer(config_, deadline));
  absl::Status opened = exactly_once() ? ResolveDoubt(deadline) : absl::OkStatus();
  if (opened.ok() && flow_.has_value()) {
    opened = committed() < flow_->batch ? LoseFlow(absl::UnavailableError(absl::StrCat(
                                              "topic ", absl::StrJoin(config_.topics, ", "),
                                              ": a commit that was in doubt is not out")))
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

absl::Status SinkTransactions::ResolveDoubt(absl::Time deadline) {
  ASSIGN_OR_RETURN(const std::shared_ptr<KafkaClient> client, NewMarkLogClient(config_.options));
  ASSIGN_OR_RETURN(const ClaimedPlace claimed,
                   ClaimOnce(place_, client, producer_.get(), deadline));
  WrittenMark last;
  {
    absl::MutexLock lock(&mutex_);
    last = mark_.written;
  }
  const absl::StatusOr<WrittenMark> written =
      ResolvedMark(claimed.found, last, context_, place_.words);
  if (!written.ok()) {
    superseded_ = written.status();
    return superseded_;
  }
  MILLRACE_FAILPOINT("kafka_sink.doubt_resolved");
  SetMark(*written, claimed.offset);
  if (written->epoch == context_.epoch) {
    SetCommitted(written->batch);
  }
  return absl::OkStatus();
}

}  // namespace millrace::kafka
