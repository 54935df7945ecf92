#include "driver/coordinator/testing/simulated_former.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace millrace::driver {
namespace {

// Each epoch has its own partition: a zombie may discard an offset that another producer has set
// for the same one (TransactionalLog).
TransactionalLog::OffsetName OffsetOf(SimulatedShard shard, int64_t epoch) {
  return {TopicOf(shard), static_cast<int32_t>(epoch)};
}

// The last marker, "epoch:batch", of those by partition.
SimulatedMark Last(const std::map<int32_t, std::string>& by_partition) {
  SimulatedMark last;
  for (const auto& [partition, text] : by_partition) {
    const std::vector<std::string> parts = absl::StrSplit(text, ':');
    SimulatedMark marker;
    EXPECT_TRUE(parts.size() == 2 && absl::SimpleAtoi(parts[0], &marker.written) &&
                absl::SimpleAtoi(parts[1], &marker.batch))
        << text;
    last = std::max(last, marker);
  }
  return last;
}

}  // namespace

absl::StatusOr<SimulatedStep> FormerClaim::Step() {
  switch (phase_) {
    case Phase::kInit:
      return Init();
    case Phase::kReadMarker:
      return ReadMarker();
    case Phase::kSendMarker:
      return Send();
    case Phase::kEnd:
      return End();
    case Phase::kDone:
      break;
  }
  return absl::FailedPreconditionError("nothing to do");
}

SimulatedStep FormerClaim::Init() {
  producer_ = world_.kafka.NewProducer(TopicOf(shard_), kTransactionTimeout);
  const absl::Status status = producer_->Init();
  EXPECT_TRUE(status.ok()) << status;
  phase_ = Phase::kReadMarker;
  return SimulatedStep::kFormerInitialized;
}

absl::StatusOr<SimulatedStep> FormerClaim::ReadMarker() {
  const auto found = world_.kafka.ReadOffsets(TopicOf(shard_));
  if (!found.ok()) {
    return found.status();  // another one has taken the shard meanwhile
  }
  const SimulatedMark last = Last(*found);
  if (last.written > epoch_) {
    return absl::AbortedError("a higher epoch has claimed the shard");
  }
  batch_ = last.batch;
  phase_ = Phase::kSendMarker;
  return SimulatedStep::kFormerMarkerRead;
}

absl::StatusOr<SimulatedStep> FormerClaim::Send() {
  const absl::Status begun = producer_->Begin();
  EXPECT_TRUE(begun.ok()) << begun;
  if (absl::Status sent = SendMarker(batch_); !sent.ok()) {
    return sent;
  }
  phase_ = Phase::kEnd;
  return SimulatedStep::kFormerClaimSent;
}

absl::Status FormerClaim::SendMarker(int64_t batch) const {
  return producer_->SendOffset(OffsetOf(shard_, epoch_), absl::StrCat(epoch_, ":", batch));
}

absl::StatusOr<SimulatedStep> FormerClaim::End() {
  if (const auto fate = world_.lose_answer(); fate.has_value()) {
    producer_->LoseAnswerOfCommit(*fate);
  }
  const absl::Status status = producer_->Commit();
  int64_t& claimed_by = world_.former_claimed_by[shard_];
  claimed_by = std::max(claimed_by, Last(world_.kafka.CommittedOffsets(TopicOf(shard_))).written);
  if (absl::IsUnavailable(status)) {
    phase_ = Phase::kInit;
    return SimulatedStep::kFormerClaimInDoubt;
  }
  if (!status.ok()) {
    return status;
  }
  phase_ = Phase::kDone;
  return SimulatedStep::kFormerClaimed;
}

void FormerWriter::Step() {
  TransactionalLog::Producer* const producer = claim_.is_done() ? &claim_.producer() : nullptr;
  switch (phase_) {
    case Phase::kClaim:
      if (!claim_.Step().ok()) {
        phase_ = Phase::kDone;
      } else if (claim_.is_done()) {
        phase_ = claim_.batch() < through_ ? Phase::kProduce : Phase::kDone;
      }
      return;
    case Phase::kProduce:
      ASSERT_TRUE(producer->Begin().ok());
      for (const SimulatedRow& row : rows_) {
        if (row.batch > claim_.batch()) {
          ASSERT_TRUE(producer->Produce(TopicOf(row.shard), RecordOf(row, {})).ok());
        }
      }
      phase_ = Phase::kSendMarker;
      return;
    case Phase::kSendMarker:
      phase_ = claim_.SendMarker(through_).ok() ? Phase::kCommit : Phase::kDone;
      return;
    case Phase::kCommit:
      if (producer->Commit().ok()) {
        const int64_t claimed_by = world_.former_claimed_by[claim_.shard()];
        ASSERT_LE(claimed_by, kEpoch) << TopicOf(claim_.shard()) << " is written although epoch "
                                      << claimed_by << " has claimed it";
      }
      phase_ = Phase::kDone;
      return;
    case Phase::kDone:
      return;
  }
}

}  // namespace millrace::driver
