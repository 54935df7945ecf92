#include "connectors/kafka/sink/former_marker.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"

namespace millrace::kafka {
namespace {

FormerMarker Marker(int64_t epoch, int64_t batch, const std::string& incarnation = "me") {
  return {.incarnation = incarnation, .epoch = Epoch(epoch), .batch = BatchId(batch)};
}

KafkaSinkSettings Settings(OnLostMarker on_lost = OnLostMarker::kFail) {
  return {.table = "t", .topic = "out", .session = {.on_lost_marker = on_lost}};
}

// The context of epoch 5, which finds `journaled` and knows batches up to `committed` and
// `planned`.
SinkContext Context(const std::string& journaled, int64_t committed, int64_t planned) {
  return {.incarnation = "me",
          .epoch = Epoch(5),
          .sink = 1,
          .shard = 2,
          .marker = journaled,
          .committed_batch = BatchId(committed),
          .planned_batch = BatchId(planned)};
}

TEST(FormerMarker, ReadsWhatItWrites) {
  EXPECT_EQ(FormatFormerMarker(Marker(3, 42, "0f0e-4000")), "1:0f0e-4000:3:42");
  EXPECT_EQ(*ParseFormerMarker("1:0f0e-4000:3:42"), Marker(3, 42, "0f0e-4000"));
  for (const char* text :
       {"", "1", "2:me:3:42", "1:me:3", "1:me:3:x", "1:me:-3:4", "1:me:3:4:5", "1:me::4"}) {
    EXPECT_EQ(ParseFormerMarker(text).status().code(), absl::StatusCode::kDataLoss) << text;
  }
}

TEST(FormerMarker, OfAllPartitionsTheHighestEpochCounts) {
  EXPECT_EQ(*LastFormerMarker({}), std::nullopt);
  // The highest epoch's batch is not the highest batch if a withdrawal followed a claim.
  EXPECT_EQ(*LastFormerMarker({"1:me:16:40", "1:me:17:39", "1:me:2:7"}), Marker(17, 39));
  EXPECT_EQ(LastFormerMarker({"1:me:16:40", "?"}).status().code(), absl::StatusCode::kDataLoss);
}

TEST(FormerMarker, AZombieOf16EpochsAgoTakesNotAllMarkersAlong) {
  for (const int64_t epoch : {1, 16, 4095, 4096, 1'000'001}) {
    const auto own = FormerMarkerPartitions(Epoch(epoch));
    for (const int32_t partition : own) {
      EXPECT_LT(partition, kFormerMarkerPartitions);
    }
    EXPECT_EQ(own[0], epoch % 16) << "where it was before there were three";
    for (int64_t age = 1; age < 4096 && age < epoch; ++age) {
      EXPECT_NE(FormerMarkerPartitions(Epoch(epoch - age)), own) << epoch << " and " << age;
    }
  }
}

TEST(FormerMarker, TheJournalsIsOfEpochAndBatchOrOfABatch) {
  for (const char* text : {"3:42", "3:42:1048588:1:12", "3:42:-1:0:0"}) {
    const auto journaled = ParseJournaledFormerMarker(Context(text, 0, 0));
    ASSERT_TRUE(journaled.ok()) << journaled.status();
    EXPECT_EQ(journaled->epoch, Epoch(3));
    EXPECT_EQ(journaled->batch, BatchId(42));
  }
  const auto batch = ParseJournaledFormerMarker(Context("42", 0, 0));
  EXPECT_FALSE(batch->epoch.has_value());
  EXPECT_EQ(batch->batch, BatchId(42));
  for (const char* text : {"nonsense", "1:2:3", ":", "3:", "1:2:", "1:2:3:2:1", "1:2:-2:0:1",
                           "1:2:3:0:-1", "1:2:3:0:1:1"}) {
    EXPECT_EQ(ParseJournaledFormerMarker(Context(text, 0, 0)).status().code(),
              absl::StatusCode::kDataLoss)
        << text;
  }
}

struct ClaimCase {
  const char* name;
  std::optional<FormerMarker> found;
  SinkContext context;
  OnLostMarker on_lost = OnLostMarker::kFail;
  int64_t batch = -1;  // −1: refused
  absl::StatusCode code = absl::StatusCode::kFailedPrecondition;
  const char* says = "";
};

class Claim : public testing::TestWithParam<ClaimCase> {};

TEST_P(Claim, BeginsAfterWhatIsOut) {
  const ClaimCase& one = GetParam();
  auto batch = FormerlyWritten(one.found, one.context, Settings(one.on_lost));
  if (one.batch >= 0) {
    ASSERT_TRUE(batch.ok()) << batch.status();
    EXPECT_EQ(batch->value(), one.batch);
    return;
  }
  EXPECT_EQ(batch.status().code(), one.code) << batch.status();
  EXPECT_TRUE(absl::StrContains(batch.status().message(), one.says)) << batch.status();
  EXPECT_TRUE(absl::StrContains(batch.status().message(), "topic out, shard 2")) << batch.status();
}

INSTANTIATE_TEST_SUITE_P(
    Markers, Claim,
    testing::Values(
        ClaimCase{"never_claimed", std::nullopt, Context("", 0, 0), OnLostMarker::kFail, 0},
        // A shard whose claim the journal does not know cannot have written since.
        ClaimCase{"never_claimed_in_doubt", std::nullopt, Context("", 3, 5), OnLostMarker::kFail,
                  3},
        ClaimCase{"as_journaled", Marker(4, 7), Context("4:7", 7, 7), OnLostMarker::kFail, 7},
        ClaimCase{"same_epoch_again", Marker(5, 7), Context("4:7", 7, 7), OnLostMarker::kFail, 7},
        ClaimCase{"not_yet_journaled", Marker(1, 0), Context("", 0, 0), OnLostMarker::kFail, 0},
        ClaimCase{"committed_in_doubt", Marker(4, 8), Context("4:7", 7, 9), OnLostMarker::kFail, 8},
        ClaimCase{"all_in_doubt_committed", Marker(4, 9), Context("4:7", 7, 9), OnLostMarker::kFail,
                  9},
        ClaimCase{"batches_without_rows", Marker(4, 3), Context("4:3", 7, 9), OnLostMarker::kFail,
                  7},
        ClaimCase{"another_incarnation", Marker(4, 7, "you"), Context("4:7", 7, 7),
                  OnLostMarker::kFail, -1, absl::StatusCode::kFailedPrecondition,
                  "incarnation you"},
        ClaimCase{"of_the_future", Marker(4, 10), Context("4:7", 7, 9), OnLostMarker::kFail, -1,
                  absl::StatusCode::kFailedPrecondition, "old copy"},
        ClaimCase{"higher_epoch", Marker(6, 7), Context("4:7", 7, 7), OnLostMarker::kFail, -1,
                  absl::StatusCode::kAborted, "a higher epoch has claimed it, 6"},
        // The zombie's journal may be behind as well; it only matters that the zombie gives up.
        ClaimCase{"higher_epoch_of_the_future", Marker(6, 70), Context("4:7", 7, 7),
                  OnLostMarker::kFail, -1, absl::StatusCode::kAborted, "a higher epoch"},
        ClaimCase{"batch_went_back", Marker(4, 6), Context("4:7", 7, 7), OnLostMarker::kFail, -1,
                  absl::StatusCode::kFailedPrecondition, "lost what it had acknowledged"},
        ClaimCase{"epoch_went_back", Marker(3, 7), Context("4:7", 7, 7), OnLostMarker::kWritten, -1,
                  absl::StatusCode::kFailedPrecondition, "lost what it had acknowledged"},
        ClaimCase{"expired", std::nullopt, Context("4:7", 9, 9), OnLostMarker::kFail, 9},
        ClaimCase{"expired_in_doubt", std::nullopt, Context("4:7", 7, 9), OnLostMarker::kFail, -1,
                  absl::StatusCode::kFailedPrecondition, "batches 8 to 9"},
        ClaimCase{"expired_but_written", std::nullopt, Context("4:7", 7, 9), OnLostMarker::kWritten,
                  9},
        ClaimCase{"expired_not_written", std::nullopt, Context("4:7", 7, 9),
                  OnLostMarker::kNotWritten, 7},
        // A change from at least once to exactly once: committed batches stay committed.
        ClaimCase{"was_at_least_once", std::nullopt, Context("7", 7, 9), OnLostMarker::kFail, 7}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(FormerMarker, ALostOneNamesTheWayOut) {
  absl::Status status = FormerlyWritten(std::nullopt, Context("4:7", 7, 8), Settings()).status();
  for (const char* text : {"group millrace-me-1-2", "offsets.retention.minutes", "on_lost_marker",
                           "'written'", "'not_written'"}) {
    EXPECT_TRUE(absl::StrContains(status.message(), text)) << status;
  }
}

TEST(FormerMarker, AtLeastOnceNeedsNone) {
  KafkaSinkSettings settings = Settings();
  settings.session.exactly_once = false;
  EXPECT_EQ(*FormerlyWritten(std::nullopt, Context("4:7", 7, 9), settings), BatchId(7));
}

}  // namespace
}  // namespace millrace::kafka
