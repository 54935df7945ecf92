#include "driver/coordinator/session_history.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace millrace::driver {
namespace {

constexpr char kOldCopy[] =
    ": it is an old copy. Restore the newest one, or cancel the job and submit it under another "
    "name";

SessionPlace PlaceOf(const proto::SessionMark& mark) { return {mark.group(), mark.slot()}; }

std::vector<std::vector<uint32_t>> GroupsOf(
    const google::protobuf::RepeatedPtrField<proto::SinkGroup>& groups) {
  std::vector<std::vector<uint32_t>> result;
  for (const proto::SinkGroup& group : groups) {
    if (!group.sinks().empty()) {
      result.emplace_back(group.sinks().begin(), group.sinks().end());
    }
  }
  return result;
}

// The group that this place is of; null if there is none of that name.
const std::vector<uint32_t>* FindGroup(const std::vector<std::vector<uint32_t>>& groups,
                                       uint32_t name) {
  const auto found = std::find_if(groups.begin(), groups.end(),
                                  [&](const auto& group) { return group.front() == name; });
  return found == groups.end() ? nullptr : &*found;
}

std::string TermsFor(const proto::SessionMark& mark, uint32_t sink) {
  const auto found = std::find_if(mark.terms().begin(), mark.terms().end(),
                                  [&](const auto& terms) { return terms.sink() == sink; });
  return found == mark.terms().end() ? "" : found->terms();
}

// "table counts, slot 2": how messages name a place.
std::string Describe(const proto::JobPlan& plan, const proto::SessionMark& mark) {
  const bool known = mark.group() < static_cast<uint32_t>(plan.sinks_size());
  return absl::StrCat(
      "table ", known ? plan.sinks(static_cast<int>(mark.group())).table() : "of an earlier plan",
      ", slot ", mark.slot());
}

void SetAssignment(const SessionAssignment& assignment, proto::OpenedSessions* opened) {
  opened->set_slots(assignment.slots);
  for (const std::vector<uint32_t>& group : assignment.groups) {
    opened->add_groups()->mutable_sinks()->Add(group.begin(), group.end());
  }
  opened->mutable_shard_slot()->Add(assignment.shard_slot.begin(), assignment.shard_slot.end());
  opened->mutable_partition_slot()->Add(assignment.partition_slot.begin(),
                                        assignment.partition_slot.end());
}

void SetVisible(const VisibleOutput& visible, proto::OpenedSessions* opened) {
  for (const auto& [shard, entries] : visible) {
    for (const VisibleUpto& entry : entries) {
      proto::VisibleOutput* out = opened->add_visible();
      out->set_sink(shard.first);
      out->set_shard(shard.second);
      out->set_batch(entry.batch.value());
      out->set_terms(entry.terms);
    }
  }
}

void DropUpto(BatchId committed, VisibleOutput* visible) {
  for (auto shard = visible->begin(); shard != visible->end();) {
    std::erase_if(shard->second,
                  [&](const VisibleUpto& entry) { return entry.batch <= committed; });
    shard = shard->second.empty() ? visible->erase(shard) : std::next(shard);
  }
}

}  // namespace

const VisibleUpto* FindVisible(const std::vector<VisibleUpto>& entries, BatchId batch) {
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [&](const VisibleUpto& entry) { return entry.batch >= batch; });
  return found == entries.end() ? nullptr : &*found;
}

VisibleOutput VisibleOf(const proto::OpenedSessions& opened) {
  VisibleOutput visible;
  for (const proto::VisibleOutput& one : opened.visible()) {
    visible[{one.sink(), one.shard()}].push_back({BatchId(one.batch()), one.terms()});
  }
  for (auto& [shard, entries] : visible) {
    std::sort(entries.begin(), entries.end(),
              [](const VisibleUpto& a, const VisibleUpto& b) { return a.batch < b.batch; });
  }
  return visible;
}

void SessionHistory::OnStarted(const proto::EpochStarted& started) {
  most_slots_ = std::max(most_slots_, started.slots());
}

void SessionHistory::OnOpened(const proto::EpochOpened& opened) {
  if (!opened.has_sessions()) {
    opened_ = Epoch();
    return;
  }
  opened_ = Epoch(opened.epoch());
  for (auto& [place, mark] : marks_) {
    mark.clear_terms();
  }
  TakeOpened(opened.sessions());
}

void SessionHistory::TakeOpened(const proto::OpenedSessions& opened) {
  assignment_.slots = opened.slots();
  assignment_.groups = GroupsOf(opened.groups());
  assignment_.shard_slot.assign(opened.shard_slot().begin(), opened.shard_slot().end());
  assignment_.partition_slot.assign(opened.partition_slot().begin(), opened.partition_slot().end());
  for (const proto::SessionMark& mark : opened.marks()) {
    marks_[PlaceOf(mark)] = mark;
  }
  visible_ = VisibleOf(opened);
  most_slots_ = opened.slots();
}

void SessionHistory::OnPlanned(const proto::BatchPlanned& planned) {
  if (opened_ == Epoch() || Epoch(planned.epoch()) != opened_) {
    return;  // the next epoch that opens says who has the partition
  }
  const int slots = std::min(planned.new_partitions_size(), planned.new_slots_size());
  for (int i = 0; i < slots; ++i) {
    const uint32_t ordinal = planned.new_partitions(i).ordinal();
    std::vector<uint32_t>& slot_of = assignment_.partition_slot;
    slot_of.resize(std::max<size_t>(slot_of.size(), size_t{ordinal} + 1));
    slot_of[ordinal] = planned.new_slots(i) + 1;
  }
}

