#include "connectors/kafka/sink/sink_producer.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/failpoint.h"
#include "common/base/failure_kind.h"
#include "common/base/mutation.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/base/units.h"
#include "common/base/uuid.h"

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

// The error of a producer whose transactional id another one has taken.
absl::Status Fenced(const std::string& text) {
  return absl::AbortedError(absl::StrCat(text, "; another session has taken the place"));
}

// FatalStatus decides whether the producer is fenced.
absl::Status Undelivered(rd_kafka_resp_err_t error, const KafkaUndelivered& record,
                         bool by_broker) {
  absl::Status status = KafkaDeliveryStatus(error, record, by_broker);
  return absl::IsAborted(status) ? absl::UnavailableError(status.message()) : status;
}

}  // namespace

absl::StatusOr<std::unique_ptr<KafkaSinkProducer>> KafkaSinkProducer::Create(
    const KafkaProducerConfig& config) {
  std::unique_ptr<KafkaSinkProducer> producer(new KafkaSinkProducer(config));
  const KafkaSessionSettings& settings = config.settings;
  std::map<std::string, std::string> fixed = {{"enable.idempotence", "true"},
                                              {"batch.size", absl::StrCat(settings.batch_bytes)}};
  if (settings.exactly_once) {
    fixed["transactional.id"] = IsMutation("fencing") ? NewUuid() : config.name;
    if (config.options.count("socket.timeout.ms") == 0) {
      // A request to a hanging broker takes this long, whatever the deadline is.
      fixed["socket.timeout.ms"] = absl::StrCat(
          absl::ToInt64Milliseconds(std::min(kSocketTimeout, settings.transaction_timeout)));
    }
  }
  KafkaSinkProducer* self = producer.get();
  ASSIGN_OR_RETURN(producer->client_,
                   KafkaClient::Create(
                       KafkaRole::kProducer, config.options, fixed,
                       [self](const rd_kafka_message_t* message) { self->OnDelivery(message); }));
  for (const std::string& topic : config.topics) {
    ASSIGN_OR_RETURN(producer->topics_.emplace_back(), producer->TopicOf(topic));
  }
  if (!config.log_topic.empty()) {
    ASSIGN_OR_RETURN(producer->log_, producer->TopicOf(config.log_topic));
  }
  return producer;
}

absl::StatusOr<KafkaPtr<rd_kafka_topic_t>> KafkaSinkProducer::TopicOf(const std::string& name) {
  KafkaPtr<rd_kafka_topic_t> topic(rd_kafka_topic_new(client_->get(), name.c_str(), nullptr));
  if (topic == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("no topic can be called ", name));
  }
  return topic;
}

std::string KafkaSinkProducer::What(std::string_view doing) const {
  return absl::StrCat(
      config_.topics.size() == 1 ? "topic " : "topics ", absl::StrJoin(config_.topics, ", "), ", ",
      ToAbsl(doing),
      config_.settings.exactly_once ? absl::StrCat(" (transactional.id ", config_.name, ")") : "");
}

