#include "connectors/kafka/sink/mark_log.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "connectors/kafka/client/admin_request.h"
#include "connectors/kafka/client/topics.h"

namespace millrace::kafka {
namespace {

// Slots of a job are spread over so many partitions: a claim waits for the transactions that are
// ending in its own.
constexpr int32_t kPartitions = 4;
// A claim without a journaled offset reads the newest segment whole, since compaction leaves it
// alone.
constexpr char kSegmentBytes[] = "16777216";
constexpr absl::Duration kPause = absl::Milliseconds(10);
constexpr absl::Duration kSlice = absl::Milliseconds(100);

struct MessageDeleter {
  void operator()(rd_kafka_message_t* message) const { rd_kafka_message_destroy(message); }
};

// The text of a message; null is none.
std::optional<std::string_view> Text(const void* bytes, size_t size) {
  return bytes == nullptr
             ? std::nullopt
             : std::make_optional(std::string_view(static_cast<const char*>(bytes), size));
}

// The largest number of replicas of these topics: a log with fewer would be the first to be away.
// −1, the broker's default, if none is found.
int32_t ReplicasOf(KafkaClient* client, const std::vector<std::string>& topics,
                   absl::Time deadline) {
  int32_t most = -1;
  for (const std::string& topic : topics) {
    const auto found = FindKafkaTopic(client, topic, deadline - SteadyNow());
    if (found.ok() && !found->partitions.empty()) {
      most = std::max(most, static_cast<int32_t>(found->partitions.front().replicas.size()));
    }
  }
  return most;
}

}  // namespace

absl::StatusOr<std::shared_ptr<KafkaClient>> NewMarkLogClient(const OptionMap& options) {
  return KafkaClient::Create(KafkaRole::kConsumer, options,
                             {{"isolation.level", "read_committed"},
                              {"auto.offset.reset", "error"},
                              {"enable.auto.commit", "false"},
                              {"enable.partition.eof", "true"}});
}

absl::Status CheckMarkLog(KafkaClient* client, const std::string& topic, absl::Duration timeout) {
  if (topic.empty()) {
    return absl::OkStatus();
  }
  const auto settings = KafkaTopicSettings(client, topic, timeout);
  if (absl::IsUnavailable(settings.status())) {
    return settings.status();
  }
  if (!settings.ok()) {
    return absl::OkStatus();
  }
  const auto policy = settings->find("cleanup.policy");
  if (policy == settings->end() || policy->second.value == "compact") {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "topic ", topic, ", the log of the sinks' marks (option marker_topic), has cleanup.policy = ",
      policy->second.value,
      ", which would delete marks that are needed: set it to compact, or name another topic"));
}

absl::StatusOr<int32_t> EnsureMarkLog(KafkaClient* client, const OptionMap& options,
                                      const std::string& topic,
                                      const std::vector<std::string>& data_topics,
                                      absl::Time deadline) {
  constexpr char kWhat[] = "the log of the sinks' marks";
  while (true) {
    absl::StatusOr<KafkaTopicMetadata> found =
        FindKafkaTopic(client, topic, deadline - SteadyNow());
    if (found.ok() && !found->partitions.empty()) {
      RETURN_IF_ERROR(CheckMarkLog(client, topic, deadline - SteadyNow()));
      return static_cast<int32_t>(found->partitions.size());
    }
    if (!found.ok() && !absl::IsNotFound(found.status())) {
      return Annotate(found.status(), kWhat);
    }
    const absl::Status made = CreateKafkaTopic(
        client, topic, kPartitions, ReplicasOf(client, data_topics, deadline),
        {{"cleanup.policy", "compact"}, {"segment.bytes", kSegmentBytes}}, deadline - SteadyNow());
    if (absl::IsUnimplemented(made)) {
      ASSIGN_OR_RETURN(const std::shared_ptr<KafkaClient> producer,
                       KafkaClient::Create(KafkaRole::kProducer, options, {}));
      RETURN_IF_ERROR(FindKafkaTopic(producer.get(), topic, deadline - SteadyNow()).status());
    } else if (!made.ok() && !absl::IsAlreadyExists(made)) {
      return Annotate(made, absl::StrCat(kWhat, " (make the topic with cleanup.policy = compact, ",
                                         "or name another with marker_topic)"));
    }
    if (SteadyNow() + kPause >= deadline) {
      return absl::UnavailableError(absl::StrCat(kWhat, ", topic ", topic, ", does not appear"));
    }
    if (!made.ok()) {  // made by another session, and found in a moment
      absl::SleepFor(kPause);
    }
  }
}

