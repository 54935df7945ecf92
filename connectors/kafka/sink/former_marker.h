// The marker of a shard, as versions before sessions have left it: the last committed batch,
// written in one transaction with the batch. It is the metadata of an offset (always 0) that the
// shard's own consumer group has committed for three partitions of an empty topic; the epoch
// decides which three. A claim reads all partitions, and the marker of the highest epoch counts.
// Pure functions.
#ifndef MILLRACE_CONNECTORS_KAFKA_SINK_FORMER_MARKER_H_
#define MILLRACE_CONNECTORS_KAFKA_SINK_FORMER_MARKER_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/ids.h"
#include "connectors/kafka/sink/sink_settings.h"
#include "connectors/sink.h"

namespace millrace::kafka {

// "millrace-markers", unless the option marker_topic names another.
std::string FormerMarkerTopic(const KafkaSinkSettings& settings);

struct FormerMarker {
  std::string incarnation;
  Epoch epoch;
  BatchId batch;

  friend bool operator==(const FormerMarker&, const FormerMarker&) = default;
};

// The number of partitions of the marker topic, and the partitions of an epoch. A broker up to
// Kafka 3.9 that refuses the marker of a fenced producer also forgets what the producer's successor
// has just sent for the same partitions. So an epoch has one partition for each of its last three
// digits to the base 16. Two epochs share all three only if they are 4,096 apart, or a multiple;
// otherwise at least one marker survives.
inline constexpr int32_t kFormerMarkerDigits = 3;
inline constexpr int32_t kFormerMarkerPartitions = 16 * kFormerMarkerDigits;
std::array<int32_t, kFormerMarkerDigits> FormerMarkerPartitions(Epoch epoch);

// The marker of the highest epoch; none if there are none. DATA_LOSS as in ParseFormerMarker.
absl::StatusOr<std::optional<FormerMarker>> LastFormerMarker(const std::vector<std::string>& texts);

// "1:<incarnation>:<epoch>:<batch>"; the first number is the version of the form. DATA_LOSS for
// text that is no marker, or one of an unknown version.
std::string FormatFormerMarker(const FormerMarker& marker);
absl::StatusOr<FormerMarker> ParseFormerMarker(std::string_view text);

// What the driver has journaled: "<epoch>:<batch>:<limits of the topic>", or without limits; only
// "<batch>" for a shard that wrote at least once and has no marker outside. DATA_LOSS for other
// text.
struct JournaledFormerMarker {
  std::optional<Epoch> epoch;
  BatchId batch;
};
absl::StatusOr<JournaledFormerMarker> ParseJournaledFormerMarker(const SinkContext& context);

// The transactional id and the group of a shard.
std::string FormerShardName(const SinkContext& context);

// The batch up to which a shard is written, by the markers of the broker and the journal. ABORTED:
// a higher epoch has claimed the shard. FAILED_PRECONDITION: the two markers cannot belong to one
// job's life, or nobody can know whether some batches were committed; the message says what to do.
absl::StatusOr<BatchId> FormerlyWritten(const std::optional<FormerMarker>& found,
                                        const SinkContext& context,
                                        const KafkaSinkSettings& settings);

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_SINK_FORMER_MARKER_H_
