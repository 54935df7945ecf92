#include "connectors/kafka/sink/former_claim.h"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "connectors/kafka/client/admin_request.h"
#include "connectors/kafka/client/topics.h"
#include "connectors/kafka/sink/former_marker.h"
#include "connectors/kafka/sink/place_claim.h"
#include "connectors/kafka/sink/sink_producer.h"
#include "connectors/kafka/sink/sink_settings.h"

namespace millrace::kafka {
namespace {

constexpr absl::Duration kClaimTimeout = absl::Seconds(30);
constexpr absl::Duration kPause = absl::Milliseconds(10);

KafkaPtr<rd_kafka_topic_partition_list_t> MarkerOffsets(const std::string& topic,
                                                        const FormerMarker& marker) {
  const std::string text = FormatFormerMarker(marker);
  KafkaPtr<rd_kafka_topic_partition_list_t> list(
      rd_kafka_topic_partition_list_new(kFormerMarkerDigits));
  for (const int32_t number : FormerMarkerPartitions(marker.epoch)) {
    rd_kafka_topic_partition_t* partition =
        rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), number);
    partition->offset = 0;
    partition->metadata = std::malloc(text.size());  // the list frees it
    std::memcpy(partition->metadata, text.data(), text.size());
    partition->metadata_size = text.size();
  }
  return list;
}

// The topic may be gone, or have the fewer partitions of an early version. Without it the marker of
// this claim would be refused, and a woken process would make the topic and find none.
absl::Status EnsureMarkerTopic(KafkaClient* client, const std::string& topic, absl::Time deadline) {
  while (true) {
    const absl::StatusOr<KafkaTopicMetadata> found =
        FindKafkaTopic(client, topic, deadline - SteadyNow());
    if (!found.ok() && !absl::IsNotFound(found.status())) {
      return Annotate(found.status(), "the topic of the shards' markers");
    }
    if (found.ok() && found->partitions.size() >= kFormerMarkerPartitions) {
      return absl::OkStatus();
    }
    const absl::Status made =
        found.ok() ? GrowKafkaTopic(client, topic, kFormerMarkerPartitions, deadline - SteadyNow())
                   : CreateKafkaTopic(client, topic, kFormerMarkerPartitions, -1, {},
                                      deadline - SteadyNow());
    // If another claim was faster, all partitions will be found in a moment.
    if (!made.ok() && !absl::IsAlreadyExists(made) &&
        !(found.ok() && absl::IsInvalidArgument(made))) {
      return Annotate(made, absl::StrCat("the topic of the shards' markers needs ",
                                         kFormerMarkerPartitions, " partitions"));
    }
    if (SteadyNow() + kPause >= deadline) {
      return absl::UnavailableError(
          absl::StrCat("topic ", topic, " of the shards' markers does not appear"));
    }
    absl::SleepFor(kPause);
  }
}

// Reads the shard's last marker, which no open transaction can change any more.
absl::StatusOr<std::optional<FormerMarker>> ReadMarker(KafkaClient* client,
                                                       const std::string& topic,
                                                       const std::string& shard,
                                                       absl::Time deadline) {
  std::vector<KafkaPartitionId> partitions;
  partitions.reserve(kFormerMarkerPartitions);
  for (int32_t partition = 0; partition < kFormerMarkerPartitions; ++partition) {
    partitions.push_back({topic, partition});
  }
  ASSIGN_OR_RETURN(std::vector<KafkaGroupOffset> offsets,
                   GroupKafkaOffsets(client, shard, partitions, deadline - SteadyNow()));
  std::vector<std::string> texts;
  texts.reserve(offsets.size());
  for (KafkaGroupOffset& offset : offsets) {
    texts.push_back(std::move(offset.metadata));
  }
  absl::StatusOr<std::optional<FormerMarker>> marker = LastFormerMarker(texts);
  return marker.ok() ? marker : Annotate(marker.status(), absl::StrCat("group ", shard));
}

}  // namespace

absl::StatusOr<BatchId> ClaimFormerKafkaShard(const proto::Sink& sink, const SinkContext& context) {
  ASSIGN_OR_RETURN(const KafkaSinkSettings settings, ParseKafkaSinkSettings(sink));
  if (!settings.session.exactly_once) {
    return FormerlyWritten(std::nullopt, context, settings);
  }
  const absl::Time deadline = SteadyNow() + kClaimTimeout;
  const std::string topic = FormerMarkerTopic(settings);
  const KafkaProducerConfig config{.options = sink.options(),
                                   .settings = settings.session,
                                   .name = FormerShardName(context),
                                   .tables = {settings.table},
                                   .topics = {settings.topic},
                                   .log_topic = ""};
  ASSIGN_OR_RETURN(const std::unique_ptr<KafkaSinkProducer> producer,
                   OpenKafkaSinkProducer(config, deadline));
  RETURN_IF_ERROR(EnsureMarkerTopic(producer->client(), topic, deadline));
  ASSIGN_OR_RETURN(const std::optional<FormerMarker> found,
                   ReadMarker(producer->client(), topic, config.name, deadline));
  ASSIGN_OR_RETURN(const BatchId written, FormerlyWritten(found, context, settings));
  const auto offsets = MarkerOffsets(
      topic, {.incarnation = context.incarnation, .epoch = context.epoch, .batch = written});
  RETURN_IF_ERROR(producer->Begin());
  RETURN_IF_ERROR(producer->SendOffsets(config.name, offsets.get(), deadline));
  RETURN_IF_ERROR(producer->Commit(deadline));
  return written;
}

}  // namespace millrace::kafka
