#include "connectors/kafka/sink/sink_producer.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/failpoint.h"
#include "common/base/failure_kind.h"
#include "common/base/mutation.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/base/units.h"
#include "common/base/uuid.h"
#include "connectors/kafka/client/admin_request.h"
#include "connectors/kafka/client/topics.h"

namespace millrace::kafka {
namespace {

constexpr int kDrainMs = 10;
// While waiting for others, failures of a record or of the producer are checked this often.
constexpr absl::Duration kSlice = absl::Milliseconds(100);
constexpr absl::Duration kPause = absl::Milliseconds(10);
constexpr absl::Duration kSocketTimeout = absl::Seconds(10);
// How long a producer may make no progress. After a restart of the broker, a producer may wait past
// the deadline for something that never comes, while a new producer works at once.
constexpr absl::Duration kStandstill = absl::Seconds(5);

int MillisecondsUntil(absl::Time deadline) { return MillisecondsOf(deadline - SteadyNow()); }

KafkaPtr<rd_kafka_topic_partition_list_t> MarkerOffsets(const std::string& topic,
                                                        const KafkaSinkMarker& marker) {
  const std::string text = FormatKafkaSinkMarker(marker);
  KafkaPtr<rd_kafka_topic_partition_list_t> list(
      rd_kafka_topic_partition_list_new(kKafkaMarkerDigits));
  for (const int32_t number : KafkaMarkerPartitions(marker.epoch)) {
    rd_kafka_topic_partition_t* partition =
        rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), number);
    partition->offset = 0;
    partition->metadata = std::malloc(text.size());  // the list frees it
    std::memcpy(partition->metadata, text.data(), text.size());
    partition->metadata_size = text.size();
  }
  return list;
}

// FatalStatus decides whether the producer is fenced.
absl::Status Undelivered(rd_kafka_resp_err_t error, const KafkaUndelivered& record,
                         bool by_broker) {
  absl::Status status = KafkaDeliveryStatus(error, record, by_broker);
  return absl::IsAborted(status) ? absl::UnavailableError(status.message()) : status;
}

}  // namespace

absl::StatusOr<std::unique_ptr<KafkaSinkProducer>> KafkaSinkProducer::Create(
    const OptionMap& options, const KafkaSinkSettings& settings, const std::string& shard) {
  std::unique_ptr<KafkaSinkProducer> producer(new KafkaSinkProducer(settings, shard));
  std::map<std::string, std::string> fixed = {{"enable.idempotence", "true"},
                                              {"batch.size", absl::StrCat(settings.batch_bytes)}};
  if (settings.exactly_once) {
    fixed["transactional.id"] = IsMutation("fencing") ? NewUuid() : shard;
    if (options.count("socket.timeout.ms") == 0) {
      // Sending the marker waits this long for a hanging broker, whatever the deadline is.
      fixed["socket.timeout.ms"] = absl::StrCat(
          absl::ToInt64Milliseconds(std::min(kSocketTimeout, settings.transaction_timeout)));
    }
    producer->group_.reset(rd_kafka_consumer_group_metadata_new(shard.c_str()));
  }
  KafkaSinkProducer* self = producer.get();
  ASSIGN_OR_RETURN(producer->client_,
                   KafkaClient::Create(
                       KafkaRole::kProducer, options, fixed,
                       [self](const rd_kafka_message_t* message) { self->OnDelivery(message); }));
  producer->topic_handle_.reset(
      rd_kafka_topic_new(producer->client_->get(), settings.topic.c_str(), nullptr));
  if (producer->topic_handle_ == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("no topic can be called ", settings.topic));
  }
  return producer;
}

std::string KafkaSinkProducer::What(std::string_view doing) const {
  return absl::StrCat(
      "topic ", settings_.topic, ", ", ToAbsl(doing),
      settings_.exactly_once ? absl::StrCat(" (transactional.id ", shard_, ")") : "");
}

