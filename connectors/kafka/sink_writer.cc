#include "connectors/kafka/sink_writer.h"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/failpoint.h"
#include "common/base/status.h"
#include "connectors/kafka/held_batches.h"
#include "connectors/kafka/record_encoder.h"
#include "connectors/kafka/sink_marker.h"
#include "connectors/kafka/sink_producer.h"
#include "connectors/kafka/sink_settings.h"

namespace millrace {
namespace {

constexpr absl::Duration kClaimTimeout = absl::Seconds(30);
constexpr absl::Duration kOpenPatience = absl::Seconds(10);
constexpr absl::Duration kOpenPause = absl::Milliseconds(100);
constexpr absl::Duration kAbortTimeout = absl::Seconds(5);
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

class KafkaSinkWriter : public SinkWriter {
 public:
  KafkaSinkWriter(OptionMap options, SinkContext context, KafkaSinkSettings settings,
                  std::unique_ptr<KafkaRecordEncoder> encoder)
      : options_(std::move(options)),
        context_(std::move(context)),
        settings_(std::move(settings)),
        encoder_(std::move(encoder)),
        held_(context_.memory) {}

  // Claims the shard, for CreateWriter: afterwards no writer of a lower epoch can make anything
  // visible.
  absl::Status Claim(absl::Time deadline) {
    RETURN_IF_ERROR(OpenProducer(deadline));
    std::optional<KafkaSinkMarker> found;
    if (settings_.exactly_once) {
      ASSIGN_OR_RETURN(found, producer_->ReadMarker(deadline));
    }
    ASSIGN_OR_RETURN(BatchId batch, ClaimedBatch(found, context_, settings_));
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
    std::lock_guard<std::mutex> lock(mutex_);
    noted_[batch] = batch_time_us;
  }

  absl::Status Write(BatchId batch, int64_t batch_time_us, const Batch& rows) override {
    if (batch <= committed()) {
      return absl::OkStatus();  // the batch is run again, and committed already
    }
    ASSIGN_OR_RETURN(KafkaRecordEncoder::Encoded encoded, encoder_->Encode(rows));
    int64_t bytes = 0;
    for (const KafkaRecord& record : encoded.records) {
      bytes += static_cast<int64_t>(record.size() + sizeof(KafkaRecord));
      if (static_cast<int64_t>(record.size()) > settings_.max_message_bytes) {
        return absl::InvalidArgumentError(
            absl::StrCat("topic ", settings_.topic, ": a record of ", record.size(),
                         " bytes is larger than message.max.bytes, ", settings_.max_message_bytes,
                         "; raise that property here and on the broker"));
      }
    }
    return held_.Add(batch, batch_time_us, std::move(encoded), bytes,
                     absl::StrCat("the writer of topic ", settings_.topic));
  }

  absl::Status Prepare(BatchId, absl::Time) override { return absl::OkStatus(); }

  absl::StatusOr<std::string> Commit(BatchId through, absl::Time deadline) override {
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
          absl::Now() >= deadline) {
        return status;
      }
    }
  }

  BatchId committed() const override {
    std::lock_guard<std::mutex> lock(mutex_);
    return committed_;
  }

  std::string marker() const override {
    std::lock_guard<std::mutex> lock(mutex_);
    return FormatJournaledKafkaMarker(
        {.epoch = settings_.exactly_once ? std::make_optional(context_.epoch) : std::nullopt,
         .batch = marked_});
  }

  int64_t wake_at_us() const override {
    std::lock_guard<std::mutex> lock(mutex_);
    return settings_.exactly_once ? marked_at_us_ + absl::ToInt64Microseconds(kRenewal) : 0;
  }

  int64_t held_bytes() const override { return held_.bytes(); }
  int64_t held_bytes_of(BatchId batch) const override { return held_.bytes_of(batch); }

 private:
  KafkaSinkMarker MarkerOf(BatchId batch) const {
    return {.incarnation = context_.incarnation, .epoch = context_.epoch, .batch = batch};
  }

