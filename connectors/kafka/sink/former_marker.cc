#include "connectors/kafka/sink/former_marker.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/mutation.h"
#include "common/base/status.h"
#include "connectors/kafka/client/topic_limits.h"

namespace millrace::kafka {
namespace {

constexpr char kVersion[] = "1";
constexpr char kDefaultTopic[] = "millrace-markers";

bool ParseNumber(absl::string_view text, int64_t* number) {
  return absl::SimpleAtoi(text, number) && *number >= 0;
}

// "topic counts, shard 3 (marker: group millrace-…, topic millrace-markers)", with which every
// message begins.
std::string Place(const SinkContext& context, const KafkaSinkSettings& settings) {
  return absl::StrCat("topic ", settings.topic, ", shard ", context.shard, " (marker: group ",
                      FormerShardName(context), ", topic ", FormerMarkerTopic(settings), ")");
}

absl::Status CheckFound(const FormerMarker& found, const JournaledFormerMarker& journaled,
                        const SinkContext& context, const KafkaSinkSettings& settings) {
  if (found.incarnation != context.incarnation) {
    return absl::FailedPreconditionError(absl::StrCat(
        Place(context, settings), ": the marker is of incarnation ", found.incarnation,
        ", and this job is ", context.incarnation,
        "; does another cluster or a copied checkpoint directory use the same names?"));
  }
  if (found.epoch > context.epoch && !IsMutation("fencing")) {
    return absl::AbortedError(absl::StrCat(Place(context, settings),
                                           ": a higher epoch has claimed it, ", found.epoch.value(),
                                           "; epoch ", context.epoch.value(), " gives up"));
  }
  if (found.batch > std::max(context.planned_batch, journaled.batch)) {
    return absl::FailedPreconditionError(absl::StrCat(
        Place(context, settings), ": batch ", found.batch.value(),
        " is out, but the journal has planned no further than ", context.planned_batch.value(),
        "; the checkpoint directory is an old copy. Going on would write batches twice: use the "
        "directory the job last ran with, or submit the job anew"));
  }
  if (journaled.epoch.has_value() &&
      (found.epoch < *journaled.epoch || found.batch < journaled.batch)) {
    return absl::FailedPreconditionError(absl::StrCat(
        Place(context, settings), ": the marker is ", found.epoch.value(), ":", found.batch.value(),
        ", but ", context.marker,
        " had been committed; the Kafka cluster has lost what it had acknowledged (was it restored "
        "from a copy?), and output of the batches between may be missing"));
  }
  return absl::OkStatus();
}

absl::StatusOr<BatchId> BatchWithoutMarker(const SinkContext& context,
                                           const KafkaSinkSettings& settings, BatchId known) {
  if (known >= context.planned_batch) {
    return known;
  }
  switch (settings.session.on_lost_marker) {
    case OnLostMarker::kWritten:
      return context.planned_batch;
    case OnLostMarker::kNotWritten:
      return known;
    case OnLostMarker::kFail:
      break;
  }
  return absl::FailedPreconditionError(absl::StrCat(
      Place(context, settings), ": the broker has expired the shard's marker (see its ",
      "offsets.retention.minutes), so nobody can know whether batches ", known.Next().value(),
      " to ", context.planned_batch.value(),
      " are out. Look whether their rows are in the topic, and submit the job again with the "
      "option on_lost_marker of table ",
      settings.table,
      ": 'written' leaves these batches out (rows that are not there are lost), 'not_written' "
      "writes them (rows that are there are there twice)"));
}

}  // namespace

std::string FormerMarkerTopic(const KafkaSinkSettings& settings) {
  return settings.session.marker_topic.empty() ? kDefaultTopic : settings.session.marker_topic;
}

std::string FormatFormerMarker(const FormerMarker& marker) {
  return absl::StrCat(kVersion, ":", marker.incarnation, ":", marker.epoch.value(), ":",
                      marker.batch.value());
}

std::array<int32_t, kFormerMarkerDigits> FormerMarkerPartitions(Epoch epoch) {
  constexpr int32_t kBase = kFormerMarkerPartitions / kFormerMarkerDigits;
  std::array<int32_t, kFormerMarkerDigits> partitions;
  int64_t rest = epoch.value();
  for (int32_t digit = 0; digit < kFormerMarkerDigits; ++digit) {
    partitions[digit] = digit * kBase + static_cast<int32_t>(rest % kBase);
    rest /= kBase;
  }
  return partitions;
}

absl::StatusOr<std::optional<FormerMarker>> LastFormerMarker(
    const std::vector<std::string>& texts) {
  std::optional<FormerMarker> last;
  for (const std::string& text : texts) {
    ASSIGN_OR_RETURN(FormerMarker marker, ParseFormerMarker(text));
    if (!last.has_value() || marker.epoch > last->epoch) {
      last = std::move(marker);
    }
  }
  return last;
}

absl::StatusOr<FormerMarker> ParseFormerMarker(std::string_view text) {
  std::vector<absl::string_view> parts = absl::StrSplit(ToAbsl(text), ':');
  int64_t epoch = 0;
  int64_t batch = 0;
  if (parts.size() != 4 || parts[0] != kVersion || !ParseNumber(parts[2], &epoch) ||
      !ParseNumber(parts[3], &batch)) {
    return absl::DataLossError(absl::StrCat("\"", ToAbsl(text), "\" is no marker of version ",
                                            kVersion, ", 1:<incarnation>:<epoch>:<batch>"));
  }
  return FormerMarker{std::string(parts[1]), Epoch(epoch), BatchId(batch)};
}

absl::StatusOr<JournaledFormerMarker> ParseJournaledFormerMarker(const SinkContext& context) {
  JournaledFormerMarker marker;
  if (context.marker.empty()) {
    return marker;
  }
  std::vector<absl::string_view> parts = absl::StrSplit(context.marker, absl::MaxSplits(':', 2));
  int64_t epoch = 0;
  int64_t batch = 0;
  if (!ParseNumber(parts.size() == 1 ? parts[0] : parts[1], &batch) ||
      (parts.size() > 1 && !ParseNumber(parts[0], &epoch))) {
    return absl::DataLossError(absl::StrCat(
        "the journal's marker \"", context.marker, "\" of sink ", context.sink, " shard ",
        context.shard, " is no marker of a Kafka sink, <epoch>:<batch>:<limits>"));
  }
  marker.batch = BatchId(batch);
  if (parts.size() > 1) {
    marker.epoch = Epoch(epoch);
  }
  if (parts.size() > 2) {
    RETURN_IF_ERROR(ParseKafkaTopicLimits(ToStd(parts[2])).status());
  }
  return marker;
}

std::string FormerShardName(const SinkContext& context) {
  return absl::StrCat("millrace-", context.incarnation, "-", context.sink, "-", context.shard);
}

absl::StatusOr<BatchId> FormerlyWritten(const std::optional<FormerMarker>& found,
                                        const SinkContext& context,
                                        const KafkaSinkSettings& settings) {
  ASSIGN_OR_RETURN(JournaledFormerMarker journaled, ParseJournaledFormerMarker(context));
  // A shard without rows writes no marker, so the journal may know of later batches than the
  // marker.
  const BatchId known = std::max(context.committed_batch, journaled.batch);
  if (IsMutation("marker")) {
    return known;
  }
  if (found.has_value()) {
    RETURN_IF_ERROR(CheckFound(*found, journaled, context, settings));
    return std::max(found->batch, known);
  }
  // Claims are journaled before the first batch of their epoch can commit, so a shard that the
  // journal does not know has never written.
  const bool expired = settings.session.exactly_once && journaled.epoch.has_value();
  return expired ? BatchWithoutMarker(context, settings, known) : known;
}

}  // namespace millrace::kafka
