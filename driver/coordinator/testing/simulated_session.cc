#include "driver/coordinator/testing/simulated_session.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace millrace::driver {
namespace {

// The journaled form of a mark: "written:batch:partition:offset".
struct Marker {
  SimulatedMark mark;
  int32_t partition = 0;
  int64_t offset = 0;
};

std::string Text(const Marker& marker) {
  return absl::StrCat(marker.mark.written, ":", marker.mark.batch, ":", marker.partition, ":",
                      marker.offset);
}

// The marker of a place that has never been claimed is empty.
Marker Parse(const proto::SessionMark& known) {
  Marker marker;
  marker.partition = static_cast<int32_t>(known.slot() % kMarkPartitions);
  if (!known.marker().empty()) {
    const std::vector<std::string> parts = absl::StrSplit(known.marker(), ':');
    EXPECT_TRUE(parts.size() == 4 && absl::SimpleAtoi(parts[0], &marker.mark.written) &&
                absl::SimpleAtoi(parts[1], &marker.mark.batch) &&
                absl::SimpleAtoi(parts[2], &marker.partition) &&
                absl::SimpleAtoi(parts[3], &marker.offset))
        << known.marker();
  }
  return marker;
}

}  // namespace

SimulatedSession::SimulatedSession(SimulatedWorld* world, int64_t epoch,
                                   const proto::SessionMark& known, bool orphan, int64_t committed)
    : world_(*world),
      epoch_(epoch),
      place_{known.group(), known.slot()},
      orphan_(orphan),
      partition_(Parse(known).partition),
      mark_(Parse(known).mark),
      read_from_(Parse(known).offset),
      through_(committed) {
  EXPECT_EQ(mark_, (SimulatedMark{known.written_epoch(), known.batch()})) << known.marker();
}

absl::StatusOr<SimulatedStep> SimulatedSession::Step() {
  switch (phase_) {
    case Phase::kInit:
      return Init();
    case Phase::kSendClaim:
      return SendClaim();
    case Phase::kEndClaim:
      return EndClaim();
    case Phase::kReadLog:
      return ReadLog();
    case Phase::kProduce:
      return ProduceRows();
    case Phase::kSendMark:
      return SendMark();
    case Phase::kEndCommit:
      return EndCommit();
    case Phase::kIdle:
      break;
  }
  return absl::FailedPreconditionError("nothing to do");
}

proto::SessionMark SimulatedSession::mark() const {
  proto::SessionMark mark;
  mark.set_group(place_.group);
  mark.set_slot(place_.slot);
  mark.set_written_epoch(mark_.written);
  mark.set_batch(mark_.batch);
  mark.set_marker(Text(Marker{mark_, partition_, read_from_}));
  return mark;
}

// ---- The claim ----

SimulatedStep SimulatedSession::Init() {
  producer_ = world_.kafka.NewProducer(absl::StrCat("session-", Text(place_)), kTransactionTimeout);
  const absl::Status status = producer_->Init();
  EXPECT_TRUE(status.ok()) << status;
  phase_ = Phase::kSendClaim;
  return SimulatedStep::kInitialized;
}

SimulatedStep SimulatedSession::SendClaim() {
  Begin();
  Produce(MarkTopic(partition_), ClaimRecord(place_, epoch_));
  phase_ = Phase::kEndClaim;
  return SimulatedStep::kClaimSent;
}

SimulatedStep SimulatedSession::EndClaim() {
  const absl::Status status = EndTransaction();
  int64_t& claimed_by = world_.claimed_by[place_];
  claimed_by = std::max(claimed_by, world_.MarksOf(place_).claim);
  if (!status.ok()) {
    phase_ = Phase::kInit;
    return SimulatedStep::kClaimInDoubt;
  }
  claim_offset_ = producer_->LastOffset();
  phase_ = Phase::kReadLog;
  return SimulatedStep::kClaimed;
}

absl::StatusOr<SimulatedStep> SimulatedSession::ReadLog() {
  const auto records = world_.kafka.ReadThrough(MarkTopic(partition_), read_from_, claim_offset_);
  if (!records.ok()) {
    return SimulatedStep::kLogAwaited;
  }
  const FoundMarks found = FindMarks(*records, place_);
  if (found.claim > epoch_) {
    return absl::AbortedError("a higher epoch has claimed the place");
  }
  TakeMarks(found);
  phase_ = Phase::kIdle;
  if (committing_ > 0) {
    return ResolveDoubt();
  }
  if (orphan_) {
    producer_.reset();
    return SimulatedStep::kOrphanClaimed;
  }
  return SimulatedStep::kLogRead;
}