  // A producer that makes no progress, as may happen to a client that was made while the broker
  // started, is replaced by another.
  absl::Status OpenProducer(absl::Time deadline) {
    while (true) {
      ASSIGN_OR_RETURN(
          producer_, KafkaSinkProducer::Create(options_, settings_, KafkaSinkShardName(context_)));
      absl::Status opened = producer_->Init(std::min(deadline, absl::Now() + kOpenPatience));
      if (!absl::IsUnavailable(opened) || absl::Now() + kOpenPause >= deadline) {
        return opened;
      }
      absl::SleepFor(kOpenPause);
    }
  }

  // Notes that all batches up to `batch` are committed, with a marker that says so.
  void SetCommitted(BatchId batch, int64_t time_us) {
    std::lock_guard<std::mutex> lock(mutex_);
    committed_ = std::max(committed_, batch);
    marked_ = batch;
    marked_at_us_ = time_us;
    noted_.erase(noted_.begin(), noted_.upper_bound(batch));
  }

  absl::Status CommitOnce(BatchId through, absl::Time deadline) {
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
    std::lock_guard<std::mutex> lock(mutex_);
    committed_ = std::max(committed_, through);
    noted_.erase(noted_.begin(), noted_.upper_bound(through));
    return absl::OkStatus();
  }

  // Makes no round if there are no rows and no marker to renew.
  void StartRound(BatchId through) {
    const BatchId out = committed();
    held_.DropUpto(out);  // written by a call that ended before its answer came
    if (through <= out) {
      return;
    }
    std::vector<const HeldBatch*> batches = held_.Upto(through);
    const int64_t noted_us = NotedUpto(through);
    if (batches.empty() && (!settings_.exactly_once || noted_us < wake_at_us())) {
      return;
    }
    const int64_t time_us =
        batches.empty() ? noted_us : std::max(noted_us, batches.back()->time_us);
    round_ = {.through = through, .time_us = time_us, .batches = std::move(batches)};
  }

  // The time of the last batch up to `through` that was noted without rows; 0 = there was none.
  int64_t NotedUpto(BatchId through) const {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto behind = noted_.upper_bound(through);
    return behind == noted_.begin() ? 0 : std::prev(behind)->second;
  }

  absl::Status RunRound(absl::Time deadline) {
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
    held_.DropUpto(round_->through);
    round_.reset();
    return absl::OkStatus();
  }

