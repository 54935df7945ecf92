#include "tests/contract/sink_life.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"

namespace millrace {
namespace {

constexpr int64_t kBatchTimeUs = 1700000000000000;

absl::Time Soon() { return SteadyNow() + absl::Seconds(30); }

}  // namespace

void SinkMember::AddShard(uint32_t shard) {
  absl::StatusOr<SinkShard*> added = session_->AddShard(life_->context.sink, shard);
  MILLRACE_CHECK(added.ok()) << added.status();
  shards_[shard] = *added;
}

absl::Status SinkMember::Write(int64_t batch, const Batch& rows, uint32_t shard) {
  life_->context.planned_batch = std::max(life_->context.planned_batch, BatchId(batch));
  SinkBatch of_shard{.id = BatchId(batch), .time_us = kBatchTimeUs};
  if (const auto output = visible_.find(shard); output != visible_.end()) {
    if (const auto covers = output->second.lower_bound(of_shard.id);
        covers != output->second.end()) {
      of_shard.visible = covers->second;
    }
  }
  return shards_.at(shard)->Write(of_shard, rows);
}

absl::Status SinkMember::Commit(int64_t through) {
  RETURN_IF_ERROR(session_->Prepare(BatchId(through), Soon()));
  return session_->Commit(BatchId(through), Soon());
}

SinkLife::SinkLife(const SinkConnector* connector, proto::Sink table)
    : table(std::move(table)), connector_(connector) {
  static std::atomic<int> next{0};
  const int number = next++;
  context.job_name = absl::StrCat("contract-", number);
  context.incarnation =
      absl::StrCat("0f0e0d0c-0000-4000-8000-", absl::Dec(number, absl::kZeroPad12));
}

SinkContext SinkLife::ContextOf(uint32_t place) const {
  SinkContext of_place = context;
  of_place.epoch = epoch_;
  (shared() ? of_place.slot : of_place.shard) = place;
  const auto marker = markers_.find(place);
  of_place.marker = marker == markers_.end() ? "" : marker->second;
  return of_place;
}

absl::StatusOr<std::unique_ptr<SinkSession>> SinkLife::Claim(const SinkContext& of_place) const {
  return connector_->Open({{.index = of_place.sink, .table = &table}}, of_place);
}

absl::StatusOr<SinkMembers> SinkLife::TryOpenEpoch(
    const std::vector<std::vector<uint32_t>>& shards) {
  BeginEpoch();
  const auto count = static_cast<uint32_t>(shards.size());
  places_ = std::max(places_, count);
  Opened opened;
  opened.epoch = epoch_;
  std::map<uint32_t, SinkMark> found;
  SinkMembers members;
  for (uint32_t place = 0; place < (shared() ? places_ : count); ++place) {
    ASSIGN_OR_RETURN(std::unique_ptr<SinkSession> session, Claim(ContextOf(place)));
    found[place] = session->mark();
    opened.terms[place] = session->Terms(context.sink);
    if (place >= count) {
      continue;  // nobody's now: claimed, and left
    }
    members.push_back(std::unique_ptr<SinkMember>(new SinkMember(this, place, std::move(session))));
    for (const uint32_t shard : shards[place]) {
      members.back()->AddShard(shard);
      opened.place_of_shard[shard] = place;
    }
  }
  opened.visible = Judge(found);
  for (const auto& member : members) {
    member->visible_ = opened.visible;
  }
  for (const auto& [place, mark] : found) {
    markers_[place] = mark.marker;
  }
  opened_ = std::move(opened);
  places_ = count;
  return members;
}

SinkMembers SinkLife::OpenEpoch(const std::vector<std::vector<uint32_t>>& shards) {
  absl::StatusOr<SinkMembers> members = TryOpenEpoch(shards);
  MILLRACE_CHECK(members.ok()) << members.status();
  return *std::move(members);
}

std::unique_ptr<SinkMember> SinkLife::Open() {
  SinkMembers members = OpenEpoch({{0}});
  return std::move(members[0]);
}

std::map<uint32_t, VisibleOutput> SinkLife::Judge(const std::map<uint32_t, SinkMark>& found) const {
  std::map<uint32_t, VisibleOutput> visible = opened_.visible;
  if (!shared()) {
    return visible;  // a session of one shard knows it itself
  }
  for (const auto& [shard, place] : opened_.place_of_shard) {
    const SinkMark& mark = found.at(place);
    MILLRACE_CHECK(mark.written <= opened_.epoch && mark.batch <= context.planned_batch)
        << "the mark is of another life";
    // What that epoch found visible keeps the terms by which it was judged.
    if (VisibleOutput& output = visible[shard];
        mark.written == opened_.epoch && output.lower_bound(mark.batch) == output.end()) {
      output[mark.batch] = opened_.terms.at(place);
    }
  }
  for (auto& [shard, output] : visible) {
    output.erase(output.begin(), output.upper_bound(context.committed_batch));
  }
  return visible;
}

void SinkLife::Journal(const std::vector<SinkMember*>& members, int64_t committed) {
  for (const SinkMember* member : members) {
    markers_[member->place_] = member->mark().marker;
  }
  context.planned_batch = std::max(context.planned_batch, BatchId(committed));
  context.committed_batch = std::max(context.committed_batch, BatchId(committed));
}

absl::Status SinkLife::CommitAndJournal(SinkMember* member, int64_t through) {
  RETURN_IF_ERROR(member->Commit(through));
  Journal({member}, through);
  return member->session().Settle(BatchId(through), Soon());
}

}  // namespace millrace