void SimulatedSession::TakeMarks(const FoundMarks& found) {
  ASSERT_EQ(found.claim, epoch_) << "a claim that does not find itself";
  if (!found.out.has_value()) {
    ASSERT_EQ(mark_.written, 0) << "the log has lost a mark that the journal has";
    read_from_ = claim_offset_;
    return;
  }
  ASSERT_GE(*found.out, mark_) << "a claim finds less than the journal has";
  mark_ = *found.out;
  read_from_ = found.out_offset;
}

// ---- The commit ----

void SimulatedSession::LetLeave(std::vector<SimulatedRow> rows) {
  if (left_.empty()) {
    Begin();
  }
  Produce(rows);
  left_.insert(left_.end(), rows.begin(), rows.end());
}

void SimulatedSession::Commit(int64_t through, std::vector<SimulatedRow> rows) {
  if (through <= through_) {
    return;  // told again after a reconnection
  }
  if (rows.empty() && left_.empty()) {
    through_ = through;
    return;
  }
  committing_ = through;
  rows_ = std::move(rows);
  phase_ = Phase::kProduce;
}

SimulatedStep SimulatedSession::ProduceRows() {
  if (left_.empty()) {
    Begin();
  }
  Produce(rows_);
  phase_ = Phase::kSendMark;
  return SimulatedStep::kProduced;
}

SimulatedStep SimulatedSession::SendMark() {
  Produce(MarkTopic(partition_), OutRecord(place_, {epoch_, committing_}));
  phase_ = Phase::kEndCommit;
  return SimulatedStep::kMarkSent;
}

absl::StatusOr<SimulatedStep> SimulatedSession::EndCommit() {
  const absl::Status status = EndTransaction();
  CheckCommit(status.ok());
  if (absl::IsUnavailable(status)) {
    phase_ = Phase::kInit;
    return SimulatedStep::kCommitInDoubt;
  }
  if (!status.ok()) {
    return status;
  }
  mark_ = {epoch_, committing_};
  read_from_ = producer_->LastOffset();
  FinishCommit();
  return SimulatedStep::kCommitted;
}

// After another claim: the old transaction has ended, one way or the other.
absl::StatusOr<SimulatedStep> SimulatedSession::ResolveDoubt() {
  if (mark_ == SimulatedMark{epoch_, committing_}) {
    FinishCommit();
  } else if (!left_.empty()) {
    return absl::AbortedError("rows were in a transaction that is not out, and nowhere else");
  } else {
    phase_ = Phase::kProduce;
  }
  return SimulatedStep::kDoubtResolved;
}

void SimulatedSession::FinishCommit() {
  through_ = std::exchange(committing_, 0);
  rows_.clear();
  left_.clear();
  phase_ = Phase::kIdle;
}

// The rows must be visible together with the mark, through a place that the journal names, and not
// over a claim.
void SimulatedSession::CheckCommit(bool answered) const {
  const bool out = world_.MarksOf(place_).out == SimulatedMark{epoch_, committing_};
  ASSERT_TRUE(out || !answered) << Text(place_) << ": output without mark";
  ASSERT_TRUE(!out || epoch_ >= world_.claimed_by[place_])
      << Text(place_) << ": epoch " << epoch_ << " has written although epoch "
      << world_.claimed_by[place_] << " has claimed it";
  for (const std::vector<SimulatedRow>* const rows : {&left_, &rows_}) {
    for (const SimulatedRow& row : *rows) {
      const auto writer = world_.WriterOf(row.shard, row.batch);
      ASSERT_EQ(writer == (SimulatedWriter{epoch_, place_}), out)
          << TopicOf(row.shard) << ", batch " << row.batch << ": output and mark do not agree";
      ASSERT_TRUE(!out || world_.PlaceOf(epoch_, row.shard) == place_)
          << TopicOf(row.shard) << " is written through " << Text(place_)
          << ", which the journal does not say of epoch " << epoch_;
    }
  }
}

// ---- Transactions ----

void SimulatedSession::Begin() {
  const absl::Status begun = producer_->Begin();
  ASSERT_TRUE(begun.ok()) << begun;
}

void SimulatedSession::Produce(const std::string& topic, const TransactionalLog::Record& record) {
  const absl::Status produced = producer_->Produce(topic, record);
  ASSERT_TRUE(produced.ok()) << produced;
}

void SimulatedSession::Produce(const std::vector<SimulatedRow>& rows) {
  for (const SimulatedRow& row : rows) {
    Produce(TopicOf(row.shard), RecordOf(row, {epoch_, place_}));
  }
}

absl::Status SimulatedSession::EndTransaction() {
  if (const auto fate = world_.lose_answer(); fate.has_value()) {
    producer_->LoseAnswerOfCommit(*fate);
  }
  return producer_->Commit();
}

}  // namespace millrace::driver