void SessionHistory::OnCommitted(const proto::BatchCommittedRecord& committed) {
  for (const proto::SessionMark& mark : committed.sessions()) {
    proto::SessionMark& known = marks_[PlaceOf(mark)];
    const auto terms = known.terms();
    known = mark;
    *known.mutable_terms() = terms;
  }
  DropUpto(BatchId(committed.batch()), &visible_);
}

proto::OpenedSessions SessionHistory::DescribeOpened() const {
  proto::OpenedSessions opened;
  SetAssignment(assignment_, &opened);
  for (const auto& [place, mark] : marks_) {
    *opened.add_marks() = mark;
  }
  SetVisible(visible_, &opened);
  return opened;
}

void SessionHistory::WriteCheckpoint(proto::JobCheckpoint* checkpoint) const {
  if (opened_ == Epoch() && most_slots_ == 0 && marks_.empty()) {
    return;
  }
  proto::SessionsCheckpoint* out = checkpoint->mutable_sessions();
  out->set_opened_epoch(opened_.value());
  out->set_most_slots(most_slots_);
  *out->mutable_opened() = DescribeOpened();
}

void SessionHistory::ReadCheckpoint(const proto::JobCheckpoint& checkpoint) {
  opened_ = Epoch(checkpoint.sessions().opened_epoch());
  TakeOpened(checkpoint.sessions().opened());
  most_slots_ = checkpoint.sessions().most_slots();
}

std::vector<proto::SessionMark> SessionHistory::PlacesToClaim(
    const std::vector<std::vector<uint32_t>>& groups, uint32_t members) const {
  std::set<uint32_t> names;
  for (const auto& group : groups) {
    names.insert(group.front());
  }
  for (const auto& group : assignment_.groups) {
    names.insert(group.front());
  }
  const uint32_t slots = std::max(most_slots_, members);
  std::vector<proto::SessionMark> places;
  places.reserve(names.size() * slots);
  for (const uint32_t name : names) {
    for (uint32_t slot = 0; slot < slots; ++slot) {
      proto::SessionMark& place = places.emplace_back();
      const auto known = marks_.find({name, slot});
      if (known != marks_.end()) {
        place = known->second;
        place.clear_terms();
      }
      place.set_group(name);
      place.set_slot(slot);
    }
  }
  return places;
}

absl::StatusOr<proto::OpenedSessions> SessionHistory::Open(
    const proto::JobPlan& plan, const SessionAssignment& assignment,
    const std::vector<proto::SessionMark>& found, BatchId last_committed,
    BatchId last_planned) const {
  proto::OpenedSessions opened;
  SetAssignment(assignment, &opened);
  VisibleOutput visible = visible_;
  std::set<SessionPlace> claimed;
  for (const proto::SessionMark& mark : found) {
    RETURN_IF_ERROR(CheckFound(plan, mark, last_planned));
    claimed.insert(PlaceOf(mark));
    AddFound(plan, mark, last_committed, &visible);
    *opened.add_marks() = mark;
  }
  for (const proto::SessionMark& place : PlacesToClaim(assignment.groups, assignment.slots)) {
    if (!claimed.contains(PlaceOf(place))) {
      return absl::InternalError(absl::StrCat(Describe(plan, place), " was not claimed"));
    }
  }
  DropUpto(last_committed, &visible);
  SetVisible(visible, &opened);
  return opened;
}

absl::Status SessionHistory::CheckFound(const proto::JobPlan& plan, const proto::SessionMark& found,
                                        BatchId last_planned) const {
  if (Epoch(found.written_epoch()) > opened_) {
    return absl::FailedPreconditionError(
        absl::StrCat(Describe(plan, found), " was written by epoch ", found.written_epoch(),
                     ", but the last epoch that this journal knows to have written is ",
                     opened_.value(), kOldCopy));
  }
  if (BatchId(found.batch()) > last_planned) {
    return absl::FailedPreconditionError(
        absl::StrCat(Describe(plan, found), " holds the output of batch ", found.batch(),
                     ", but this journal ends with batch ", last_planned.value(), kOldCopy));
  }
  return absl::OkStatus();
}

void SessionHistory::AddFound(const proto::JobPlan& plan, const proto::SessionMark& found,
                              BatchId last_committed, VisibleOutput* visible) const {
  const BatchId through(found.batch());
  const std::vector<uint32_t>* const group = FindGroup(assignment_.groups, found.group());
  if (opened_ == Epoch() || Epoch(found.written_epoch()) != opened_ || through <= last_committed ||
      group == nullptr) {
    return;
  }
  const auto known = marks_.find(PlaceOf(found));
  for (const uint32_t sink : *group) {
    const bool keyed = sink < static_cast<uint32_t>(plan.sinks_size()) &&
                       plan.sinks(static_cast<int>(sink)).keyed();
    const std::vector<uint32_t>& slots =
        keyed ? assignment_.shard_slot : assignment_.partition_slot;
    const uint32_t wanted = keyed ? found.slot() : found.slot() + 1;
    const std::string terms = known == marks_.end() ? "" : TermsFor(known->second, sink);
    for (uint32_t shard = 0; shard < slots.size(); ++shard) {
      if (slots[shard] != wanted) {
        continue;
      }
      std::vector<VisibleUpto>& entries = (*visible)[{sink, shard}];
      if (entries.empty() || entries.back().batch < through) {
        entries.push_back({through, terms});
      }
    }
  }
}

}  // namespace millrace::driver
