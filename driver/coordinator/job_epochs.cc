// Epochs: from the decision to begin one to its first batch.
#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "driver/coordinator/job_state.h"

namespace millrace::driver {
namespace {

std::string TableOf(const proto::JobPlan& plan, const proto::SinkMarker& marker) {
  return marker.sink() < static_cast<uint32_t>(plan.sinks_size())
             ? plan.sinks(static_cast<int>(marker.sink())).table()
             : "of an earlier plan";
}

}  // namespace

void JobState::BeginEpoch() {
  AbandonEpoch();
  retry_at_us_ = kNever;
  const bool anyone_may_join =
      std::any_of(live_.begin(), live_.end(), [this](const auto& live) { return MayJoin(live); });
  for (const MembersChanged::Member& live : live_) {
    if (anyone_may_join ? !MayJoin(live) : !CanJoin(live)) {
      continue;  // an excluded executor serves only when there is no other
    }
    member_index_[live.id] = members_.size();
    Member& member = members_.emplace_back();
    member.id = live.id;
    member.name = live.name;
    member.shuffle_address = live.shuffle_address;
    member.slots = std::max(live.slots, 1u);
    member.memory_bytes = live.memory_bytes;
  }
  epoch_ = epoch_.Next();
  Enter(Stage::kJournalingEpoch);
  if (failures_.in_a_row() == 0) {
    message_.clear();  // after a failure the message stays, with the cause, until a batch has been
                       // committed
  }
  epoch_record_ =
      Append(BuildEpochStarted(Origin(), epoch_reason_, static_cast<uint32_t>(members_.size())));
  epoch_durable_ = false;
  store_mark_.reset();
  actions_.push_back(EpochBegan{epoch_, epoch_reason_, epoch_is_restart_});
  if (KeepsSnapshots()) {
    actions_.push_back(MarkStore{epoch_, /*may_make=*/history_.SnapshotFiles().empty()});
  }
}

// Called once the epoch is durable. All records journaled before it are durable too, so the history
// is complete.
void JobState::StartEpochOnMembers() {
  absl::StatusOr<RecoveryPlan> recovery = history_.PlanRecovery();
  if (!recovery.ok()) {
    End(proto::JobEnded::FAILED, std::string(ToStd(recovery.status().message())));
    return;
  }
  LoadPartitions();
  pipeline_.BeginEpoch(epoch_, members_.size(), std::move(recovery->batches),
                       history_.last_committed());
  read_from_ = std::move(recovery->read_from);
  AssignPartitionsAndShards();
  snapshots_.Restore(recovery->snapshot);
  Enter(Stage::kStartingEpoch);
  const proto::StartEpoch common = CommonStart();
  const std::vector<MemberShare> shares = Shares();
  for (size_t m = 0; m < members_.size(); ++m) {
    SendStart(m, common, shares[m]);
  }
}

std::vector<uint32_t> JobState::MemberSlots() const {
  std::vector<uint32_t> slots;
  slots.reserve(members_.size());
  for (const Member& member : members_) {
    slots.push_back(member.slots);
  }
  return slots;
}

void JobState::AssignPartitionsAndShards() {
  std::vector<OwnerCandidate> candidates;
  candidates.reserve(members_.size());
  for (const Member& member : members_) {
    candidates.push_back({.id = member.id, .slots = member.slots});
  }
  std::vector<uint32_t> shards(history_.plan().parallelism());
  std::iota(shards.begin(), shards.end(), 0);
  shard_owners_ = sticky_shards_.Assign(shards, shards.size(), candidates);
  const std::vector<uint32_t> placed = partitions_.ToPlace(read_from_, ShardsWithHiddenRows());
  partitions_.Place(placed, sticky_partitions_.Assign(placed, partitions_.size(), candidates));
}

proto::StartEpoch JobState::CommonStart() const {
  proto::StartEpoch start;
  start.set_job_id(history_.job_id());
  start.set_job_name(history_.name());
  start.set_incarnation(history_.submitted().incarnation());
  start.set_epoch(epoch_.value());
  *start.mutable_plan() = history_.plan();
  start.set_suppress_until(pipeline_.suppress_until().value());
  start.set_committed_batch(history_.last_committed().value());
  start.set_planned_batch(history_.last_planned().value());
  start.set_batch_time_us(clock_.Read(now_));
  const PlannedBatch* const replay = pipeline_.next_replay();
  start.set_first_batch(
      (replay == nullptr ? history_.last_planned().Next() : replay->batch).value());
  if (const proto::Snapshot* restored = snapshots_.restored()) {
    *start.mutable_restore() = *restored;
  }
  start.set_snapshot_location(history_.submitted().snapshot_location());
  if (store_mark_.has_value()) {
    start.set_store_mark(store_mark_->name());
  }
  for (const Member& member : members_) {
    proto::Assignment::Member* out = start.mutable_assignment()->add_members();
    out->set_executor_id(member.id.value());
    out->set_shuffle_address(member.shuffle_address);
  }
  start.mutable_assignment()->mutable_shard_owner()->Add(shard_owners_.begin(),
                                                         shard_owners_.end());
  for (const std::vector<uint32_t>& group : options_.session_groups) {
    start.add_groups()->mutable_sinks()->Add(group.begin(), group.end());
  }
  return start;
}

// One pass over all partitions and markers, for any number of members.
std::vector<JobState::MemberShare> JobState::Shares() const {
  std::vector<MemberShare> shares(members_.size());
  const auto owner_of_partition = [this](uint32_t ordinal) {
    return ordinal < partitions_.size() ? partitions_[ordinal].owner : PartitionTable::kNoOwner;
  };
  for (uint32_t ordinal = 0; ordinal < read_from_.size(); ++ordinal) {
    if (const uint32_t owner = owner_of_partition(ordinal); owner != PartitionTable::kNoOwner) {
      shares[owner].partitions.push_back(ordinal);
    }
  }
  // A shard's number is that of a keyed shard or of a partition, as its sink has it; whoever owns
  // either gets the marker.
  for (const auto& [place, marker] : history_.markers()) {
    if (IsGrouped(place.first)) {
      continue;
    }
    const uint32_t shard = place.second;
    const uint32_t keyed =
        shard < shard_owners_.size() ? shard_owners_[shard] : PartitionTable::kNoOwner;
    const uint32_t partition = owner_of_partition(shard);
    if (keyed != PartitionTable::kNoOwner) {
      shares[keyed].markers.push_back(&marker);
    }
    if (partition != PartitionTable::kNoOwner && partition != keyed) {
      shares[partition].markers.push_back(&marker);
    }
  }
  if (history_.wants_retirement()) {
    // In turns, since each claim takes a round trip or more.
    size_t member = 0;
    for (const proto::SinkMarker& retired : history_.submitted().retired_shards()) {
      if (!IsGrouped(retired.sink())) {
        shares[member].retired.push_back(&retired);
        member = (member + 1) % shares.size();
      }
    }
  }
  ShareClaims(&shares);
  return shares;
}

// Shares out the places of shared sessions: to each member those of its slot, and all others in
// turns.
void JobState::ShareClaims(std::vector<MemberShare>* shares) const {
  const std::vector<std::vector<uint32_t>>& groups = options_.session_groups;
  const auto has_group = [&](uint32_t name) {
    return std::any_of(groups.begin(), groups.end(),
                       [&](const auto& group) { return group.front() == name; });
  };
  size_t member = 0;
  const auto next = [&] {
    MemberShare& share = (*shares)[member];
    member = (member + 1) % shares->size();
    return &share;
  };
  for (proto::SessionMark& place :
       history_.sessions().PlacesToClaim(groups, static_cast<uint32_t>(shares->size()))) {
    const bool is_own = place.slot() < shares->size() && has_group(place.group());
    MemberShare* const share = is_own ? &(*shares)[place.slot()] : next();
    share->places.push_back(std::move(place));
  }
  for (proto::SinkMarker& former : FormerShards()) {
    next()->former.push_back(std::move(former));
  }
}

bool JobState::IsGrouped(uint32_t sink) const {
  return std::any_of(options_.session_groups.begin(), options_.session_groups.end(),
                     [&](const std::vector<uint32_t>& group) {
                       return std::find(group.begin(), group.end(), sink) != group.end();
                     });
}

// The shards that a version before sessions may have written: those that it has journaled, and
// those that the plan has. Empty if the last epoch that opened had sessions.
std::vector<proto::SinkMarker> JobState::FormerShards() const {
  std::vector<proto::SinkMarker> former;
  if (!history_.wants_former_claims()) {
    return former;
  }
  for (const auto& [place, marker] : history_.markers()) {
    if (IsGrouped(place.first)) {
      former.push_back(marker);
    }
  }
  for (const std::vector<uint32_t>& group : options_.session_groups) {
    for (const uint32_t sink : group) {
      const bool keyed = history_.plan().sinks(static_cast<int>(sink)).keyed();
      const size_t shards = keyed ? shard_owners_.size() : history_.partitions().size();
      for (uint32_t shard = 0; shard < shards; ++shard) {
        if (!history_.markers().contains({sink, shard})) {
          proto::SinkMarker& unclaimed = former.emplace_back();
          unclaimed.set_sink(sink);
          unclaimed.set_shard(shard);
        }
      }
    }
  }
  return former;
}

SessionAssignment JobState::AssignSessions() const {
  SessionAssignment assignment;
  assignment.slots = static_cast<uint32_t>(members_.size());
  assignment.groups = options_.session_groups;
  bool of_partitions = false;
  for (const std::vector<uint32_t>& group : assignment.groups) {
    for (const uint32_t sink : group) {
      const bool keyed = history_.plan().sinks(static_cast<int>(sink)).keyed();
      if (keyed) {
        assignment.shard_slot = shard_owners_;
      }
      of_partitions |= !keyed;
    }
  }
  if (of_partitions) {
    assignment.partition_slot.reserve(partitions_.size());
    for (const PartitionTable::Partition& partition : partitions_.all()) {
      const bool owned = partition.owner != PartitionTable::kNoOwner;
      assignment.partition_slot.push_back(owned ? partition.owner + 1 : 0);
    }
  }
  return assignment;
}

void JobState::SendStart(size_t member, const proto::StartEpoch& common, const MemberShare& share) {
  proto::DriverMessage message;
  proto::StartEpoch& start = *message.mutable_start_epoch();
  start = common;
  for (const uint32_t ordinal : share.partitions) {
    const PartitionTable::Partition& partition = partitions_[ordinal];
    proto::PartitionStart* out = start.mutable_assignment()->add_partitions();
    out->mutable_key()->set_source(partition.source);
    out->mutable_key()->set_partition(partition.name);
    // Readers start at the offsets at which the first batch of the epoch begins.
    out->set_offset(read_from_[ordinal]);
    out->set_ordinal(ordinal);
    out->set_topic_id(partition.identity);
    // A retired partition is needed for its sinks only, unless batches that are run again read from
    // it.
    out->set_sinks_only(partition.retired && read_from_[ordinal] == partition.planned_to);
  }
  for (const proto::SinkMarker* marker : share.markers) {
    *start.add_markers() = *marker;
  }
  for (const proto::SinkMarker* retired : share.retired) {
    *start.add_retired_shards() = *retired;
  }
  start.mutable_sessions()->Add(share.places.begin(), share.places.end());
  start.mutable_former_shards()->Add(share.former.begin(), share.former.end());
  Send(member, std::move(message));
}

void JobState::OnEpochReady(size_t member, const proto::EpochReady& ready) {
  if (stage_ != Stage::kStartingEpoch || members_[member].answered) {
    return;
  }
  members_[member].answered = true;
  members_[member].wake_at_us = ready.wake_at_us();
  claimed_.shards.insert(claimed_.shards.end(), ready.markers().begin(), ready.markers().end());
  claimed_.sessions.insert(claimed_.sessions.end(), ready.sessions().begin(),
                           ready.sessions().end());
  claimed_.former.insert(claimed_.former.end(), ready.former_shards().begin(),
                         ready.former_shards().end());
  CheckStoreOf(member, ready);
}

void JobState::TakeForReady(size_t member) {
  members_[member].ready = true;
  excluded_.Forgive(members_[member].id);
  if (std::all_of(members_.begin(), members_.end(), [](const Member& m) { return m.ready; })) {
    OpenEpoch();
  }
}

// Called when everything is claimed, so that marks are final. What the claims have found is
// journaled before any batch of this epoch can commit: from then on the journal says through which
// places the epoch writes, and what was visible before.
void JobState::OpenEpoch() {
  BatchId furthest = history_.last_committed();
  for (const proto::SinkMarker& marker : claimed_.shards) {
    furthest = std::max(furthest, BatchId(marker.batch()));
    if (BatchId(marker.batch()) > history_.last_planned()) {
      EndForOldCopy(marker);
      return;
    }
  }
  absl::StatusOr<proto::OpenedSessions> opened =
      history_.sessions().Open(history_.plan(), AssignSessions(), claimed_.sessions,
                               history_.last_committed(), history_.last_planned());
  if (!opened.ok()) {
    if (absl::IsFailedPrecondition(opened.status())) {
      End(proto::JobEnded::FAILED, std::string(ToStd(opened.status().message())));
    } else {
      Fail(opened.status(), FailureKind::kUndecided, absl::StrCat("epoch ", epoch_.value()));
    }
    return;
  }
  for (const proto::SinkMarker& former : claimed_.former) {
    if (BatchId(former.batch()) > history_.last_planned()) {
      EndForOldCopy(former);
      return;
    }
    AddFormer(former, &*opened);
  }
  if (const absl::Status whole = CheckFormerClaimed(); !whole.ok()) {
    Fail(whole, FailureKind::kUndecided, absl::StrCat("epoch ", epoch_.value()));
    return;
  }
  visible_ = VisibleOf(*opened);
  for (const auto& [shard, entries] : visible_) {
    visible_through_ = std::max(visible_through_, entries.back().batch);
  }
  furthest = std::max(furthest, visible_through_);
  Append(BuildEpochOpened(Origin(), claimed_.shards, *std::move(opened)));
  claimed_ = {};
  const BatchId withdrawn = FirstToWithdraw(furthest);
  if (withdrawn != BatchId(0)) {
    AbandonBatches(withdrawn);
  } else {
    EnterRunning();
  }
}

void JobState::EndForOldCopy(const proto::SinkMarker& marker) {
  End(proto::JobEnded::FAILED,
      absl::StrCat("shard ", marker.shard(), " of table \"", TableOf(history_.plan(), marker),
                   "\" holds the output of batch ", marker.batch(),
                   ", but this journal ends with batch ", history_.last_planned().value(),
                   ": it is an old copy. Restore the newest one, or cancel the job and submit "
                   "it under another name"));
}

absl::Status JobState::CheckFormerClaimed() const {
  std::set<std::pair<uint32_t, uint32_t>> claimed;
  for (const proto::SinkMarker& former : claimed_.former) {
    claimed.emplace(former.sink(), former.shard());
  }
  for (const proto::SinkMarker& former : FormerShards()) {
    if (!claimed.contains({former.sink(), former.shard()})) {
      return absl::InternalError(absl::StrCat("shard ", former.shard(), " of table \"",
                                              TableOf(history_.plan(), former),
                                              "\" was not claimed from the version before"));
    }
  }
  return absl::OkStatus();
}

// A shard that a version before sessions had: it judged rows by what its marker says.
void JobState::AddFormer(const proto::SinkMarker& former, proto::OpenedSessions* opened) const {
  if (BatchId(former.batch()) <= history_.last_committed()) {
    return;
  }
  proto::VisibleOutput* const visible = opened->add_visible();
  visible->set_sink(former.sink());
  visible->set_shard(former.shard());
  visible->set_batch(former.batch());
  const auto marker = history_.markers().find({former.sink(), former.shard()});
  if (marker != history_.markers().end()) {
    visible->set_terms(marker->second.marker());
  }
}

// The first batch to withdraw. Batches before it may be committed in part, and run again as
// planned.
BatchId JobState::FirstToWithdraw(BatchId furthest) {
  BatchId first;
  if (options_.settle) {
    first = furthest.Next();
  } else if (too_large_.has_value()) {
    partly_committed_ = too_large_->batch <= furthest ? too_large_->batch : BatchId(0);
    first = partly_committed_ == BatchId(0) ? too_large_->batch : BatchId(0);
  }
  if (first == BatchId(0) || first > history_.last_planned()) {
    too_large_.reset();
    return BatchId(0);
  }
  return first;
}

// Withdraws the batches from `first` on. No shard has committed any of them, and none will, since
// all shards are claimed by this epoch. The epoch waits until the record is durable: before that, a
// failure would find the old plans under these numbers in the journal, and new batches must not
// reuse the numbers.
void JobState::AbandonBatches(BatchId first) {
  pipeline_.Withdraw(first);
  const std::string reason = too_large_.has_value() && !options_.settle
                                 ? too_large_->why
                                 : "the job is submitted again with changes";
  too_large_.reset();
  abandoned_record_ = Append(BuildBatchesAbandoned(Origin(), first, reason));
}

void JobState::TakeBackPlans() {
  partitions_.TakeBackPlans(history_);
  pipeline_.PlanAfter(history_.last_planned());
}

void JobState::EnterRunning() {
  Enter(Stage::kRunning);
  store_failures_ = 0;
  store_trouble_.clear();
  if (!pipeline_.IsReplaying()) {
    message_.clear();  // nothing that the last failure interrupted is left to be run again
  }
  snapshots_.StartInterval(now_.mono_us);
  stage_since_us_ = now_.mono_us;
  ticks_.Start(now_.mono_us);
  // An executor may have joined while the epoch was starting.
  if (MembershipWantsNewEpoch() && rebalance_at_us_ == kNever) {
    rebalance_at_us_ = now_.mono_us + options_.join_delay_us;
  }
}

}  // namespace millrace::driver