absl::StatusOr<std::unique_ptr<MarkLogReader>> MarkLogReader::Create(
    std::shared_ptr<KafkaClient> client, const std::string& topic, int32_t partition,
    std::optional<int64_t> from) {
  std::unique_ptr<MarkLogReader> reader(new MarkLogReader(std::move(client), topic, partition));
  reader->handle_.reset(rd_kafka_topic_new(reader->client_->get(), topic.c_str(), nullptr));
  if (reader->handle_ == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("no topic can be called ", topic));
  }
  RETURN_IF_ERROR(reader->Start(from.value_or(RD_KAFKA_OFFSET_BEGINNING)));
  return reader;
}

MarkLogReader::~MarkLogReader() { Stop(); }

absl::Status MarkLogReader::Start(int64_t offset) {
  if (rd_kafka_consume_start(handle_.get(), partition_, offset) != 0) {
    return KafkaStatus(rd_kafka_last_error(),
                       absl::StrCat("reading ", KafkaPartitionName(topic_, partition_)));
  }
  started_ = true;
  return absl::OkStatus();
}

void MarkLogReader::Stop() {
  if (std::exchange(started_, false)) {
    rd_kafka_consume_stop(handle_.get(), partition_);
  }
}

absl::Status MarkLogReader::ReadTo(int64_t offset, absl::Time deadline, PlaceHistory* history) {
  return Read(offset, deadline, history);
}

absl::Status MarkLogReader::ReadToEnd(absl::Time deadline, PlaceHistory* history) {
  return Read(std::nullopt, deadline, history);
}

absl::Status MarkLogReader::Read(std::optional<int64_t> offset, absl::Time deadline,
                                 PlaceHistory* history) {
  const std::string what = absl::StrCat("reading ", KafkaPartitionName(topic_, partition_));
  while (true) {
    const absl::Time now = SteadyNow();
    std::unique_ptr<rd_kafka_message_t, MessageDeleter> message(rd_kafka_consume(
        handle_.get(), partition_, MillisecondsOf(std::min(deadline - now, kSlice))));
    if (message == nullptr) {
      client_->Poll();
      if (SteadyNow() >= deadline) {
        return absl::UnavailableError(absl::StrCat(
            what, ": ",
            offset.has_value() ? absl::StrCat("the record at offset ", *offset, " did not come")
                               : "the end did not come",
            " in time; does a transaction of another program hold it up?"));
      }
      continue;
    }
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      if (!offset.has_value()) {
        return absl::OkStatus();
      }
      continue;
    }
    if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) {
      if (SteadyNow() >= deadline) {
        return absl::UnavailableError(
            absl::StrCat(what, ": its first offset did not come in time"));
      }
      absl::SleepFor(kPause);
      Stop();
      RETURN_IF_ERROR(Start(RD_KAFKA_OFFSET_BEGINNING));
      continue;
    }
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      // librdkafka tries again by itself. A broker may not know yet that the topic was made.
      const absl::Status status = KafkaStatus(message->err, what);
      if (!absl::IsUnavailable(status) && !absl::IsNotFound(status)) {
        return status;
      }
      if (SteadyNow() >= deadline) {
        return absl::UnavailableError(status.message());
      }
      continue;
    }
    const std::optional<std::string_view> key = Text(message->key, message->key_len);
    if (key.has_value()) {
      RETURN_IF_ERROR(history->Add(message->offset, *key, Text(message->payload, message->len)));
    }
    if (offset.has_value() && message->offset >= *offset) {
      return absl::OkStatus();
    }
  }
}

}  // namespace millrace::kafka