absl::Status KafkaSinkProducer::Init(absl::Time deadline) {
  if (!config_.settings.exactly_once) {
    return absl::OkStatus();
  }
  MILLRACE_FAILPOINT("kafka_sink.before_init");
  while (true) {
    absl::Status status =
        TransactionStatus(rd_kafka_init_transactions(client_->get(), MillisecondsUntil(deadline)),
                          "taking over the place's transactions");
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

absl::Status KafkaSinkProducer::StandsStill(const absl::Status& status) {
  health_ = std::max(health_, Health::kFatal);
  return absl::UnavailableError(
      absl::StrCat(status.message(), "; nothing has moved for ", DurationToString(kStandstill)));
}

absl::Status KafkaSinkProducer::Begin() {
  begun_ = SteadyNow();
  return config_.settings.exactly_once
             ? TransactionStatus(rd_kafka_begin_transaction(client_->get()),
                                 "beginning a transaction")
             : absl::OkStatus();
}

void KafkaSinkProducer::OnDelivery(const rd_kafka_message_t* message) {
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    NoteFailure(message->err, UndeliveredOf(*message, rd_kafka_topic_name(message->rkt)), true);
  } else if (message->_private != nullptr && message->offset >= 0) {
    mark_offset_ = message->offset;
  }
}

void KafkaSinkProducer::NoteFailure(rd_kafka_resp_err_t error, const KafkaUndelivered& record,
                                    bool by_broker) {
  health_ = std::max(health_, Health::kMustAbort);
  const bool refused = IsKafkaRefusal(error);
  if (failure_.ok() || (refused && refusing_topic_.empty())) {
    failure_ = Undelivered(error, record, by_broker);
    refusing_topic_ = refused ? record.topic : "";
  }
}

absl::Status KafkaSinkProducer::Produce(size_t table, const KafkaRecord& record,
                                        int64_t timestamp_ms, absl::Time deadline) {
  return Send(topics_[table].get(), record, timestamp_ms, /*is_mark=*/false, deadline);
}

absl::Status KafkaSinkProducer::ProduceMark(const KafkaMarkRecord& mark, int32_t partition,
                                            absl::Time deadline) {
  constexpr int64_t kNow = 0;
  mark_offset_.reset();
  return Send(log_.get(), {.key = mark.key, .value = mark.value, .partition = partition}, kNow,
              /*is_mark=*/true, deadline);
}

absl::Status KafkaSinkProducer::Send(rd_kafka_topic_t* topic, const KafkaRecord& record,
                                     int64_t timestamp_ms, bool is_mark, absl::Time deadline) {
  while (true) {
    rd_kafka_resp_err_t error = Enqueue(topic, record, timestamp_ms, is_mark);
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
            {.topic = rd_kafka_topic_name(topic),
             .partition = record.partition,
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

rd_kafka_resp_err_t KafkaSinkProducer::Enqueue(rd_kafka_topic_t* topic, const KafkaRecord& record,
                                               int64_t timestamp_ms, bool is_mark) {
  const int32_t to = record.partition < 0 ? RD_KAFKA_PARTITION_UA : record.partition;
  // Without flags the value is not copied: a batch keeps it until the transaction has ended.
  const int flags = is_mark ? RD_KAFKA_MSG_F_COPY : 0;
  void* const opaque = is_mark ? this : nullptr;
  if (record.headers == nullptr) {
    return rd_kafka_producev(
        client_->get(), RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(to), RD_KAFKA_V_MSGFLAGS(flags),
        RD_KAFKA_V_KEY(record.key.data(), record.key.size()),
        RD_KAFKA_V_VALUE(const_cast<char*>(record.value.data()), record.value.size()),
        RD_KAFKA_V_TIMESTAMP(timestamp_ms), RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_END);
  }
  rd_kafka_headers_t* headers = rd_kafka_headers_new(record.headers->size());
  for (const auto& [name, value] : *record.headers) {
    rd_kafka_header_add(headers, name.data(), static_cast<ssize_t>(name.size()),
                        value.has_value() ? value->data() : nullptr,
                        value.has_value() ? static_cast<ssize_t>(value->size()) : 0);
  }
  rd_kafka_resp_err_t error = rd_kafka_producev(
      client_->get(), RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(to), RD_KAFKA_V_MSGFLAGS(flags),
      RD_KAFKA_V_KEY(record.key.data(), record.key.size()),
      RD_KAFKA_V_VALUE(const_cast<char*>(record.value.data()), record.value.size()),
      RD_KAFKA_V_TIMESTAMP(timestamp_ms), RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_HEADERS(headers),
      RD_KAFKA_V_END);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    rd_kafka_headers_destroy(headers);
  }
  return error;
}

absl::Status KafkaSinkProducer::SendOffsets(const std::string& group,
                                            const rd_kafka_topic_partition_list_t* offsets,
                                            absl::Time deadline) {
  KafkaPtr<rd_kafka_consumer_group_metadata_t> metadata(
      rd_kafka_consumer_group_metadata_new(group.c_str()));
  const absl::Time until = std::min(deadline, SteadyNow() + kStandstill);
  while (true) {
    absl::Status status =
        TransactionStatus(rd_kafka_send_offsets_to_transaction(
                              client_->get(), offsets, metadata.get(), MillisecondsUntil(until)),
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
  if (!config_.settings.exactly_once) {
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
  if (!config_.settings.exactly_once) {
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
  if (health_ >= Health::kInDoubt || !config_.settings.exactly_once) {
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
    return Fenced(absl::StrCat(What(what), ": ", rd_kafka_error_string(error)));
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
  if (health_ == Health::kFenced && open >= config_.settings.transaction_timeout) {
    // kEnvironment: a broker that is slow now may be faster later.
    return WithFailureKind(absl::AbortedError(absl::StrCat(
                               What(what), ": the transaction was open for ",
                               DurationToString(absl::Trunc(open, absl::Milliseconds(1))),
                               ", and the broker ends one ", "after transaction.timeout.ms, ",
                               absl::ToInt64Milliseconds(config_.settings.transaction_timeout),
                               "; raise it, or make batches smaller")),
                           FailureKind::kEnvironment);
  }
  std::string text = absl::StrCat(What(what), ": ", reason);
  if (health_ == Health::kFenced) {
    return Fenced(text);
  }
  if (error == RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT) {
    // No later producer with this setting fares better.
    return absl::InvalidArgumentError(absl::StrCat(
        What(what), ": transaction.timeout.ms = ",
        absl::ToInt64Milliseconds(config_.settings.transaction_timeout), " of table ",
        absl::StrJoin(config_.tables, ", "),
        " is more than the broker's transaction.max.timeout.ms: lower the one, or raise the "
        "other"));
  }
  // A new producer may be able to do what this one no longer can.
  const absl::Status status = KafkaStatus(error, "");
  return absl::IsPermissionDenied(status) || absl::IsUnauthenticated(status)
             ? absl::Status(status.code(), text)
             : absl::UnavailableError(text);
}

}  // namespace millrace::kafka
