#include "connectors/kafka/sink/session_mark.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/mutation.h"
#include "common/base/status.h"

namespace millrace::kafka {
namespace {

constexpr int64_t kVersion = 1;  // of the values' form
constexpr char kOut[] = "out";
constexpr char kClaim[] = "claim/";

// The numbers of "12:3:…", if there are as many as `numbers` has room for and none is negative.
template <size_t n>
bool ParseNumbers(absl::string_view text, std::array<int64_t, n>* numbers) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, ':');
  if (parts.size() != n) {
    return false;
  }
  for (size_t i = 0; i < n; ++i) {
    if (!absl::SimpleAtoi(parts[i], &(*numbers)[i]) || (*numbers)[i] < 0) {
      return false;
    }
  }
  return true;
}

std::string KeyPrefix(const SinkContext& context) {
  return absl::StrCat(context.incarnation, "/", context.sink, "/", context.slot, "/");
}

std::string MarkText(const WrittenMark& mark) {
  return absl::StrCat(mark.epoch.value(), ":", mark.batch.value());
}

// "tables a, b, slot 3 (marks: topic millrace-…, partition 1, keys …)", with which messages begin.
std::string Place(const SinkContext& context, const KafkaPlaceWords& words) {
  return absl::StrCat(words.tables.size() == 1 ? "table " : "tables ",
                      absl::StrJoin(words.tables, ", "), ", slot ", context.slot, " (marks: topic ",
                      words.log_topic, ", partition ", words.partition, ", keys ",
                      KeyPrefix(context), "…)");
}

// The mark of a place whose log lacks what the journal knows. Its last words are not to be had, and
// matter if a batch is in doubt.
absl::StatusOr<WrittenMark> LostMark(const JournaledMark& journaled, const SinkContext& context,
                                     OnLostMarker on_lost, const KafkaPlaceWords& words) {
  // What an epoch before the one that claimed last has written says nothing of what that one has.
  const BatchId known = journaled.written.epoch == journaled.claimed
                            ? std::max(context.committed_batch, journaled.written.batch)
                            : context.committed_batch;
  if (known >= context.planned_batch) {
    return journaled.written;
  }
  switch (on_lost) {
    case OnLostMarker::kWritten:
      return WrittenMark{.epoch = journaled.claimed, .batch = context.planned_batch};
    case OnLostMarker::kNotWritten:
      return journaled.written;
    case OnLostMarker::kFail:
      break;
  }
  return absl::FailedPreconditionError(absl::StrCat(
      Place(context, words), ": the log of marks has lost offset ", journaled.offset,
      ", which the journal knows (was the topic deleted, made anew, or not compacted but cut?), so "
      "nobody can know whether batches ",
      known.Next().value(), " to ", context.planned_batch.value(),
      " are out. Look whether their rows are in the topic, and submit the job again with the "
      "option on_lost_marker of ",
      words.tables.size() == 1 ? "table " : "each of the tables ",
      absl::StrJoin(words.tables, ", "),
      ": 'written' leaves these batches out (rows that are not there are lost), 'not_written' "
      "writes them (rows that are there are there twice)"));
}

absl::Status CheckClaimed(const PlaceHistory& found, const SinkContext& context,
                          const KafkaPlaceWords& words) {
  const Epoch highest =
      std::max(found.claimed(), found.out().has_value() ? found.out()->epoch : Epoch());
  return highest > context.epoch && !IsMutation("fencing")
             ? ClaimedByHigherEpoch(highest, context, words)
             : absl::OkStatus();
}

}  // namespace

std::string KafkaPlaceName(const SinkContext& context) {
  return absl::StrCat("millrace-", context.incarnation, "-g", context.sink, "-s", context.slot);
}

std::string DefaultKafkaMarkLog(std::string_view job_name) {
  constexpr size_t kMaxTopicName = 249;
  std::string topic = "millrace-marks-";
  for (const char c : job_name) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-') {
      topic += c;
    } else {
      absl::StrAppend(&topic, "_", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    }
  }
  topic.resize(std::min(topic.size(), kMaxTopicName));
  return topic;
}

KafkaMarkRecord ClaimRecord(const SinkContext& context, std::string_view id) {
  return {.key = absl::StrCat(KeyPrefix(context), kClaim, context.epoch.value(), "/", ToAbsl(id)),
          .value = absl::StrCat(kVersion, ":", context.epoch.value())};
}

KafkaMarkRecord OutRecord(const SinkContext& context, const WrittenMark& mark) {
  return {.key = absl::StrCat(KeyPrefix(context), kOut),
          .value = absl::StrCat(kVersion, ":", MarkText(mark))};
}

std::string FormatJournaledMark(const JournaledMark& mark) {
  return absl::StrCat(MarkText(mark.written), ":", mark.partition, ":", mark.offset, ":",
                      mark.claimed.value());
}

absl::StatusOr<std::optional<JournaledMark>> ParseJournaledMark(const SinkContext& context) {
  if (context.marker.empty()) {
    return std::nullopt;
  }
  std::array<int64_t, 5> numbers;
  if (!ParseNumbers(context.marker, &numbers) || numbers[2] > INT32_MAX) {
    return absl::DataLossError(absl::StrCat(
        "the journal's marker \"", context.marker, "\" of slot ", context.slot,
        " of the sinks that sink ", context.sink,
        " leads is none of a Kafka sink, <written>:<batch>:<partition>:<offset>:<claimed>"));
  }
  return JournaledMark{.written = {.epoch = Epoch(numbers[0]), .batch = BatchId(numbers[1])},
                       .partition = static_cast<int32_t>(numbers[2]),
                       .offset = numbers[3],
                       .claimed = Epoch(numbers[4])};
}

