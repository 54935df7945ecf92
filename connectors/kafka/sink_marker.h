// The marker of a Kafka sink shard: the last batch that is out, written in one transaction with the
// batch. It is the metadata of an offset, always 0, that a consumer group of the shard's own has
// committed for three partitions of an empty topic, which ones depends on the epoch. Of the markers
// of all partitions the highest counts. docs/exactly-once.md §3 is the protocol.
#ifndef MILLRACE_CONNECTORS_KAFKA_SINK_MARKER_H_
#define MILLRACE_CONNECTORS_KAFKA_SINK_MARKER_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/ids.h"
#include "connectors/kafka/sink_settings.h"
#include "connectors/kafka/topic_limits.h"
#include "connectors/sink.h"

namespace millrace {

struct KafkaSinkMarker {
  std::string incarnation;
  Epoch epoch;
  BatchId batch;

  friend bool operator==(const KafkaSinkMarker&, const KafkaSinkMarker&) = default;
};

// How many partitions the topic of the markers has, and those of an epoch. A broker up to Kafka 3.9
// that refuses the marker of a fenced producer forgets what its successor has just sent for the
// same partitions. So an epoch has one for each of its last three digits to the base 16: epochs
// that share all are 4,096 apart or a multiple, and what any other takes along leaves one.
constexpr int32_t kKafkaMarkerDigits = 3;
constexpr int32_t kKafkaMarkerPartitions = 16 * kKafkaMarkerDigits;
std::array<int32_t, kKafkaMarkerDigits> KafkaMarkerPartitions(Epoch epoch);

// The highest epoch's; none of none. DATA_LOSS as ParseKafkaSinkMarker.
absl::StatusOr<std::optional<KafkaSinkMarker>> LastKafkaSinkMarker(
    const std::vector<std::string>& texts);

// "1:<incarnation>:<epoch>:<batch>", the first number being the version of the form. DATA_LOSS for
// text that is no marker, or one of a version that is not known.
std::string FormatKafkaSinkMarker(const KafkaSinkMarker& marker);
absl::StatusOr<KafkaSinkMarker> ParseKafkaSinkMarker(std::string_view text);

// What the driver journals of it: "<epoch>:<batch>:<limits of the topic>"; "<batch>" of a shard
// that writes at least once and has no marker outside. DATA_LOSS for anything else.
struct JournaledKafkaMarker {
  std::optional<Epoch> epoch;
  BatchId batch;
  // That the epoch judges records by; earlier engines have not written them. Of no meaning without
  // an epoch.
  std::optional<KafkaTopicLimits> limits = std::nullopt;
};
std::string FormatJournaledKafkaMarker(const JournaledKafkaMarker& marker);
absl::StatusOr<JournaledKafkaMarker> ParseJournaledKafkaMarker(const SinkContext& context);

// The transactional id and the group of a shard.
std::string KafkaSinkShardName(const SinkContext& context);

// The batch that a claim begins after, from what the broker and the journal know: all of it is out,
// and nothing later. ABORTED: a higher epoch has claimed the shard. FAILED_PRECONDITION: the two
// cannot be of one job's life, or nobody can know whether batches in doubt are out; the message
// says what to do.
absl::StatusOr<BatchId> ClaimedBatch(const std::optional<KafkaSinkMarker>& found,
                                     const SinkContext& context, const KafkaSinkSettings& settings);

// The limits that an epoch must judge records by when it begins after `claimed`: the last one's, if
// a batch will run again here of which this shard's part is out already. Were other rows refused
// now, what is set aside would not be what was left out. None: those that the topic has now.
std::optional<KafkaTopicLimits> LimitsInDoubt(const SinkContext& context, BatchId claimed);

// ABORTED, and who has claimed what.
absl::Status ClaimedByHigherEpoch(const KafkaSinkMarker& found, const SinkContext& context,
                                  const KafkaSinkSettings& settings);

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_KAFKA_SINK_MARKER_H_
