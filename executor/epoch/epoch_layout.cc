#include "executor/epoch/epoch_layout.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace millrace::executor {
namespace {

absl::Status Contradiction(const EpochLayout& layout, std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("epoch ", layout.epoch.value(), " of job ",
                                                 layout.job_name,
                                                 " cannot be started: ", ToAbsl(what)));
}

void AddOnce(uint32_t value, std::vector<uint32_t>* values) {
  if (std::find(values->begin(), values->end(), value) == values->end()) {
    values->push_back(value);
  }
}

absl::StatusOr<StageLayout> LayoutStage(const proto::Stage& stage, const EpochLayout& layout) {
  StageLayout result;
  if (stage.has_source() && stage.source() < static_cast<uint32_t>(layout.plan.sources_size())) {
    result.source = stage.source();
  } else if (stage.has_exchange() &&
             stage.exchange() < static_cast<uint32_t>(layout.plan.exchanges_size())) {
    result.exchange = stage.exchange();
  } else {
    return Contradiction(layout, absl::StrCat("stage ", stage.id(), " has no valid input"));
  }
  for (const proto::Operator& op : stage.operators()) {
    if (op.has_exchange_write()) {
      if (op.exchange_write().exchange() >= static_cast<uint32_t>(layout.plan.exchanges_size())) {
        return Contradiction(layout,
                             absl::StrCat("stage ", stage.id(), " writes to an unknown exchange"));
      }
      AddOnce(op.exchange_write().exchange(), &result.feeds);
    } else if (op.has_sink_write()) {
      if (op.sink_write().sink() >= static_cast<uint32_t>(layout.plan.sinks_size())) {
        return Contradiction(layout,
                             absl::StrCat("stage ", stage.id(), " writes to an unknown sink"));
      }
      AddOnce(op.sink_write().sink(), &result.sinks);
    } else if (op.has_final_aggregate()) {
      result.every_batch = result.every_batch || op.final_aggregate().global();
    }
  }
  return result;
}

absl::Status LayoutPlan(EpochLayout* layout) {
  const proto::JobPlan& plan = layout->plan;
  ASSIGN_OR_RETURN(layout->settings,
                   JobSettings::FromMap({plan.settings().begin(), plan.settings().end()}));
  layout->exchanges.resize(plan.exchanges_size());
  layout->stages_of_source.resize(plan.sources_size());
  layout->sources_of_sink.resize(plan.sinks_size());
  layout->keyed_sink.resize(plan.sinks_size());
  layout->error_sink.resize(plan.sinks_size());
  layout->group_of_sink.resize(plan.sinks_size());
  for (int source = 0; source < plan.sources_size(); ++source) {
    if (plan.sources(source).on_error() != proto::ON_ERROR_TABLE) {
      continue;
    }
    const uint32_t sink = plan.sources(source).error_sink();
    if (sink >= static_cast<uint32_t>(plan.sinks_size())) {
      return Contradiction(*layout, absl::StrCat("table ", plan.sources(source).table(),
                                                 " has an unknown sink for failed records"));
    }
    AddOnce(static_cast<uint32_t>(source), &layout->sources_of_sink[sink]);
    layout->error_sink[sink] = true;
  }
  for (const proto::Stage& stage : plan.stages()) {
    const uint32_t id = static_cast<uint32_t>(layout->stages.size());
    ASSIGN_OR_RETURN(StageLayout laid_out, LayoutStage(stage, *layout));
    for (const uint32_t exchange : laid_out.feeds) {
      layout->exchanges[exchange].feeders.push_back(id);
    }
    if (laid_out.source.has_value()) {
      layout->stages_of_source[*laid_out.source].push_back(id);
    } else {
      layout->exchanges[*laid_out.exchange].readers.push_back(id);
    }
    for (const uint32_t sink : laid_out.sinks) {
      if (laid_out.source.has_value()) {
        AddOnce(*laid_out.source, &layout->sources_of_sink[sink]);
      } else {
        layout->keyed_sink[sink] = true;
      }
    }
    layout->stages.push_back(std::move(laid_out));
  }
  return absl::OkStatus();
}