absl::StatusOr<std::optional<KafkaTopicLimits>> ParseKafkaSinkTerms(std::string_view terms) {
  const absl::string_view text = ToAbsl(terms);
  std::array<int64_t, 1> batch;
  std::array<int64_t, 2> epoch_and_batch;
  if (text.empty() || ParseNumbers(text, &batch) || ParseNumbers(text, &epoch_and_batch)) {
    return std::nullopt;
  }
  const std::vector<absl::string_view> parts = absl::StrSplit(text, absl::MaxSplits(':', 2));
  const bool is_marker = std::count(text.begin(), text.end(), ':') == 4 &&
                         ParseNumbers(absl::StrCat(parts[0], ":", parts[1]), &epoch_and_batch);
  return ParseKafkaTopicLimits(is_marker ? ToStd(parts[2]) : terms);
}

PlaceHistory::PlaceHistory(const SinkContext& context, std::optional<KnownRecord> known)
    : prefix_(KeyPrefix(context)), known_(known) {}

absl::Status PlaceHistory::Add(int64_t offset, std::string_view key,
                               std::optional<std::string_view> value) {
  absl::string_view rest = ToAbsl(key);
  if (!absl::ConsumePrefix(&rest, prefix_)) {
    return absl::OkStatus();
  }
  const absl::string_view text = ToAbsl(value.value_or(""));
  std::array<int64_t, 2> claim;
  std::array<int64_t, 3> out;
  const bool is_out = rest == kOut && ParseNumbers(text, &out) && out[0] == kVersion;
  const bool is_claim =
      absl::StartsWith(rest, kClaim) && ParseNumbers(text, &claim) && claim[0] == kVersion;
  if (is_out) {
    out_ = {.epoch = Epoch(out[1]), .batch = BatchId(out[2])};
  } else if (is_claim) {
    claimed_ = std::max(claimed_, Epoch(claim[1]));
  }
  if (is_out || is_claim) {
    const Epoch epoch(is_out ? out[1] : claim[1]);
    has_known_ =
        has_known_ || (known_.has_value() && offset == known_->offset && epoch == known_->epoch);
    return absl::OkStatus();
  }
  return absl::DataLossError(absl::StrCat("the log of marks has at offset ", offset, ", key \"",
                                          ToAbsl(key), "\", the value \"", text,
                                          "\", which is no mark of version ", kVersion));
}

absl::StatusOr<WrittenMark> ClaimedMark(const PlaceHistory& found,
                                        const std::optional<JournaledMark>& journaled,
                                        const SinkContext& context, OnLostMarker on_lost,
                                        const KafkaPlaceWords& words) {
  const WrittenMark known = journaled.has_value() ? journaled->written : WrittenMark();
  if (IsMutation("marker")) {
    return known;
  }
  RETURN_IF_ERROR(CheckClaimed(found, context, words));
  if (!found.out().has_value()) {
    // Claims are journaled before the first batch of their epoch can commit, so nothing has been
    // written in a place that the journal does not know.
    return !journaled.has_value() || found.has_known()
               ? known
               : LostMark(*journaled, context, on_lost, words);
  }
  const WrittenMark& out = *found.out();
  if (out.batch > std::max(context.planned_batch, known.batch)) {
    return absl::FailedPreconditionError(absl::StrCat(
        Place(context, words), ": batch ", out.batch.value(),
        " is out, but the journal has planned no further than ", context.planned_batch.value(),
        "; the checkpoint directory is an old copy. Going on would write batches twice: use the "
        "directory the job last ran with, or submit the job anew"));
  }
  if (out < known) {
    return absl::FailedPreconditionError(absl::StrCat(
        Place(context, words), ": the mark is ", MarkText(out), ", but ", MarkText(known),
        " had been committed; the Kafka cluster has lost what it had acknowledged (was it restored "
        "from a copy?), and output of the batches between may be missing"));
  }
  return out;
}

absl::StatusOr<WrittenMark> ResolvedMark(const PlaceHistory& found, const WrittenMark& last,
                                         const SinkContext& context, const KafkaPlaceWords& words) {
  RETURN_IF_ERROR(CheckClaimed(found, context, words));
  const bool has_more = found.out().has_value() && *found.out() >= last;
  if (!has_more && (found.out().has_value() || !found.has_known())) {
    return absl::AbortedError(
        absl::StrCat(Place(context, words),
                     ": the mark of this epoch is gone; the place must be claimed again"));
  }
  return has_more ? *found.out() : last;
}

absl::Status ClaimedByHigherEpoch(Epoch higher, const SinkContext& context,
                                  const KafkaPlaceWords& words) {
  return absl::AbortedError(absl::StrCat(Place(context, words), ": a higher epoch has claimed it, ",
                                         higher.value(), "; epoch ", context.epoch.value(),
                                         " gives up"));
}

}  // namespace millrace::kafka