absl::Status KafkaSinkProducer::Init(absl::Time deadline) {
  if (!settings_.exactly_once) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(EnsureMarkerTopic(deadline));
  MILLRACE_FAILPOINT("kafka_sink.before_init");
  while (true) {
    absl::Status status =
        TransactionStatus(rd_kafka_init_transactions(client_->get(), MillisecondsUntil(deadline)),
                          "taking over the shard's transactions");
    if (status.ok()) {
      MILLRACE_FAILPOINT("kafka_sink.initialized");
      return status;
    }
    if (!absl::IsUnavailable(status) || SteadyNow() + kPause >= deadline) {
      return status;
    }
    absl::SleepFor(kPause);
  }
}

// A broker that creates topics by itself may have created the marker topic when it was asked for
// it, with too few partitions.
absl::Status KafkaSinkProducer::EnsureMarkerTopic(absl::Time deadline) {
  while (true) {
    absl::StatusOr<KafkaTopicMetadata> found =
        FindKafkaTopic(client_.get(), settings_.marker_topic, deadline - SteadyNow());
    if (!found.ok() && !absl::IsNotFound(found.status())) {
      return Annotate(found.status(), "the topic of the sinks' markers");
    }
    if (found.ok() && found->partitions.size() >= kKafkaMarkerPartitions) {
      return absl::OkStatus();
    }
    absl::Status made =
        found.ok() ? GrowKafkaTopic(client_.get(), settings_.marker_topic, kKafkaMarkerPartitions,
                                    deadline - SteadyNow())
                   : CreateKafkaTopic(client_.get(), settings_.marker_topic, kKafkaMarkerPartitions,
                                      -1, {}, deadline - SteadyNow());
    // If another shard was faster, all partitions will be found in a moment.
    if (!made.ok() && !absl::IsAlreadyExists(made) &&
        !(found.ok() && absl::IsInvalidArgument(made))) {
      return Annotate(made,
                      absl::StrCat("the topic of the sinks' markers needs ", kKafkaMarkerPartitions,
                                   " partitions (marker_topic names another)"));
    }
    if (SteadyNow() + kPause >= deadline) {
      return absl::UnavailableError(
          absl::StrCat("topic ", settings_.marker_topic, " of the sinks' markers does not appear"));
    }
    absl::SleepFor(kPause);
  }
}

absl::Status KafkaSinkProducer::StandsStill(const absl::Status& status) {
  health_ = std::max(health_, Health::kFatal);
  return absl::UnavailableError(
      absl::StrCat(status.message(), "; nothing has moved for ", DurationToString(kStandstill)));
}

absl::StatusOr<std::optional<KafkaSinkMarker>> KafkaSinkProducer::ReadMarker(absl::Time deadline) {
  std::vector<KafkaPartitionId> partitions;
  partitions.reserve(kKafkaMarkerPartitions);
  for (int32_t partition = 0; partition < kKafkaMarkerPartitions; ++partition) {
    partitions.push_back({settings_.marker_topic, partition});
  }
  const absl::Time until = std::min(deadline, SteadyNow() + kStandstill);
  absl::StatusOr<std::vector<KafkaGroupOffset>> offsets =
      GroupKafkaOffsets(client_.get(), shard_, partitions, until - SteadyNow());
  if (!offsets.ok()) {
    return absl::IsUnavailable(offsets.status()) && until < deadline ? StandsStill(offsets.status())
                                                                     : offsets.status();
  }
  std::vector<std::string> texts;
  texts.reserve(offsets->size());
  for (KafkaGroupOffset& offset : *offsets) {
    texts.push_back(std::move(offset.metadata));
  }
  absl::StatusOr<std::optional<KafkaSinkMarker>> marker = LastKafkaSinkMarker(texts);
  return marker.ok() ? marker : Annotate(marker.status(), absl::StrCat("group ", shard_));
}

absl::Status KafkaSinkProducer::Begin() {
  begun_ = SteadyNow();
  return settings_.exactly_once ? TransactionStatus(rd_kafka_begin_transaction(client_->get()),
                                                    "beginning a transaction")
                                : absl::OkStatus();
}