// The job's name becomes part of the names of snapshots and of files that sinks write.
absl::Status CheckNames(const EpochLayout& layout) {
  const std::string& incarnation = layout.incarnation.value();
  return incarnation.find('/') == std::string::npos && incarnation != "." && incarnation != ".."
             ? absl::OkStatus()
             : Contradiction(layout, absl::StrCat("'", incarnation, "' is no incarnation"));
}

absl::Status LayoutMembers(const proto::StartEpoch& start, const std::string& self_id,
                           EpochLayout* layout) {
  bool found = false;
  for (int m = 0; m < start.assignment().members_size(); ++m) {
    const proto::Assignment::Member& member = start.assignment().members(m);
    ShufflePeer peer{.executor_id = member.executor_id(), .address = member.shuffle_address()};
    if (peer.executor_id == self_id) {
      layout->self = static_cast<uint32_t>(m);
      found = true;
    } else if (m < start.stream_keys_size() && !start.stream_keys(m).to().empty() &&
               !start.stream_keys(m).from().empty()) {
      peer.key_to = start.stream_keys(m).to();
      peer.key_from = start.stream_keys(m).from();
    } else {
      return Contradiction(*layout,
                           absl::StrCat("the driver, of another version perhaps, gives no ",
                                        "keys for the streams with executor ", peer.executor_id));
    }
    layout->members.push_back(std::move(peer));
  }
  return found ? absl::OkStatus()
               : Contradiction(*layout, absl::StrCat("executor ", self_id, " is not a member"));
}

absl::Status LayoutAssignment(const proto::Assignment& assignment, EpochLayout* layout) {
  for (int shard = 0; shard < assignment.shard_owner_size(); ++shard) {
    const uint32_t owner = assignment.shard_owner(shard);
    if (owner >= layout->members.size()) {
      return Contradiction(*layout, absl::StrCat("shard ", shard, " has no owner"));
    }
    layout->shard_owner.push_back(owner);
    if (owner == layout->self) {
      layout->own_shards.push_back(static_cast<uint32_t>(shard));
    }
  }
  if (layout->shard_owner.empty() && layout->plan.exchanges_size() > 0) {
    return Contradiction(*layout, "the plan has exchanges, the assignment no shards");
  }
  for (const proto::PartitionStart& partition : assignment.partitions()) {
    if (partition.key().source() >= static_cast<uint32_t>(layout->plan.sources_size())) {
      return Contradiction(
          *layout, absl::StrCat("partition ", partition.key().partition(), " has no source"));
    }
    layout->own_partitions.push_back(partition);
  }
  return absl::OkStatus();
}

absl::Status LayoutRetired(const proto::StartEpoch& start, EpochLayout* layout) {
  for (const proto::SinkMarker& retired : start.retired_shards()) {
    if (retired.sink() >= layout->group_of_sink.size()) {
      return Contradiction(
          *layout, absl::StrCat("retired shard ", retired.shard(), " is of an unknown sink"));
    }
    layout->retired_shards.push_back({retired.sink(), retired.shard()});
    layout->markers[layout->retired_shards.back()] = retired.marker();
  }
  return absl::OkStatus();
}

absl::Status LayoutGroup(const proto::SinkGroup& group, EpochLayout* layout) {
  if (group.sinks().empty()) {
    return Contradiction(*layout, "a group has no sinks");
  }
  const uint32_t name = group.sinks(0);
  const auto wrong = [&](std::string_view what) {
    return Contradiction(*layout, absl::StrCat("group ", name, " ", ToAbsl(what)));
  };
  std::vector<uint32_t>& sinks = layout->groups[name];
  for (const uint32_t sink : group.sinks()) {
    if (sink >= layout->group_of_sink.size()) {
      return wrong("has an unknown sink");
    }
    if (layout->group_of_sink[sink].has_value()) {
      return wrong(absl::StrCat("has sink ", sink, ", which is in a group already"));
    }
    if (!sinks.empty() && sink < sinks.back()) {
      return wrong("has its sinks in no order");
    }
    if (layout->error_sink[sink] != layout->error_sink[name]) {
      // Failed records are committed after all others, which takes a session of their own.
      return wrong("mixes failed records with others");
    }
    layout->group_of_sink[sink] = name;
    sinks.push_back(sink);
  }
  return absl::OkStatus();
}

