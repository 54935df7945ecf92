#include "connectors/kafka/sink/session_mark.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace millrace::kafka {
namespace {

const KafkaPlaceWords& Words() {
  static const auto& words = *new KafkaPlaceWords{
      .tables = {"counts", "sums"}, .log_topic = "millrace-me", .partition = 2};
  return words;
}

// The context of epoch 5, which finds `journaled` and knows batches up to `committed` and
// `planned`.
SinkContext Context(const std::string& journaled, int64_t committed, int64_t planned) {
  return {.incarnation = "me",
          .epoch = Epoch(5),
          .sink = 1,
          .slot = 3,
          .marker = journaled,
          .committed_batch = BatchId(committed),
          .planned_batch = BatchId(planned)};
}

WrittenMark Mark(int64_t epoch, int64_t batch) {
  return {.epoch = Epoch(epoch), .batch = BatchId(batch)};
}

// A record of the log, by what it says of the place.
struct LogRecord {
  int64_t offset = 0;
  std::string key;
  std::string value;
};
LogRecord Out(int64_t offset, int64_t epoch, int64_t batch) {
  return {offset, "me/1/3/out", absl::StrCat("1:", epoch, ":", batch)};
}
LogRecord ClaimOf(int64_t offset, int64_t epoch) {
  return {offset, absl::StrCat("me/1/3/claim/", epoch), absl::StrCat("1:", epoch)};
}

absl::StatusOr<PlaceHistory> HistoryOf(const std::vector<LogRecord>& records,
                                       std::optional<KnownRecord> known) {
  PlaceHistory history(Context("", 0, 0), known);
  for (const LogRecord& record : records) {
    if (absl::Status status = history.Add(record.offset, record.key, record.value); !status.ok()) {
      return status;
    }
  }
  return history;
}

TEST(SessionMark, PlacesHaveNamesOfTheirOwn) {
  EXPECT_EQ(KafkaPlaceName(Context("", 0, 0)), "millrace-me-g1-s3");
  EXPECT_EQ(DefaultKafkaMarkLog("counts.2-b"), "millrace-marks-counts.2-b");
  EXPECT_EQ(DefaultKafkaMarkLog("a b_ü"), "millrace-marks-a_20b_5f_c3_bc");
  EXPECT_EQ(DefaultKafkaMarkLog(std::string(200, ' ')).size(), 249u);
}

TEST(SessionMark, AHistoryReadsWhatSessionsWrite) {
  const SinkContext context = Context("", 0, 0);
  PlaceHistory history(context, KnownRecord{.offset = 8, .epoch = Epoch(5)});
  const KafkaMarkRecord claim = ClaimRecord(context, "a");
  EXPECT_EQ(claim.key, "me/1/3/claim/5/a");
  EXPECT_NE(ClaimRecord(context, "b").key, claim.key);
  const KafkaMarkRecord out = OutRecord(context, Mark(5, 42));
  EXPECT_EQ(out.key, "me/1/3/out");
  ASSERT_TRUE(history.Add(7, claim.key, claim.value).ok());
  EXPECT_EQ(history.claimed(), Epoch(5));
  EXPECT_FALSE(history.has_known());
  EXPECT_FALSE(history.out().has_value());
  ASSERT_TRUE(history.Add(8, out.key, out.value).ok());
  EXPECT_EQ(history.out(), Mark(5, 42));
  EXPECT_TRUE(history.has_known());
}

TEST(SessionMark, OtherPlacesAreNoneOfItsBusiness) {
  const auto history = HistoryOf({{1, "me/1/31/out", "1:9:9"},
                                  {2, "me/11/3/out", "1:9:9"},
                                  {3, "you/1/3/out", "1:9:9"},
                                  {4, "you/1/3/claim/9", "1:9"},
                                  {5, "", ""}},
                                 KnownRecord{.offset = 3, .epoch = Epoch(9)});
  ASSERT_TRUE(history.ok()) << history.status();
  EXPECT_FALSE(history->out().has_value());
  EXPECT_EQ(history->claimed(), Epoch());
  EXPECT_FALSE(history->has_known());
}

TEST(SessionMark, TheLastOutCountsAndTheHighestClaim) {
  const auto history =
      HistoryOf({ClaimOf(1, 4), Out(2, 4, 10), ClaimOf(3, 2), Out(4, 4, 11), Out(5, 5, 9)},
                KnownRecord{.offset = 2, .epoch = Epoch(4)});
  ASSERT_TRUE(history.ok()) << history.status();
  // A later epoch may begin with a batch that the one before wrote here and others did not.
  EXPECT_EQ(history->out(), Mark(5, 9));
  EXPECT_EQ(history->claimed(), Epoch(4));
  EXPECT_TRUE(history->has_known());
}

TEST(SessionMark, WhatCannotBeUnderstoodIsNotSkipped) {
  for (const LogRecord& record :
       {LogRecord{1, "me/1/3/out", "2:3:4"}, LogRecord{1, "me/1/3/out", "1:3"},
        LogRecord{1, "me/1/3/out", "1:3:x"}, LogRecord{1, "me/1/3/out", ""},
        LogRecord{1, "me/1/3/claim/3", "1:3:4"}, LogRecord{1, "me/1/3/claim/3", "1:-3"},
        LogRecord{1, "me/1/3/in", "1:3:4"}}) {
    EXPECT_EQ(HistoryOf({record}, std::nullopt).status().code(), absl::StatusCode::kDataLoss)
        << record.key << " " << record.value;
  }
  PlaceHistory history(Context("", 0, 0), std::nullopt);
  EXPECT_EQ(history.Add(1, "me/1/3/out", std::nullopt).code(), absl::StatusCode::kDataLoss);
}

TEST(SessionMark, TheJournalsSaysWhereItIs) {
  const JournaledMark mark{
      .written = Mark(3, 42), .partition = 2, .offset = 17, .claimed = Epoch(4)};
  EXPECT_EQ(FormatJournaledMark(mark), "3:42:2:17:4");
  const auto read = ParseJournaledMark(Context("3:42:2:17:4", 0, 0));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(**read, mark);
  EXPECT_FALSE(ParseJournaledMark(Context("", 0, 0))->has_value());
  for (const char* text :
       {"nonsense", "3:42", "3:42:2:17", "3:42:2:-1:4", "3:42:5000000000:17:4", "3:42:2:17:4:5"}) {
    EXPECT_EQ(ParseJournaledMark(Context(text, 0, 0)).status().code(), absl::StatusCode::kDataLoss)
        << text;
  }
}

TEST(SessionMark, TermsAreThoseOfTodayOrAFormerMarker) {
  const KafkaTopicLimits limits{.max_message_bytes = 1048588, .wants_key = true, .partitions = 12};
  EXPECT_EQ(**ParseKafkaSinkTerms(FormatKafkaTopicLimits(limits)), limits);
  EXPECT_EQ(**ParseKafkaSinkTerms("3:42:1048588:1:12"), limits);
  EXPECT_EQ(**ParseKafkaSinkTerms("-1:0:0"), KafkaTopicLimits());
  EXPECT_EQ(**ParseKafkaSinkTerms("3:42:-1:0:0"), KafkaTopicLimits());
  for (const char* without : {"", "42", "3:42"}) {
    const auto terms = ParseKafkaSinkTerms(without);
    ASSERT_TRUE(terms.ok()) << terms.status();
    EXPECT_FALSE(terms->has_value()) << without;
  }
  for (const char* text : {"nonsense", "1:2:3", "3:", "1:2:3:2:1", "x:2:3:0:1", "1:2:3:0:1:1"}) {
    EXPECT_EQ(ParseKafkaSinkTerms(text).status().code(), absl::StatusCode::kDataLoss) << text;
  }
}

// The table of docs/exactly-once.md §3, line by line.
struct ClaimCase {
  const char* name;
  std::vector<LogRecord> log;  // with the claim of epoch 5 at its end
  SinkContext context;
  OnLostMarker on_lost = OnLostMarker::kFail;
  std::optional<WrittenMark> mark = std::nullopt;  // none: refused
  absl::StatusCode code = absl::StatusCode::kFailedPrecondition;
  const char* says = "";
};

class Claim : public testing::TestWithParam<ClaimCase> {};

TEST_P(Claim, BeginsWithWhatIsOut) {
  const ClaimCase& one = GetParam();
  const auto journaled = ParseJournaledMark(one.context);
  ASSERT_TRUE(journaled.ok()) << journaled.status();
  std::optional<KnownRecord> known;
  if (journaled->has_value()) {
    known = {.offset = (*journaled)->offset, .epoch = (*journaled)->claimed};
  }
  const auto history = HistoryOf(one.log, known);
  ASSERT_TRUE(history.ok()) << history.status();
  const auto mark = ClaimedMark(*history, *journaled, one.context, one.on_lost, Words());
  if (one.mark.has_value()) {
    ASSERT_TRUE(mark.ok()) << mark.status();
    EXPECT_EQ(mark->epoch, one.mark->epoch);
    EXPECT_EQ(mark->batch, one.mark->batch);
    return;
  }
  EXPECT_EQ(mark.status().code(), one.code) << mark.status();
  for (const char* words : {one.says, "tables counts, sums, slot 3", "topic millrace-me"}) {
    EXPECT_TRUE(absl::StrContains(mark.status().message(), words)) << mark.status();
  }
}

// Epoch 4 has claimed at offset 9, and begun after batch 7 of epoch 3; or it has written batch 7
// itself, at offset 12.
constexpr char kClaimed[] = "3:7:2:9:4";
constexpr char kWrote[] = "4:7:2:12:4";

INSTANTIATE_TEST_SUITE_P(
    Logs, Claim,
    testing::Values(
        ClaimCase{
            "never_claimed", {ClaimOf(20, 5)}, Context("", 0, 0), OnLostMarker::kFail, Mark(0, 0)},
        // What the journal does not know cannot have written since.
        ClaimCase{"claimed_but_never_opened",
                  {ClaimOf(9, 4), ClaimOf(20, 5)},
                  Context("", 3, 5),
                  OnLostMarker::kFail,
                  Mark(0, 0)},
        ClaimCase{"as_journaled",
                  {Out(12, 4, 7), ClaimOf(20, 5)},
                  Context(kWrote, 7, 7),
                  OnLostMarker::kFail,
                  Mark(4, 7)},
        ClaimCase{"claimed_and_nothing_written",
                  {ClaimOf(9, 4), ClaimOf(20, 5)},
                  Context(kClaimed, 7, 9),
                  OnLostMarker::kFail,
                  Mark(3, 7)},
        ClaimCase{"never_written",
                  {ClaimOf(9, 4), ClaimOf(20, 5)},
                  Context("0:0:2:9:4", 7, 9),
                  OnLostMarker::kFail,
                  Mark(0, 0)},
        ClaimCase{"committed_in_doubt",
                  {Out(12, 4, 7), Out(15, 4, 8), ClaimOf(20, 5)},
                  Context(kWrote, 7, 9),
                  OnLostMarker::kFail,
                  Mark(4, 8)},
        // Compaction has dropped the record that the journal knows, since a later one replaced it.
        ClaimCase{"compacted",
                  {Out(15, 4, 8), ClaimOf(20, 5)},
                  Context(kWrote, 7, 9),
                  OnLostMarker::kFail,
                  Mark(4, 8)},
        ClaimCase{"later_epoch_writes_an_earlier_batch",
                  {Out(12, 3, 9), ClaimOf(13, 4), Out(15, 4, 8), ClaimOf(20, 5)},
                  Context("3:9:2:13:4", 7, 9),
                  OnLostMarker::kFail,
                  Mark(4, 8)},
        ClaimCase{"of_the_future",
                  {Out(15, 4, 10), ClaimOf(20, 5)},
                  Context(kWrote, 7, 9),
                  OnLostMarker::kFail,
                  std::nullopt,
                  absl::StatusCode::kFailedPrecondition,
                  "old copy"},
        ClaimCase{"higher_claim",
                  {Out(12, 4, 7), ClaimOf(18, 6), ClaimOf(20, 5)},
                  Context(kWrote, 7, 7),
                  OnLostMarker::kFail,
                  std::nullopt,
                  absl::StatusCode::kAborted,
                  "a higher epoch has claimed it, 6; epoch 5 gives up"},
        // The zombie's journal may be behind as well; it only matters that the zombie gives up.
        ClaimCase{"higher_epoch_of_the_future",
                  {ClaimOf(18, 6), Out(19, 6, 70), ClaimOf(20, 5)},
                  Context(kWrote, 7, 7),
                  OnLostMarker::kFail,
                  std::nullopt,
                  absl::StatusCode::kAborted,
                  "a higher epoch"},
        ClaimCase{"higher_epoch_whose_claim_is_gone",
                  {Out(19, 6, 7), ClaimOf(20, 5)},
                  Context(kWrote, 7, 7),
                  OnLostMarker::kFail,
                  std::nullopt,
                  absl::StatusCode::kAborted,
                  "a higher epoch"},
        ClaimCase{"batch_went_back",
                  {Out(12, 4, 6), ClaimOf(20, 5)},
                  Context(kWrote, 7, 7),
                  OnLostMarker::kFail,
                  std::nullopt,
                  absl::StatusCode::kFailedPrecondition,
                  "lost what it had acknowledged"},
        ClaimCase{"epoch_went_back",
                  {Out(12, 3, 7), ClaimOf(20, 5)},
                  Context(kWrote, 7, 7),
                  OnLostMarker::kWritten,
                  std::nullopt,
                  absl::StatusCode::kFailedPrecondition,
                  "lost what it had acknowledged"},
        ClaimCase{"lost", {ClaimOf(20, 5)}, Context(kWrote, 7, 7), OnLostMarker::kFail, Mark(4, 7)},
        // The mark is of an epoch before the one that claimed last, which may have written as well.
        ClaimCase{"lost_in_doubt_with_a_mark_of_an_earlier_epoch",
                  {ClaimOf(20, 5)},
                  Context("3:9:2:13:4", 5, 9),
                  OnLostMarker::kFail,
                  std::nullopt,
                  absl::StatusCode::kFailedPrecondition,
                  "whether batches 6 to 9 are out"},
        ClaimCase{"lost_in_doubt",
                  {ClaimOf(20, 5)},
                  Context(kWrote, 7, 9),
                  OnLostMarker::kFail,
                  std::nullopt,
                  absl::StatusCode::kFailedPrecondition,
                  "batches 8 to 9"},
        // The topic was made anew, and has grown beyond the offset.
        ClaimCase{"lost_and_replaced",
                  {{9, "me/1/4/out", "1:4:7"}, ClaimOf(20, 5)},
                  Context(kClaimed, 7, 9),
                  OnLostMarker::kFail,
                  std::nullopt,
                  absl::StatusCode::kFailedPrecondition,
                  "has lost offset 9"},
        // A claim that found it lost, and whose epoch did not open, has left a record there.
        ClaimCase{"lost_and_claimed_in_vain",
                  {ClaimOf(12, 4), ClaimOf(20, 5)},
                  Context("3:7:2:12:3", 7, 9),
                  OnLostMarker::kFail,
                  std::nullopt,
                  absl::StatusCode::kFailedPrecondition,
                  "has lost offset 12"},
        ClaimCase{"lost_but_written",
                  {ClaimOf(20, 5)},
                  Context(kWrote, 7, 9),
                  OnLostMarker::kWritten,
                  Mark(4, 9)},
        // The epoch that has claimed it may have written, although the journal has not heard of it.
        ClaimCase{"lost_but_written_by_the_claimer",
                  {ClaimOf(20, 5)},
                  Context(kClaimed, 7, 9),
                  OnLostMarker::kWritten,
                  Mark(4, 9)},
        ClaimCase{"lost_not_written",
                  {ClaimOf(20, 5)},
                  Context(kClaimed, 7, 9),
                  OnLostMarker::kNotWritten,
                  Mark(3, 7)},
        // The epoch has gone on in the new topic: each of its marks tells all.
        ClaimCase{"lost_and_written_again",
                  {Out(3, 4, 8), ClaimOf(20, 5)},
                  Context(kWrote, 7, 9),
                  OnLostMarker::kFail,
                  Mark(4, 8)}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(SessionMark, ALostOneNamesTheWayOut) {
  const SinkContext context = Context(kWrote, 7, 8);
  const absl::Status status =
      ClaimedMark(PlaceHistory(context, std::nullopt), *ParseJournaledMark(context), context,
                  OnLostMarker::kFail, Words())
          .status();
  for (const char* text : {"offset 12", "batches 8 to 8", "on_lost_marker of each of the tables",
                           "'written'", "'not_written'"}) {
    EXPECT_TRUE(absl::StrContains(status.message(), text)) << status;
  }
}

struct DoubtCase {
  const char* name;
  std::vector<LogRecord> log;
  WrittenMark last;  // which the record at offset 12 says, or the claim there goes on from
  std::optional<WrittenMark> mark = std::nullopt;  // none: ABORTED
  const char* says = "";
};

class Doubt : public testing::TestWithParam<DoubtCase> {};

TEST_P(Doubt, EndsWithTheLog) {
  const DoubtCase& one = GetParam();
  const auto history = HistoryOf(one.log, KnownRecord{.offset = 12, .epoch = Epoch(5)});
  ASSERT_TRUE(history.ok()) << history.status();
  const auto mark = ResolvedMark(*history, one.last, Context("", 7, 9), Words());
  if (one.mark.has_value()) {
    ASSERT_TRUE(mark.ok()) << mark.status();
    EXPECT_EQ(*mark, *one.mark);
    return;
  }
  EXPECT_EQ(mark.status().code(), absl::StatusCode::kAborted) << mark.status();
  EXPECT_TRUE(absl::StrContains(mark.status().message(), one.says)) << mark.status();
}

INSTANTIATE_TEST_SUITE_P(
    Logs, Doubt,
    testing::Values(
        DoubtCase{"first_commit_is_out",
                  {ClaimOf(12, 5), Out(15, 5, 8), ClaimOf(20, 5)},
                  Mark(4, 7),
                  Mark(5, 8)},
        DoubtCase{"first_commit_is_lost", {ClaimOf(12, 5), ClaimOf(20, 5)}, Mark(4, 7), Mark(4, 7)},
        DoubtCase{"commit_is_out",
                  {Out(12, 5, 8), Out(15, 5, 9), ClaimOf(20, 5)},
                  Mark(5, 8),
                  Mark(5, 9)},
        DoubtCase{"commit_is_lost", {Out(12, 5, 8), ClaimOf(20, 5)}, Mark(5, 8), Mark(5, 8)},
        DoubtCase{"higher_claim",
                  {Out(12, 5, 8), ClaimOf(18, 6), ClaimOf(20, 5)},
                  Mark(5, 8),
                  std::nullopt,
                  "a higher epoch has claimed it, 6"},
        DoubtCase{"log_is_gone",
                  {ClaimOf(20, 5)},
                  Mark(5, 8),
                  std::nullopt,
                  "the mark of this epoch is gone"},
        DoubtCase{"log_went_back",
                  {Out(12, 5, 7), ClaimOf(20, 5)},
                  Mark(5, 8),
                  std::nullopt,
                  "the mark of this epoch is gone"}),
    [](const auto& info) { return std::string(info.param.name); });

proto::Sink Table(const std::string& topic, const std::map<std::string, std::string>& more = {}) {
  proto::Sink sink;
  (*sink.mutable_options())["bootstrap.servers"] = "localhost:9092";
  (*sink.mutable_options())["topic"] = topic;
  for (const auto& [name, value] : more) {
    (*sink.mutable_options())[name] = value;
  }
  return sink;
}

TEST(SessionKey, TablesOfDifferentTopicsAndFormatsShareAProducer) {
  const std::string key = KafkaSessionKey(Table("a"));
  EXPECT_FALSE(key.empty());
  proto::Sink other = Table("b", {{"null_text", "-"}});
  other.set_format("csv");
  EXPECT_EQ(KafkaSessionKey(other), key);
  for (const auto& [name, value] :
       std::map<std::string, std::string>{{"delivery", "at_least_once"},
                                          {"marker_topic", "marks"},
                                          {"on_lost_marker", "written"},
                                          {"max_held", "1 MiB"},
                                          {"bootstrap.servers", "localhost:9093"},
                                          {"compression.type", "lz4"},
                                          {"transaction.timeout.ms", "1000"}}) {
    EXPECT_NE(KafkaSessionKey(Table("a", {{name, value}})), key) << name;
  }
}

}  // namespace
}  // namespace millrace::kafka