void KafkaSinkProducer::OnDelivery(const rd_kafka_message_t* message) {
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    NoteFailure(message->err, UndeliveredOf(*message, settings_.topic), true);
  }
}

void KafkaSinkProducer::NoteFailure(rd_kafka_resp_err_t error, const KafkaUndelivered& record,
                                    bool by_broker) {
  health_ = std::max(health_, Health::kMustAbort);
  const bool refused = IsKafkaRefusal(error);
  if (failure_.ok() || (refused && !refused_)) {
    failure_ = Undelivered(error, record, by_broker);
    refused_ = refused;
  }
}

absl::Status KafkaSinkProducer::Produce(const KafkaRecord& record, int32_t partition,
                                        int64_t timestamp_ms, absl::Time deadline) {
  while (true) {
    rd_kafka_resp_err_t error = Enqueue(record, partition, timestamp_ms);
    switch (error) {
      case RD_KAFKA_RESP_ERR_NO_ERROR:
        return absl::OkStatus();
      case RD_KAFKA_RESP_ERR__QUEUE_FULL:
        break;
      case RD_KAFKA_RESP_ERR__FATAL:
        return FatalStatus("writing");
      case RD_KAFKA_RESP_ERR__STATE:  // the transaction has failed; delivery reports say why
        rd_kafka_poll(client_->get(), 0);
        health_ = std::max(health_, Health::kMustAbort);
        return failure_.ok() ? absl::UnavailableError(What("the transaction has failed"))
                             : failure_;
      default:
        NoteFailure(
            error,
            {.topic = settings_.topic,
             .partition = partition,
             .key = record.key.data() == nullptr ? std::nullopt : std::make_optional(record.key),
             .bytes = record.size()},
            false);
        return failure_;
    }
    rd_kafka_poll(client_->get(), kDrainMs);
    RETURN_IF_ERROR(failure_);
    if (SteadyNow() >= deadline) {
      return absl::UnavailableError(What("the broker did not take the records fast enough"));
    }
  }
}

rd_kafka_resp_err_t KafkaSinkProducer::Enqueue(const KafkaRecord& record, int32_t partition,
                                               int64_t timestamp_ms) {
  const int32_t to = partition < 0 ? RD_KAFKA_PARTITION_UA : partition;
  // No flags, so the value is not copied: the batch keeps it until the transaction has ended.
  if (record.headers == nullptr) {
    return rd_kafka_producev(
        client_->get(), RD_KAFKA_V_RKT(topic_handle_.get()), RD_KAFKA_V_PARTITION(to),
        RD_KAFKA_V_MSGFLAGS(0), RD_KAFKA_V_KEY(record.key.data(), record.key.size()),
        RD_KAFKA_V_VALUE(const_cast<char*>(record.value.data()), record.value.size()),
        RD_KAFKA_V_TIMESTAMP(timestamp_ms), RD_KAFKA_V_END);
  }
  rd_kafka_headers_t* headers = rd_kafka_headers_new(record.headers->size());
  for (const auto& [name, value] : *record.headers) {
    rd_kafka_header_add(headers, name.data(), static_cast<ssize_t>(name.size()),
                        value.has_value() ? value->data() : nullptr,
                        value.has_value() ? static_cast<ssize_t>(value->size()) : 0);
  }
  rd_kafka_resp_err_t error = rd_kafka_producev(
      client_->get(), RD_KAFKA_V_RKT(topic_handle_.get()), RD_KAFKA_V_PARTITION(to),
      RD_KAFKA_V_MSGFLAGS(0), RD_KAFKA_V_KEY(record.key.data(), record.key.size()),
      RD_KAFKA_V_VALUE(const_cast<char*>(record.value.data()), record.value.size()),
      RD_KAFKA_V_TIMESTAMP(timestamp_ms), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    rd_kafka_headers_destroy(headers);
  }
  return error;
}

