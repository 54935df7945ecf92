#include "connectors/kafka/sink/place_claim.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/failpoint.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/base/uuid.h"
#include "connectors/kafka/sink/mark_log.h"

namespace millrace::kafka {
namespace {

// How long a step may take before it is tried with a new producer, or given up.
constexpr absl::Duration kClaimPatience = absl::Seconds(10);
constexpr absl::Duration kOpenPause = absl::Milliseconds(100);
constexpr absl::Duration kLookTimeout = absl::Seconds(5);
// The pause grows beyond what a claim takes, so that of two that fence each other by turns one gets
// through.
constexpr absl::Duration kFirstPause = absl::Milliseconds(10);
constexpr absl::Duration kLongestPause = absl::Milliseconds(500);

std::optional<int64_t> From(const KafkaPlace& place) {
  return place.known.has_value() ? std::make_optional(place.known->offset) : std::nullopt;
}

// Step 2. Returns the offset of the claim's record.
absl::StatusOr<int64_t> CommitClaim(const KafkaPlace& place, KafkaSinkProducer* producer,
                                    absl::Time deadline) {
  RETURN_IF_ERROR(producer->Begin());
  RETURN_IF_ERROR(
      producer->ProduceMark(ClaimRecord(place.context, NewUuid()), place.partition, deadline));
  RETURN_IF_ERROR(producer->Flush(deadline));
  MILLRACE_FAILPOINT("kafka_sink.before_claimed");
  RETURN_IF_ERROR(producer->Commit(deadline));
  MILLRACE_FAILPOINT("kafka_sink.claimed");
  if (!producer->mark_offset().has_value()) {
    return absl::UnavailableError(absl::StrCat(
        "topic ", place.log_topic, ": the broker did not tell where it has put the claim"));
  }
  return *producer->mark_offset();
}

}  // namespace

absl::StatusOr<std::unique_ptr<KafkaSinkProducer>> OpenKafkaSinkProducer(
    const KafkaProducerConfig& config, absl::Time deadline) {
  while (true) {
    ASSIGN_OR_RETURN(std::unique_ptr<KafkaSinkProducer> producer,
                     KafkaSinkProducer::Create(config));
    const absl::Status opened = producer->Init(std::min(deadline, SteadyNow() + kClaimPatience));
    if (opened.ok()) {
      return producer;
    }
    if (!absl::IsUnavailable(opened) || SteadyNow() + kOpenPause >= deadline) {
      return opened;
    }
    absl::SleepFor(kOpenPause);
  }
}

absl::StatusOr<ClaimedPlace> ClaimOnce(const KafkaPlace& place,
                                       const std::shared_ptr<KafkaClient>& client,
                                       KafkaSinkProducer* producer, absl::Time deadline) {
  const absl::Time until = std::min(deadline, SteadyNow() + kClaimPatience);
  // Reads what is there already while the claim is on its way.
  ASSIGN_OR_RETURN(std::unique_ptr<MarkLogReader> reader,
                   MarkLogReader::Create(client, place.log_topic, place.partition, From(place)));
  ASSIGN_OR_RETURN(const int64_t offset, CommitClaim(place, producer, until));
  const bool is_another_log = place.known.has_value() && offset <= place.known->offset;
  if (is_another_log) {
    reader.reset();
    ASSIGN_OR_RETURN(reader,
                     MarkLogReader::Create(client, place.log_topic, place.partition, std::nullopt));
  }
  ClaimedPlace claimed{
      .found = PlaceHistory(place.context, is_another_log ? std::nullopt : place.known),
      .offset = offset};
  RETURN_IF_ERROR(reader->ReadTo(offset, until, &claimed.found));
  return claimed;
}

absl::StatusOr<OwnedPlace> ClaimPlace(const KafkaPlace& place, const KafkaProducerConfig& config,
                                      const std::shared_ptr<KafkaClient>& client,
                                      std::unique_ptr<KafkaSinkProducer> producer,
                                      absl::Time deadline) {
  absl::Duration pause = kFirstPause;
  while (true) {
    absl::StatusOr<ClaimedPlace> claimed = ClaimOnce(place, client, producer.get(), deadline);
    if (claimed.ok()) {
      return OwnedPlace{.producer = std::move(producer), .claimed = *std::move(claimed)};
    }
    const bool fenced = producer->health() == KafkaSinkProducer::Health::kFenced;
    if (!fenced && !absl::IsUnavailable(claimed.status())) {
      return claimed.status();
    }
    const absl::Status why =
        fenced ? WhoHasFenced(place, client, claimed.status()) : claimed.status();
    if (why != claimed.status() || SteadyNow() + pause >= deadline) {
      return why;
    }
    absl::SleepFor(pause);
    pause = std::min(2 * pause, kLongestPause);
    producer.reset();
    ASSIGN_OR_RETURN(producer, OpenKafkaSinkProducer(config, deadline));
  }
}

absl::Status WhoHasFenced(const KafkaPlace& place, const std::shared_ptr<KafkaClient>& client,
                          const absl::Status& fenced) {
  auto reader = MarkLogReader::Create(client, place.log_topic, place.partition, From(place));
  PlaceHistory found(place.context, place.known);
  if (!reader.ok() || !(*reader)->ReadToEnd(SteadyNow() + kLookTimeout, &found).ok() ||
      found.claimed() <= place.context.epoch) {
    return fenced;
  }
  return ClaimedByHigherEpoch(found.claimed(), place.context, place.words);
}

}  // namespace millrace::kafka
