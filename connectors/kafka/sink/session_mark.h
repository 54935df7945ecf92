// The mark of a session: which epoch has last written through a place, a slot of a group of sinks,
// and up to which batch. A session writes it to the job's log of marks, in one transaction with the
// rows that it is about; a claim reads it there. Pure functions. docs/exactly-once.md §3 is the
// protocol.
//
// A record of the log is about one place, which its key names, so that a compacted topic keeps
//   <incarnation>/<group>/<slot>/out            the last "epoch e has written all batches up to b"
//   <incarnation>/<group>/<slot>/claim/<epoch>/<id>  that the epoch has claimed the place
// Each claim has a key of its own: with one key for all, compaction could keep the claim of a
// zombie and drop that of the epoch it must give way to; with one for each epoch it could drop a
// record that the journal knows, and the log would seem to be another one.
#ifndef MILLRACE_CONNECTORS_KAFKA_SINK_SESSION_MARK_H_
#define MILLRACE_CONNECTORS_KAFKA_SINK_SESSION_MARK_H_

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/ids.h"
#include "connectors/kafka/client/topic_limits.h"
#include "connectors/kafka/sink/sink_settings.h"
#include "connectors/sink.h"

namespace millrace::kafka {

// "millrace-<incarnation>-g<group>-s<slot>": the transactional id, which is the lock of the place.
std::string KafkaPlaceName(const SinkContext& context);

// "millrace-marks-<job>": the log of marks, unless the option marker_topic names another topic.
// What no topic's name may have is escaped in the job's. Jobs that get the same name share the log,
// whose keys tell them apart.
std::string DefaultKafkaMarkLog(std::string_view job_name);

// All batches up to `batch` that had rows in the place are out, and `epoch` was the last to write.
// The later epoch has the later mark; its batch may be a lower one, since it may have begun with a
// batch that the epoch before wrote here and others did not.
struct WrittenMark {
  Epoch epoch;    // 0 = nobody has written
  BatchId batch;  // 0 = none

  friend auto operator<=>(const WrittenMark&, const WrittenMark&) = default;
};

// A record to write to the log.
struct KafkaMarkRecord {
  std::string key;
  std::string value;
};
// By context.epoch; `id` is another one for each claim.
KafkaMarkRecord ClaimRecord(const SinkContext& context, std::string_view id);
KafkaMarkRecord OutRecord(const SinkContext& context, const WrittenMark& mark);

// What the driver journals of a place, "<written>:<batch>:<partition>:<offset>:<claimed>".
struct JournaledMark {
  WrittenMark written;
  int32_t partition = 0;  // of the log
  // A record of this place, by the session that says all this. What `written` says is there or
  // before it, and later records say what is newer.
  int64_t offset = 0;
  Epoch claimed;  // the epoch of that session

  friend bool operator==(const JournaledMark&, const JournaledMark&) = default;
};
std::string FormatJournaledMark(const JournaledMark& mark);
// None for "". DATA_LOSS for other text.
absl::StatusOr<std::optional<JournaledMark>> ParseJournaledMark(const SinkContext& context);

// The limits of a topic in what a session says of its terms (SinkSession::Terms),
// FormatKafkaTopicLimits, or in the marker that versions before sessions have journaled,
// "<epoch>:<batch>:<limits>". None in a marker, or terms, without limits. DATA_LOSS for other text.
absl::StatusOr<std::optional<KafkaTopicLimits>> ParseKafkaSinkTerms(std::string_view terms);

// A record of a place that was in the log once.
struct KnownRecord {
  int64_t offset = 0;
  Epoch epoch;  // whose session has written it; a log that was made anew has none of that epoch
};

// What the log says of a place. Records of other places are skipped. Thread-compatible.
class PlaceHistory {
 public:
  PlaceHistory(const SinkContext& context, std::optional<KnownRecord> known);

  // Takes the next record. DATA_LOSS: it is about this place and cannot be understood.
  absl::Status Add(int64_t offset, std::string_view key, std::optional<std::string_view> value);

  // The last `out`, and the highest epoch that has claimed the place; 0 = none.
  const std::optional<WrittenMark>& out() const { return out_; }
  Epoch claimed() const { return claimed_; }
  // Whether the known record is there; false if none is known.
  bool has_known() const { return has_known_; }

 private:
  const std::string prefix_;  // of this place's keys
  const std::optional<KnownRecord> known_;
  std::optional<WrittenMark> out_;
  Epoch claimed_;
  bool has_known_ = false;
};

// How messages name a place, its tables and its log.
struct KafkaPlaceWords {
  std::vector<std::string> tables;
  std::string log_topic;
  int32_t partition = 0;
};

// What a claim has found, by the log and the journal: where a session begins. A log that was
// deleted, made anew or cut lacks the record that the journal knows; that matters only if a batch
// is in doubt. ABORTED: a higher epoch has claimed the place. FAILED_PRECONDITION: log and journal
// cannot belong to one job's life, or nobody can know whether some batches are out; the message
// says what to do.
absl::StatusOr<WrittenMark> ClaimedMark(const PlaceHistory& found,
                                        const std::optional<JournaledMark>& journaled,
                                        const SinkContext& context, OnLostMarker on_lost,
                                        const KafkaPlaceWords& words);

// What has become of a transaction of this epoch whose commit was not answered, when the place has
// been claimed again with the same epoch: the mark that the log has. `last`: the mark that the
// session knows. ABORTED: a higher epoch has claimed the place, or the log lacks what this epoch
// has written there.
absl::StatusOr<WrittenMark> ResolvedMark(const PlaceHistory& found, const WrittenMark& last,
                                         const SinkContext& context, const KafkaPlaceWords& words);

// The ABORTED error that says which epoch has claimed the place.
absl::Status ClaimedByHigherEpoch(Epoch higher, const SinkContext& context,
                                  const KafkaPlaceWords& words);

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_SINK_SESSION_MARK_H_