absl::Status KafkaSinkProducer::SendMarker(const KafkaSinkMarker& marker, absl::Time deadline) {
  if (!settings_.exactly_once) {
    return absl::OkStatus();
  }
  const auto offsets = MarkerOffsets(settings_.marker_topic, marker);
  const absl::Time until = std::min(deadline, SteadyNow() + kStandstill);
  while (true) {
    absl::Status status = TransactionStatus(
        rd_kafka_send_offsets_to_transaction(client_->get(), offsets.get(), group_.get(),
                                             MillisecondsUntil(until)),
        "writing the marker");
    if (!absl::IsUnavailable(status) || health_ != Health::kGood) {
      return status;
    }
    if (SteadyNow() + kPause >= until) {
      return until < deadline ? StandsStill(status) : status;
    }
    rd_kafka_poll(client_->get(), kDrainMs);
  }
}

absl::Status KafkaSinkProducer::Flush(absl::Time deadline) {
  int left = rd_kafka_outq_len(client_->get());
  absl::Time moved = SteadyNow();
  while (true) {
    const absl::Time until = std::min(deadline, SteadyNow() + kSlice);
    rd_kafka_resp_err_t error = rd_kafka_flush(client_->get(), MillisecondsUntil(until));
    if (rd_kafka_fatal_error(client_->get(), nullptr, 0) != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return FatalStatus("writing");
    }
    RETURN_IF_ERROR(failure_);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(CheckTransaction());
    const absl::Time now = SteadyNow();
    if (const int left_now = rd_kafka_outq_len(client_->get()); left_now != left) {
      left = left_now;
      moved = now;
    }
    if (now >= std::min(deadline, moved + kStandstill)) {
      const absl::Status status = absl::UnavailableError(
          absl::StrCat(What("records were not acknowledged in time"), " at bootstrap.servers = '",
                       client_->bootstrap_servers(), "': ", left, " are left"));
      return now < deadline ? StandsStill(status) : status;
    }
  }
}

// librdkafka keeps the records of a failed transaction, and reports the failure only to the next
// transactional call. The only such call without effect in the middle of a transaction is to begin
// another one.
absl::Status KafkaSinkProducer::CheckTransaction() {
  if (!settings_.exactly_once) {
    return absl::OkStatus();
  }
  KafkaPtr<rd_kafka_error_t> error(rd_kafka_begin_transaction(client_->get()));
  if (error == nullptr || (rd_kafka_error_txn_requires_abort(error.get()) == 0 &&
                           rd_kafka_error_is_fatal(error.get()) == 0)) {
    return absl::OkStatus();
  }
  return TransactionStatus(error.release(), "writing");
}

absl::Status KafkaSinkProducer::Commit(absl::Time deadline) {
  if (!settings_.exactly_once) {
    return absl::OkStatus();
  }
  const absl::Time until = std::min(deadline, SteadyNow() + kStandstill);
  while (true) {
    absl::Status status =
        TransactionStatus(rd_kafka_commit_transaction(client_->get(), MillisecondsUntil(until)),
                          "committing the transaction");
    if (status.ok() || health_ != Health::kGood) {
      return status;
    }
    if (!absl::IsUnavailable(status) || SteadyNow() + kPause >= until) {
      health_ = Health::kInDoubt;
      return status;
    }
    rd_kafka_poll(client_->get(), kDrainMs);
  }
}

void KafkaSinkProducer::Abort(absl::Time deadline) {
  if (health_ >= Health::kInDoubt || !settings_.exactly_once) {
    return;
  }
  KafkaPtr<rd_kafka_error_t> ignored(
      rd_kafka_abort_transaction(client_->get(), MillisecondsUntil(deadline)));
  if (IsKafkaFencing(rd_kafka_fatal_error(client_->get(), nullptr, 0))) {
    health_ = Health::kFenced;
  }
}

