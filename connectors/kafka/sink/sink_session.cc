#include "connectors/kafka/sink/sink_session.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "connectors/kafka/client/topic_limits.h"
#include "connectors/kafka/sink/held_batches.h"
#include "connectors/kafka/sink/record_encoder.h"
#include "connectors/kafka/sink/record_limits.h"
#include "connectors/kafka/sink/session_mark.h"
#include "connectors/kafka/sink/sink_settings.h"
#include "connectors/kafka/sink/sink_shard.h"
#include "connectors/kafka/sink/sink_transactions.h"
#include "connectors/shared/flow_out.h"

namespace millrace::kafka {
namespace {

constexpr absl::Duration kClaimTimeout = absl::Seconds(30);

// A table of the session.
struct Table {
  uint32_t index = 0;  // in the plan
  const proto::Sink* sink = nullptr;
  const Format* format = nullptr;
  KafkaRecordLimits limits;  // the claim sets those of the topic
};

class KafkaSinkSession : public SinkSession, private KafkaShardOwner {
 public:
  KafkaSinkSession(std::vector<Table> tables, const KafkaProducerConfig& config,
                   const SinkContext& context)
      : planned_(context.planned_batch),
        exactly_once_(config.settings.exactly_once),
        memory_(context.memory),
        flow_out_(context, config.settings.max_held_bytes),
        tables_(std::move(tables)),
        transactions_(context, config, &held_) {}

  absl::Status Claim(absl::Time deadline) {
    ASSIGN_OR_RETURN(const std::vector<KafkaTopicLimits> limits, transactions_.Claim(deadline));
    for (size_t i = 0; i < tables_.size(); ++i) {
      tables_[i].limits.of_topic = limits[i];
    }
    return absl::OkStatus();
  }

  absl::StatusOr<SinkShard*> AddShard(uint32_t sink, uint32_t shard) override {
    const auto table = Find(sink);
    if (table == tables_.end()) {
      return absl::InternalError(absl::StrCat("sink ", sink, " is none of this session's"));
    }
    ASSIGN_OR_RETURN(std::unique_ptr<KafkaRecordEncoder> encoder,
                     KafkaRecordEncoder::Create(*table->sink, table->format));
    KafkaShardOwner* const owner = this;
    absl::MutexLock lock(&mutex_);
    shards_.push_back(std::make_unique<KafkaSinkShard>(static_cast<size_t>(table - tables_.begin()),
                                                       shard, std::move(encoder), &table->limits,
                                                       owner));
    return shards_.back().get();
  }

  std::string Terms(uint32_t sink) const override {
    const auto table = Find(sink);
    return table == tables_.end() ? "" : FormatKafkaTopicLimits(table->limits.of_topic);
  }

  absl::Status Prepare(BatchId, absl::Time) override { return absl::OkStatus(); }
  absl::Status Commit(BatchId through, absl::Time deadline) override {
    return transactions_.Commit(through, deadline);
  }
  SinkMark mark() const override { return transactions_.mark(); }
  int64_t held_bytes() const override { return held_.bytes(); }
  int64_t held_bytes_of(BatchId batch) const override { return held_.bytes_of(batch); }

 private:
  std::vector<Table>::const_iterator Find(uint32_t sink) const {
    return std::find_if(tables_.begin(), tables_.end(),
                        [&](const Table& table) { return table.index == sink; });
  }

  BatchId committed() const override { return transactions_.committed(); }
  void NoteRefusal(BatchId batch) override { transactions_.NoteRefusal(batch); }

  absl::Status Hold(HeldRows rows) override {
    const BatchId batch = rows.batch;
    int64_t bytes = 0;
    for (const KafkaRecord& record : rows.records) {
      bytes += static_cast<int64_t>(record.size() + sizeof(KafkaRecord));
    }
    const absl::Status taken = rows.memory.Add(
        memory_, bytes, absl::StrCat("the writer of topic ", tables_[rows.table].limits.topic));
    const auto is_first = [&] { return transactions_.IsFirst(batch); };
    if (taken.ok()) {
      held_.Add(std::move(rows));
      return MayFlow(batch) && is_first() ? transactions_.Flow(batch, std::nullopt)
                                          : absl::OkStatus();
    }
    if (!exactly_once_) {
      return taken;
    }
    RETURN_IF_ERROR(flow_out_.AwaitTurn(taken, is_first));
    held_.NoteLeft(batch, bytes);
    return transactions_.Flow(batch, std::move(rows));
  }

  // Whether rows of the batch, for which there is memory, may leave it. Not those of a batch that
  // was planned in an earlier epoch: perhaps other sessions have committed it. Then it cannot be
  // made smaller, and a transaction that it fills for too long would expire each time that it runs.
  bool MayFlow(BatchId batch) const {
    return exactly_once_ && batch > planned_ && flow_out_.Wanted(held_.bytes());
  }

  const BatchId planned_;  // the last batch that was planned when the epoch began
  const bool exactly_once_;
  const std::shared_ptr<HeldMemory> memory_;
  const FlowOut flow_out_;
  std::vector<Table> tables_;
  HeldBatches held_;
  SinkTransactions transactions_;
  absl::Mutex mutex_;
  std::vector<std::unique_ptr<KafkaSinkShard>> shards_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<std::unique_ptr<SinkSession>> OpenKafkaSinkSession(
    const std::vector<SinkTable>& tables, const SinkContext& context,
    const ConnectorRegistry* formats) {
  KafkaProducerConfig config{.name = KafkaPlaceName(context)};
  std::vector<Table> of_session;
  of_session.reserve(tables.size());
  for (const SinkTable& table : tables) {
    ASSIGN_OR_RETURN(KafkaSinkSettings settings, ParseKafkaSinkSettings(*table.table));
    ASSIGN_OR_RETURN(const Format* format, formats->FindFormat(table.table->format()));
    config.tables.push_back(settings.table);
    config.topics.push_back(settings.topic);
    config.settings = settings.session;
    of_session.push_back({.index = table.index,
                          .sink = table.table,
                          .format = format,
                          .limits = {.topic = settings.topic,
                                     .producer_bytes = settings.session.max_message_bytes,
                                     .compressed = settings.session.compressed}});
  }
  config.options = tables.front().table->options();
  if (config.settings.exactly_once) {
    config.log_topic = config.settings.marker_topic.empty() ? DefaultKafkaMarkLog(context.job_name)
                                                            : config.settings.marker_topic;
  }
  auto session = std::make_unique<KafkaSinkSession>(std::move(of_session), config, context);
  RETURN_IF_ERROR(session->Claim(SteadyNow() + kClaimTimeout));
  return session;
}

}  // namespace millrace::kafka