  // Waits until the last marker is visible. Brokers up to Kafka 3.9 (KAFKA-17507) put a committed
  // offset into their cache only some time after its transaction has ended. The offset of the next
  // transaction would replace one that is not in the cache yet; if that transaction were then
  // aborted, the marker would be that of the transaction before, and the batches in between would
  // be written twice. A stable read waits until no offset is pending. If the marker is lost
  // nevertheless, the one that is sent now replaces it.
  absl::Status AwaitMarker(absl::Time deadline) {
    if (!settings_.exactly_once) {
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(std::optional<KafkaSinkMarker> found, producer_->ReadMarker(deadline));
    if (found.has_value() && found->epoch > context_.epoch) {
      superseded_ = ClaimedByHigherEpoch(*found, context_, settings_);
    }
    return superseded_;
  }

  absl::Status HandOver(absl::Time deadline) {
    for (; round_->batch < round_->batches.size(); ++round_->batch, round_->record = 0) {
      const HeldBatch& held = *round_->batches[round_->batch];
      int32_t of_batch = -1;  // the partition of records without a key
      for (; round_->record < held.records.size(); ++round_->record) {
        const KafkaRecord& record = held.records[round_->record];
        int32_t partition = record.partition;
        if (partition < 0 && record.key.data() == nullptr) {
          if (of_batch < 0) {
            ASSIGN_OR_RETURN(of_batch, PartitionOf(held.batch, deadline));
          }
          partition = of_batch;
        }
        RETURN_IF_ERROR(producer_->Produce(record, partition, held.time_us / 1000, deadline));
      }
    }
    return absl::OkStatus();
  }

  // Not random: a batch that is written again goes to the same partition.
  absl::StatusOr<int32_t> PartitionOf(BatchId batch, absl::Time deadline) {
    ASSIGN_OR_RETURN(int32_t count, producer_->PartitionCount(deadline));
    return static_cast<int32_t>((context_.shard + static_cast<uint64_t>(batch.value())) %
                                static_cast<uint64_t>(count));
  }

  // Gives up the round. After a failure nobody knows the outcome of the transaction; the next
  // producer finds it out. A producer that was fenced gets no successor in this epoch: to take the
  // shard back would stop its rightful owner.
  absl::Status GiveUpRound(absl::Status status, absl::Time deadline) {
    round_.reset();
    if (producer_ == nullptr) {
      return status;
    }
    producer_->Abort(std::min(deadline, absl::Now() + kAbortTimeout));
    if (producer_->health() == KafkaSinkProducer::Health::kFenced) {
      superseded_ = FencedBy(absl::IsAborted(status)
                                 ? status
                                 : absl::AbortedError(absl::StrCat(
                                       status.message(), "; another writer has taken the shard")));
      status = superseded_;
    }
    producer_.reset();
    return status;
  }

  // Says why a producer was fenced: by a higher epoch, if that has left its marker already.
  absl::Status FencedBy(const absl::Status& status) {
    absl::StatusOr<std::optional<KafkaSinkMarker>> found =
        producer_->ReadMarker(absl::Now() + kAbortTimeout);
    return found.ok() && found->has_value() && (*found)->epoch > context_.epoch
               ? ClaimedByHigherEpoch(**found, context_, settings_)
               : status;
  }

  // Makes a new producer after one that failed. If the marker has the old one's batches, they are
  // committed; if not, they never will be, since the new producer has fenced the old one.
  absl::Status Reopen(absl::Time deadline) {
    absl::Status opened = OpenProducer(deadline);
    if (opened.ok() && settings_.exactly_once) {
      opened = ResolveDoubt(deadline);
    }
    if (!opened.ok() && producer_ != nullptr) {
      if (producer_->health() == KafkaSinkProducer::Health::kFenced) {
        superseded_ = opened;
      }
      producer_.reset();
    }
    return opened;
  }

  absl::Status ResolveDoubt(absl::Time deadline) {
    ASSIGN_OR_RETURN(std::optional<KafkaSinkMarker> found, producer_->ReadMarker(deadline));
    if (found.has_value() && found->epoch > context_.epoch) {
      superseded_ = ClaimedByHigherEpoch(*found, context_, settings_);
      return superseded_;
    }
    if (!found.has_value() || found->epoch != context_.epoch || found->batch < marked_) {
      superseded_ = absl::AbortedError(
          absl::StrCat("topic ", settings_.topic, ", shard ", context_.shard,
                       ": the marker of this epoch is gone; the shard must be claimed again"));
      return superseded_;
    }
    MILLRACE_FAILPOINT("kafka_sink.doubt_resolved");
    if (found->batch > marked_) {
      SetCommitted(found->batch, marked_at_us_);  // or later; then it is renewed too early
    }
    return absl::OkStatus();
  }

  const OptionMap options_;
  const SinkContext context_;
  const KafkaSinkSettings settings_;
  std::unique_ptr<KafkaRecordEncoder> encoder_;  // Write's

  mutable std::mutex mutex_;  // guards the next members; only Commit changes the first three
  BatchId committed_;
  BatchId marked_;            // the batch in the marker, without later batches that had no rows
  int64_t marked_at_us_ = 0;  // in batch time, like all times of markers
  std::map<BatchId, int64_t> noted_;  // times of batches without rows, added by NoteBatch

  HeldBatches held_;

  // Used by Commit only. The producer is destroyed before the batches, since librdkafka points into
  // their records.
  absl::Status superseded_;  // not OK: this epoch writes no more
  std::optional<Round> round_;
  std::unique_ptr<KafkaSinkProducer> producer_;
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
  RETURN_IF_ERROR(writer->Claim(absl::Now() + kClaimTimeout));
  return writer;
}

}  // namespace millrace