absl::Status LayoutSlots(const proto::StartEpoch& start, EpochLayout* layout) {
  for (const proto::SessionMark& claim : start.sessions()) {
    const SlotPlace place{.group = claim.group(), .slot = claim.slot()};
    const auto wrong = [&](std::string_view what) {
      return Contradiction(
          *layout, absl::StrCat("slot ", place.slot, " of group ", place.group, " ", ToAbsl(what)));
    };
    if (place.group >= layout->group_of_sink.size()) {
      return wrong("is of an unknown sink");
    }
    if (layout->groups.contains(place.group) && place.slot < layout->members.size() &&
        place.slot != layout->self) {
      return wrong("is another member's");
    }
    if (!layout->markers.emplace(place, claim.marker()).second) {
      return wrong("is claimed twice");
    }
    layout->slots.push_back(place);
  }
  for (const auto& [name, sinks] : layout->groups) {
    if (!layout->markers.contains(SlotPlace{.group = name, .slot = layout->self})) {
      return Contradiction(*layout, absl::StrCat("this member has no slot of group ", name));
    }
  }
  return absl::OkStatus();
}

absl::Status LayoutFormer(const proto::StartEpoch& start, EpochLayout* layout) {
  for (const proto::SinkMarker& former : start.former_shards()) {
    const ShardPlace place{.sink = former.sink(), .shard = former.shard()};
    if (place.sink >= layout->group_of_sink.size() ||
        !layout->group_of_sink[place.sink].has_value()) {
      return Contradiction(*layout, absl::StrCat("former shard ", place.shard, " is of sink ",
                                                 place.sink, ", which is in no group"));
    }
    layout->former_shards.push_back(place);
    layout->markers[place] = former.marker();
  }
  return absl::OkStatus();
}

absl::Status CheckRestore(const EpochLayout& layout) {
  if (layout.restore.layers_size() == 0) {
    return absl::OkStatus();
  }
  if (!layout.restore.layers(0).full()) {
    return Contradiction(layout, "its snapshot does not begin with a full layer");
  }
  return layout.snapshot_location.empty()
             ? Contradiction(layout, "it has a snapshot, but not where to read it")
             : absl::OkStatus();
}

}  // namespace

absl::StatusOr<EpochLayout> EpochLayout::Make(proto::StartEpoch start, const std::string& self_id) {
  EpochLayout layout;
  layout.job = JobId(start.job_id());
  layout.job_name = start.job_name().empty() ? start.job_id() : start.job_name();
  layout.incarnation = Incarnation(start.incarnation());
  layout.epoch = Epoch(start.epoch());
  layout.first_batch = BatchId(start.first_batch());
  layout.suppress_until = BatchId(start.suppress_until());
  layout.committed_batch = BatchId(start.committed_batch());
  layout.planned_batch = BatchId(start.planned_batch());
  layout.batch_time_us = start.batch_time_us();
  layout.snapshot_location = start.snapshot_location();
  layout.store_mark = start.store_mark();
  layout.restore = std::move(*start.mutable_restore());
  layout.plan = std::move(*start.mutable_plan());
  RETURN_IF_ERROR(CheckNames(layout));
  RETURN_IF_ERROR(LayoutPlan(&layout));
  RETURN_IF_ERROR(LayoutMembers(start, self_id, &layout));
  RETURN_IF_ERROR(LayoutAssignment(start.assignment(), &layout));
  for (proto::SinkMarker& marker : *start.mutable_markers()) {
    layout.markers[ShardPlace{marker.sink(), marker.shard()}] = std::move(*marker.mutable_marker());
  }
  for (const proto::SinkGroup& group : start.groups()) {
    RETURN_IF_ERROR(LayoutGroup(group, &layout));
  }
  RETURN_IF_ERROR(LayoutSlots(start, &layout));
  RETURN_IF_ERROR(LayoutRetired(start, &layout));
  RETURN_IF_ERROR(LayoutFormer(start, &layout));
  RETURN_IF_ERROR(CheckRestore(layout));
  return layout;
}

}  // namespace millrace::executor
