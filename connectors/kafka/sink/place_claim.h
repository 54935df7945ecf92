// Claims a place in the log of marks: (1) a new producer fences all others of the place and ends
// what they left open, (2) it commits a transaction that has nothing but a record of the claim, (3)
// the log is read up to that record. If (2) commits, nobody has fenced this producer since (1), and
// who does so later writes its claim behind ours and reads up to it. So of two that claim, the one
// of the lower epoch always learns of the other, and what (3) finds is all that lower epochs will
// ever have written in the place. docs/exactly-once.md §3.
#ifndef MILLRACE_CONNECTORS_KAFKA_SINK_PLACE_CLAIM_H_
#define MILLRACE_CONNECTORS_KAFKA_SINK_PLACE_CLAIM_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "connectors/kafka/sink/session_mark.h"
#include "connectors/kafka/sink/sink_producer.h"
#include "connectors/sink.h"

namespace millrace::kafka {

// Step 1. Replaces a producer that makes no progress, as may happen to one that was made while the
// broker started.
absl::StatusOr<std::unique_ptr<KafkaSinkProducer>> OpenKafkaSinkProducer(
    const KafkaProducerConfig& config, absl::Time deadline);

// A place as its log has it.
struct KafkaPlace {
  SinkContext context;
  std::string log_topic;
  int32_t partition = 0;             // of the log
  std::optional<KnownRecord> known;  // from which to read on
  KafkaPlaceWords words;
};

struct ClaimedPlace {
  PlaceHistory found;
  int64_t offset = 0;  // of the claim's record
};

// Steps 2 and 3, once. `producer` comes from step 1 and `client` from NewMarkLogClient.
// UNAVAILABLE: the claim was not answered, or what it has written not read, in time. `producer`
// says whether it was fenced.
absl::StatusOr<ClaimedPlace> ClaimOnce(const KafkaPlace& place,
                                       const std::shared_ptr<KafkaClient>& client,
                                       KafkaSinkProducer* producer, absl::Time deadline);

struct OwnedPlace {
  std::unique_ptr<KafkaSinkProducer> producer;
  ClaimedPlace claimed;
};

// All steps, again from the first where ClaimOnce was fenced or not answered, until the deadline.
// Gives up with ABORTED where it was a higher epoch that has fenced it, without taking the place
// from that one. `producer` has taken the first step.
absl::StatusOr<OwnedPlace> ClaimPlace(const KafkaPlace& place, const KafkaProducerConfig& config,
                                      const std::shared_ptr<KafkaClient>& client,
                                      std::unique_ptr<KafkaSinkProducer> producer,
                                      absl::Time deadline);

// Why a producer was fenced: the error that names the higher epoch that has claimed the place, if
// one has, and `fenced` otherwise.
absl::Status WhoHasFenced(const KafkaPlace& place, const std::shared_ptr<KafkaClient>& client,
                          const absl::Status& fenced);

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_SINK_PLACE_CLAIM_H_