absl::Status KafkaSinkProducer::TransactionStatus(rd_kafka_error_t* error, std::string_view what) {
  KafkaPtr<rd_kafka_error_t> owner(error);
  if (error == nullptr) {
    return absl::OkStatus();
  }
  if (rd_kafka_error_is_fatal(error) != 0 ||
      rd_kafka_fatal_error(client_->get(), nullptr, 0) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return FatalStatus(what);
  }
  if (IsKafkaFencing(
          rd_kafka_error_code(error))) {  // some calls report this as a failed transaction only
    health_ = Health::kFenced;
    return absl::AbortedError(absl::StrCat(What(what), ": ", rd_kafka_error_string(error),
                                           "; another writer has taken the shard"));
  }
  if (rd_kafka_error_txn_requires_abort(error) != 0) {
    rd_kafka_poll(client_->get(), 0);
    health_ = std::max(health_, Health::kMustAbort);
    if (!failure_.ok()) {
      return failure_;
    }
  }
  absl::Status status = KafkaStatus(rd_kafka_error_code(error), What(what));
  std::string text = absl::StrCat(What(what), ": ", rd_kafka_error_string(error));
  // An error that only fails the transaction may not recur in the next one.
  const bool again = rd_kafka_error_is_retriable(error) != 0 || absl::IsUnavailable(status) ||
                     rd_kafka_error_txn_requires_abort(error) != 0;
  const bool for_good = absl::IsPermissionDenied(status) || absl::IsUnauthenticated(status) ||
                        absl::IsInvalidArgument(status);
  return again && !for_good ? absl::UnavailableError(text) : absl::Status(status.code(), text);
}

absl::Status KafkaSinkProducer::FatalStatus(std::string_view what) {
  char reason[256] = "";
  const rd_kafka_resp_err_t error = rd_kafka_fatal_error(client_->get(), reason, sizeof(reason));
  health_ = IsKafkaFencing(error) ? Health::kFenced : Health::kFatal;
  const absl::Duration open = SteadyNow() - begun_;
  if (health_ == Health::kFenced && open >= settings_.transaction_timeout) {
    // kEnvironment: a broker that is slow now may be faster later.
    return WithFailureKind(absl::AbortedError(absl::StrCat(
                               What(what), ": the transaction was open for ",
                               DurationToString(absl::Trunc(open, absl::Milliseconds(1))),
                               ", and the broker ends one ", "after transaction.timeout.ms, ",
                               absl::ToInt64Milliseconds(settings_.transaction_timeout),
                               "; raise it, or make batches smaller")),
                           FailureKind::kEnvironment);
  }
  std::string text = absl::StrCat(What(what), ": ", reason);
  if (health_ == Health::kFenced) {
    return absl::AbortedError(absl::StrCat(text, "; another writer has taken the shard"));
  }
  if (error == RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT) {
    // No later producer with this setting fares better.
    return absl::InvalidArgumentError(absl::StrCat(
        What(what), ": transaction.timeout.ms = ",
        absl::ToInt64Milliseconds(settings_.transaction_timeout), " of table ", settings_.table,
        " is more than the broker's transaction.max.timeout.ms: lower the one, or raise the "
        "other"));
  }
  // A new producer may be able to do what this one no longer can.
  const absl::Status status = KafkaStatus(error, "");
  return absl::IsPermissionDenied(status) || absl::IsUnauthenticated(status)
             ? absl::Status(status.code(), text)
             : absl::UnavailableError(text);
}

absl::StatusOr<KafkaTopicLimits> KafkaSinkProducer::ReadTopicLimits(absl::Time deadline) {
  return ReadKafkaTopicLimits(client_.get(), settings_.topic, deadline - SteadyNow());
}

absl::StatusOr<int32_t> KafkaSinkProducer::PartitionCount(absl::Time deadline) {
  if (partition_count_ == 0) {
    ASSIGN_OR_RETURN(KafkaTopicMetadata topic,
                     FindKafkaTopic(client_.get(), settings_.topic, deadline - SteadyNow()));
    partition_count_ = static_cast<int32_t>(topic.partitions.size());
  }
  if (partition_count_ == 0) {
    return absl::UnavailableError(What("it has no partitions yet"));
  }
  return partition_count_;
}

}  // namespace millrace::kafka
