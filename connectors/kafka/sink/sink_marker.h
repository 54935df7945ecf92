// The marker of a Kafka sink shard: the last committed batch, written in one transaction with the
// batch. It is the metadata of an offset (always 0) that the shard's own consumer group commits for
// three partitions of an empty topic; the epoch decides which three. A claim reads all partitions,
// and the marker of the highest epoch counts. docs/exactly-once.md §3 is the protocol.
#ifndef MILLRACE_CONNECTORS_KAFKA_SINK_SINK_MARKER_H_
#define MILLRACE_CONNECTORS_KAFKA_SINK_SINK_MARKER_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/ids.h"
#include "connectors/kafka/client/topic_limits.h"
#include "connectors/kafka/sink/sink_settings.h"
#include "connectors/sink.h"

namespace millrace::kafka {

struct KafkaSinkMarker {
  std::string incarnation;
  Epoch epoch;
  BatchId batch;

  friend bool operator==(const KafkaSinkMarker&, const KafkaSinkMarker&) = default;
};

// The number of partitions of the marker topic, and the partitions of an epoch. A broker up to
// Kafka 3.9 that refuses the marker of a fenced producer also forgets what the producer's successor
// has just sent for the same partitions. So an epoch has one partition for each of its last three
// digits to the base 16. Two epochs share all three only if they are 4,096 apart, or a multiple;
// otherwise at least one marker survives.
constexpr int32_t kKafkaMarkerDigits = 3;
constexpr int32_t kKafkaMarkerPartitions = 16 * kKafkaMarkerDigits;
std::array<int32_t, kKafkaMarkerDigits> KafkaMarkerPartitions(Epoch epoch);

// The marker of the highest epoch; none if there are none. DATA_LOSS as in ParseKafkaSinkMarker.
absl::StatusOr<std::optional<KafkaSinkMarker>> LastKafkaSinkMarker(
    const std::vector<std::string>& texts);

// "1:<incarnation>:<epoch>:<batch>"; the first number is the version of the form. DATA_LOSS for
// text that is no marker, or one of an unknown version.
std::string FormatKafkaSinkMarker(const KafkaSinkMarker& marker);
absl::StatusOr<KafkaSinkMarker> ParseKafkaSinkMarker(std::string_view text);

// The form that the driver journals: "<epoch>:<batch>:<limits of the topic>"; only "<batch>" for a
// shard that writes at least once and has no marker outside. DATA_LOSS for other text.
struct JournaledKafkaMarker {
  std::optional<Epoch> epoch;
  BatchId batch;
  // The limits by which the epoch judges records; earlier versions did not write them. Without an
  // epoch they have no meaning.
  std::optional<KafkaTopicLimits> limits = std::nullopt;
};
std::string FormatJournaledKafkaMarker(const JournaledKafkaMarker& marker);
absl::StatusOr<JournaledKafkaMarker> ParseJournaledKafkaMarker(const SinkContext& context);

// The transactional id and the group of a shard.
std::string KafkaSinkShardName(const SinkContext& context);

// The batch after which a claim begins, by the markers of the broker and the journal: all batches
// up to it are committed, and no later one is. ABORTED: a higher epoch has claimed the shard.
// FAILED_PRECONDITION: the two markers cannot belong to one job's life, or nobody can know whether
// some batches were committed; the message says what to do.
absl::StatusOr<BatchId> ClaimedBatch(const std::optional<KafkaSinkMarker>& found,
                                     const SinkContext& context, const KafkaSinkSettings& settings);

// The limits by which an epoch that begins after `claimed` must judge records; none: the limits
// that the topic has now. They are those of the epoch before if a batch will run again whose part
// of this shard is committed already. Otherwise that batch might refuse other rows now than it did
// then, and the failed records that are set aside would not be the rows that were left out.
std::optional<KafkaTopicLimits> LimitsInDoubt(const SinkContext& context, BatchId claimed);

// The ABORTED error that says which epoch has claimed the shard.
absl::Status ClaimedByHigherEpoch(const KafkaSinkMarker& found, const SinkContext& context,
                                  const KafkaSinkSettings& settings);

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_SINK_SINK_MARKER_H_
