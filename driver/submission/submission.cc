#include "driver/submission/submission.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/expr/state_identity.h"
#include "connectors/plan_access.h"
#include "sql/planner.h"

namespace millrace::driver {
namespace {

absl::Status ValidateTables(const proto::JobPlan& plan, const ConnectorRegistry& connectors) {
  for (const proto::Source& source : plan.sources()) {
    ASSIGN_OR_RETURN(const SourceConnector* connector, connectors.Source(source.connector()));
    RETURN_IF_ERROR(connector->Validate(source));
  }
  for (const proto::Sink& sink : plan.sinks()) {
    ASSIGN_OR_RETURN(const SinkConnector* connector, connectors.Sink(sink.connector()));
    RETURN_IF_ERROR(connector->Validate(sink));
  }
  return absl::OkStatus();
}

absl::Status InTable(const absl::Status& status, const char* kind, const std::string& table) {
  return Annotate(status, absl::StrCat(kind, " table \"", table, "\""));
}

absl::Status CheckAccess(const ConnectorRegistry& connectors, const proto::SubmitRequest& request,
                         const proto::JobPlan& plan, const JobSettings& settings) {
  RETURN_IF_ERROR(CheckPlanAccess(connectors, plan));
  const AccessPolicy& access = connectors.access();
  if (!settings.checkpoint_location.empty()) {
    RETURN_IF_ERROR(
        Annotate(access.CheckPath(settings.checkpoint_location), "setting checkpoint_location"));
  }
  if (!request.from_savepoint().empty()) {
    RETURN_IF_ERROR(Annotate(access.CheckPath(request.from_savepoint()), "the savepoint"));
  }
  return absl::OkStatus();
}

std::string OtherWayOut(const JobHistory& history) {
  return absl::StrCat("; to begin anew, cancel it first (millrace jobs cancel ", history.name(),
                      ") or choose another name with --name");
}

// Tables of the earlier plan keep their index, since markers, offsets and files outside refer to
// it.
template <typename Tables>
absl::Status CheckPlaces(const JobHistory& history, const Tables& before, const Tables& now,
                         const char* kind) {
  for (int i = 0; i < before.size(); ++i) {
    if (i >= now.size() || now[i].table() != before[i].table() ||
        now[i].connector() != before[i].connector()) {
      return absl::FailedPreconditionError(
          absl::StrCat("job '", history.name(), "' exists with ", kind, " table \"",
                       before[i].table(), "\" of connector ", before[i].connector(), " as number ",
                       i + 1, ", and its script may change, but not this; add new tables behind it",
                       OtherWayOut(history)));
    }
  }
  return absl::OkStatus();
}

void AddPartition(uint32_t source, const std::string& name, int64_t offset,
                  const std::string& topic_id, std::vector<proto::PartitionStart>* out) {
  proto::PartitionStart start;
  start.mutable_key()->set_source(source);
  start.mutable_key()->set_partition(name);
  start.set_offset(offset);
  start.set_ordinal(static_cast<uint32_t>(out->size()));
  start.set_topic_id(topic_id);
  out->push_back(std::move(start));
}

// The partitions of one source that the job, or the savepoint that it begins from, knows.
std::vector<KnownPartition> KnownOf(uint32_t source, const std::string& table,
                                    const JobHistory* known, const proto::Savepoint* savepoint) {
  std::vector<KnownPartition> out;
  for (size_t i = 0; known != nullptr && i < known->partitions().size(); ++i) {
    const JobPartition& partition = known->partitions()[i];
    if (partition.source == source) {
      out.push_back(
          {partition.name, Offset(known->planned_to()[i]), partition.topic_id, partition.retired});
    }
  }
  if (savepoint != nullptr) {
    for (const proto::Savepoint::TablePosition& position : savepoint->positions()) {
      if (position.table() == table) {
        out.push_back({position.partition(), Offset(position.offset()), position.topic_id()});
      }
    }
  }
  return out;
}

// Moves the partitions that the savepoint knows out of `names` into the result. Returns whether the
// savepoint knows the table at all.
absl::StatusOr<bool> AddFromSavepoint(uint32_t source, const std::string& table,
                                      const proto::Savepoint& savepoint,
                                      std::set<PartitionName>* names, absl::Duration timeout,
                                      ResolvedSources* resolved) {
  bool knows_table = false;
  std::vector<const proto::Savepoint::TablePosition*> taken;
  std::vector<PartitionName> taken_names;
  for (const proto::Savepoint::TablePosition& position : savepoint.positions()) {
    if (position.table() != table) {
      continue;
    }
    knows_table = true;
    if (names->erase(position.partition()) > 0) {
      taken.push_back(&position);
      taken_names.push_back(position.partition());
    }
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> now,
                   resolved->enumerators[source]->Identities(taken_names, timeout));
  for (size_t i = 0; i < taken.size(); ++i) {
    RETURN_IF_ERROR(CheckIdentity(taken_names[i], taken[i]->topic_id(), now[i]));
    AddPartition(source, taken_names[i], taken[i]->offset(), taken[i]->topic_id(),
                 &resolved->partitions);
  }
  return knows_table;
}

void Retire(size_t ordinal, const std::string& why, const JobHistory& known, int64_t lost_end,
            ResolvedSources* resolved) {
  proto::RetiredPartition& retired = resolved->retired.emplace_back();
  retired.set_ordinal(static_cast<uint32_t>(ordinal));
  retired.set_reason(why);
  const int64_t next = known.planned_to()[ordinal];
  if (next < lost_end) {
    retired.set_lost_begin(next);
    retired.set_lost_end(lost_end);
  }
  resolved->notices.push_back(absl::StrCat(
      "partition ", known.partitions()[ordinal].name, " of source table \"",
      known.plan().sources(static_cast<int>(known.partitions()[ordinal].source)).table(),
      "\" is retired at offset ", next, ": ", why,
      next < lost_end ? absl::StrCat("; offsets up to ", lost_end, " are lost") : ""));
}

// Retires the partitions that are gone. If records of one were not read, on_data_loss of the table
// decides whether that is an error.
absl::Status RetireGone(const std::vector<size_t>& ordinals, const proto::Source& table,
                        const JobHistory& known, absl::Duration timeout,
                        SourceEnumerator* enumerator, ResolvedSources* resolved) {
  std::vector<PartitionName> names;
  for (const size_t ordinal : ordinals) {
    names.push_back(known.partitions()[ordinal].name);
  }
  ASSIGN_OR_RETURN(const std::vector<PartitionEnd> ends, enumerator->Ends(names, timeout));
  for (size_t i = 0; i < ends.size(); ++i) {
    const size_t ordinal = ordinals[i];
    // A partition with batches that may or may not be committed is left to the job, which finishes
    // them first and then finds that the partition is gone.
    const bool at_rest = known.planned_to()[ordinal] == known.committed_to()[ordinal];
    if (ends[i].phase != PartitionPhase::kGone || !at_rest) {
      continue;
    }
    const int64_t end = std::max(known.seen_to()[ordinal], ends[i].stable_end.value());
    if (known.planned_to()[ordinal] < end && !SkipsLostData(table)) {
      return absl::FailedPreconditionError(absl::StrCat(
          "partition ", names[i], ": ", ends[i].why, " before offsets [",
          known.planned_to()[ordinal], ", ", end,
          ") were read: they are lost; to go on without them: option on_data_loss = 'skip'"));
    }
    Retire(ordinal, ends[i].why, known, end, resolved);
  }
  return absl::OkStatus();
}

// Checks each partition that the job knows of the source. It must be the same as before, or it is
// retired: because the script no longer selects it, or because it is gone and the options allow
// that. Takes known partitions out of `names`; a retired one among `names` is read again. Returns
// whether any partition goes on that was read before.
absl::StatusOr<bool> ResolveKnown(uint32_t source, const proto::Source& table,
                                  const JobHistory& known, absl::Duration timeout,
                                  std::set<PartitionName>* names, ResolvedSources* resolved) {
  SourceEnumerator* const enumerator = resolved->enumerators[source].get();
  std::vector<size_t> open;
  std::vector<PartitionName> open_names;
  for (size_t i = 0; i < known.partitions().size(); ++i) {
    const JobPartition& partition = known.partitions()[i];
    if (partition.source != source) {
      continue;
    }
    const bool found = names->erase(partition.name) > 0;
    const bool selected = enumerator->Selects(
        {partition.name, Offset(known.planned_to()[i]), partition.topic_id, partition.retired});
    const bool at_rest = known.planned_to()[i] == known.committed_to()[i];
    if (partition.retired && found) {
      resolved->reopened.push_back(static_cast<uint32_t>(i));
      // An enumerator need not know where a retired partition ends, and that is asked for next.
      enumerator->Remember({KnownPartition{.name = partition.name,
                                           .next = Offset(known.planned_to()[i]),
                                           .identity = partition.topic_id}});
    } else if (!partition.retired && !selected && at_rest) {
      Retire(i, "the script does not select it any more", known, 0, resolved);
    } else if (!partition.retired) {
      open.push_back(i);
      open_names.push_back(partition.name);
    }
  }
  if (resolved->traits[source].may_lose_partitions) {
    RETURN_IF_ERROR(RetireGone(open, table, known, timeout, enumerator, resolved));
  } else {
    ASSIGN_OR_RETURN(const std::vector<std::string> now,
                     enumerator->Identities(open_names, timeout));
    for (size_t i = 0; i < open.size(); ++i) {
      RETURN_IF_ERROR(CheckIdentity(open_names[i], known.partitions()[open[i]].topic_id, now[i]));
    }
  }
  return !open.empty() || !resolved->reopened.empty();
}

absl::Status ResolveStarts(uint32_t source, const proto::Source& table, const JobHistory* known,
                           const proto::Savepoint* savepoint, absl::Duration timeout,
                           ResolvedSources* resolved) {
  SourceEnumerator& enumerator = *resolved->enumerators[source];
  enumerator.Remember(KnownOf(source, table.table(), known, savepoint));
  ASSIGN_OR_RETURN(const std::vector<PartitionName> all, enumerator.Discover(timeout));
  std::set<PartitionName> left(all.begin(), all.end());
  bool was_read = false;
  if (known != nullptr) {
    ASSIGN_OR_RETURN(was_read, ResolveKnown(source, table, *known, timeout, &left, resolved));
  }
  if (savepoint != nullptr) {
    ASSIGN_OR_RETURN(was_read,
                     AddFromSavepoint(source, table.table(), *savepoint, &left, timeout, resolved));
  }
  std::vector<PartitionName> names;
  std::copy_if(all.begin(), all.end(), std::back_inserter(names),
               [&](const PartitionName& name) { return left.contains(name); });
  if (names.empty()) {
    return absl::OkStatus();
  }
  // The identities are asked for before the offsets: if a partition is made anew in between, its
  // older identity shows that later.
  ASSIGN_OR_RETURN(const std::vector<std::string> ids, enumerator.Identities(names, timeout));
  ASSIGN_OR_RETURN(const std::vector<PartitionOffset> starts,
                   was_read ? enumerator.ResolveEarliest(names, timeout)
                            : enumerator.ResolveStart(names, timeout));
  for (size_t i = 0; i < starts.size(); ++i) {
    AddPartition(source, starts[i].partition, starts[i].offset.value(), ids[i],
                 &resolved->partitions);
  }
  return absl::OkStatus();
}

absl::Status ResolveEnds(uint32_t source, const JobHistory* known, absl::Duration timeout,
                         ResolvedSources* resolved) {
  std::vector<PartitionName> names;
  std::set<uint32_t> not_read;
  for (const proto::RetiredPartition& retired : resolved->retired) {
    not_read.insert(retired.ordinal());
  }
  for (uint32_t i = 0; known != nullptr && i < known->partitions().size(); ++i) {
    if (known->partitions()[i].retired) {
      not_read.insert(i);
    }
  }
  for (const uint32_t ordinal : resolved->reopened) {
    not_read.erase(ordinal);
  }
  for (const proto::PartitionStart& start : resolved->partitions) {
    if (start.key().source() == source && !not_read.contains(start.ordinal())) {
      names.push_back(start.key().partition());
    }
  }
  if (names.empty()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::vector<PartitionEnd> ends,
                   resolved->enumerators[source]->Ends(names, timeout));
  for (const PartitionEnd& end : ends) {
    if (end.phase == PartitionPhase::kGone) {
      continue;  // a gone partition ends where its plans end
    }
    proto::JobSubmitted::BoundedEnd& bound = resolved->stop_at.emplace_back();
    bound.mutable_key()->set_source(source);
    bound.mutable_key()->set_partition(end.partition);
    bound.set_offset(end.stable_end.value());
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckJobName(std::string_view name) {
  constexpr size_t kMaxNameBytes = 200;
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) >= ' ' && c != 0x7F && c != '/' && c != '\\';
  });
  if (name.size() <= kMaxNameBytes && plain && name != "." && name != "..") {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("'", absl::CHexEscape(ToAbsl(name.substr(0, kMaxNameBytes))),
                   "' cannot name a job: a name has up to ", kMaxNameBytes,
                   " bytes without control characters, / and \\; choose another one with ",
                   "--name or SET job_name"));
}

absl::StatusOr<PlannedSubmission> PlanSubmission(const proto::SubmitRequest& request,
                                                 const ConnectorRegistry& connectors,
                                                 const FunctionRegistry& functions) {
  sql::PlanOptions options;
  options.settings.insert(request.settings().begin(), request.settings().end());
  options.connectors = &connectors;
  options.functions = &functions;
  ASSIGN_OR_RETURN(sql::PlannedScript script, sql::PlanScript(request.sql(), options));
  if (script.explain_only) {
    return absl::InvalidArgumentError(
        "the script only explains, there is nothing to run; show the plan with millrace explain, "
        "or take EXPLAIN away");
  }
  PlannedSubmission submission;
  ASSIGN_OR_RETURN(submission.settings, JobSettings::FromMap({script.plan.settings().begin(),
                                                              script.plan.settings().end()}));
  RETURN_IF_ERROR(ValidateTables(script.plan, connectors));
  if (script.plan.sinks_size() == 0) {
    return absl::InvalidArgumentError(
        "the script has no INSERT INTO … SELECT, there is nothing to run");
  }
  submission.plan = std::move(script.plan);
  submission.notices = std::move(script.notices);
  submission.name = request.name().empty() ? submission.settings.job_name : request.name();
  const std::string& table = submission.plan.sinks(0).table();
  submission.name_stem = CheckJobName(table).ok() ? table : "job";
  if (!submission.name.empty()) {
    RETURN_IF_ERROR(CheckJobName(submission.name));
  }
  RETURN_IF_ERROR(CheckAccess(connectors, request, submission.plan, submission.settings));
  return submission;
}

uint32_t DefaultParallelism(uint32_t total_slots, uint32_t key_groups) {
  return std::min(std::clamp<uint32_t>(total_slots * 4, 4, 64), std::max<uint32_t>(key_groups, 1));
}

void FixNameAndParallelism(const std::string& name, uint32_t parallelism,
                           PlannedSubmission* submission) {
  submission->name = name;
  submission->settings.job_name = name;
  submission->settings.parallelism = parallelism;
  submission->plan.set_parallelism(parallelism);
  submission->plan.mutable_settings()->clear();
  for (const auto& [key, value] : submission->settings.ToMap()) {
    (*submission->plan.mutable_settings())[key] = value;
  }
}

absl::StatusOr<PlanChange> ComparePlans(const JobHistory& history, const proto::JobPlan& plan) {
  const proto::JobPlan& before = history.plan();
  RETURN_IF_ERROR(CheckPlaces(history, before.sources(), plan.sources(), "source"));
  RETURN_IF_ERROR(CheckPlaces(history, before.sinks(), plan.sinks(), "sink"));
  if (before.key_groups() != plan.key_groups()) {
    return absl::FailedPreconditionError(
        absl::StrCat("job '", history.name(), "' keeps its state in ", before.key_groups(),
                     " key groups, which cannot become ", plan.key_groups(), OtherWayOut(history)));
  }
  proto::JobPlan then = before;
  proto::JobPlan now = plan;
  if (plan.parallelism() == 0) {
    now.set_parallelism(before.parallelism());
  }
  // Clears what does not change the computation: names, places in the script, and settings.
  for (proto::JobPlan* p : {&then, &now}) {
    p->clear_sql();
    p->clear_settings();
    p->clear_engine_version();
  }
  google::protobuf::util::MessageDifferencer differencer;
  differencer.IgnoreField(proto::Expr::descriptor()->FindFieldByName("position"));
  if (!differencer.Compare(then, now)) {
    return PlanChange::kPlan;
  }
  const auto settings = [](const proto::JobPlan& p) {
    std::map<std::string, std::string> all(p.settings().begin(), p.settings().end());
    all.erase("job_name");
    all.erase("parallelism");
    return all;
  };
  return settings(before) == settings(plan) ? PlanChange::kNone : PlanChange::kSettings;
}

bool NeedsSettling(const JobHistory& history, PlanChange change,
                   const ConnectorRegistry& connectors) {
  if (change == PlanChange::kNone) {
    return false;
  }
  if (history.last_planned() != history.last_committed()) {
    return true;
  }
  if (change == PlanChange::kSettings ||
      history.last_committed().value() == history.submitted().base_batch()) {
    return false;
  }
  const auto& sinks = history.plan().sinks();
  const bool held_back = std::any_of(sinks.begin(), sinks.end(), [&](const proto::Sink& sink) {
    const absl::StatusOr<const SinkConnector*> connector = connectors.Sink(sink.connector());
    return connector.ok() && (*connector)->traits().holds_back;
  });
  const bool unsaved =
      history.plan().running_state() && history.last_snapshot() != history.last_committed();
  return unsaved || held_back;
}

absl::Status CheckStateFits(const proto::Snapshot& snapshot, const proto::JobPlan& plan,
                            const FunctionRegistry& functions) {
  const std::vector<proto::StateIdentity> places = StateIdentitiesOf(plan, functions);
  std::vector<std::string> without;
  for (const proto::StateIdentity& state : snapshot.operators()) {
    const auto place =
        std::find_if(places.begin(), places.end(),
                     [&](const proto::StateIdentity& p) { return p.name() == state.name(); });
    if (place == places.end()) {
      without.push_back(absl::StrCat(state.name(), " (the script has no such aggregation)"));
    } else if (place->shape() != state.shape()) {
      without.push_back(absl::StrCat(state.name(), " (it is ", place->shape(), " now and was ",
                                     state.shape(), ")"));
    }
  }
  if (without.empty()) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat("this state has no place in the new script: ", absl::StrJoin(without, ", "),
                   "; keep those aggregations, or say --drop-state to go on without it"));
}

std::vector<proto::SinkMarker> RetiredShards(const JobHistory& history,
                                             const proto::JobPlan& plan) {
  std::vector<proto::SinkMarker> retired(history.submitted().retired_shards().begin(),
                                         history.submitted().retired_shards().end());
  if (!history.wants_retirement()) {
    retired.clear();
  }
  for (const auto& [shard, marker] : history.markers()) {
    const auto sink = static_cast<int>(shard.first);
    if (sink < plan.sinks_size() && plan.sinks(sink).keyed() &&
        shard.second >= plan.parallelism()) {
      retired.push_back(marker);
    }
  }
  return retired;
}

std::string SnapshotLocation(const JobSettings& settings, const std::string& directory) {
  // Paths become absolute, since executors may have other working directories.
  const auto absolute = [](const std::string& path) {
    return std::filesystem::absolute(path).lexically_normal().string();
  };
  const std::string& location = settings.checkpoint_location;
  if (!location.empty() && location != directory) {
    return absl::StrContains(location, "://") ? location : absolute(location);
  }
  return directory.empty() ? "" : absolute(directory + "/snapshots");
}

absl::Status ProbeSinks(const proto::JobPlan& plan, const ConnectorRegistry& connectors,
                        absl::Duration timeout) {
  for (const proto::Sink& sink : plan.sinks()) {
    ASSIGN_OR_RETURN(const SinkConnector* connector, connectors.Sink(sink.connector()));
    RETURN_IF_ERROR(InTable(connector->Probe(sink, timeout), "sink", sink.table()));
  }
  return absl::OkStatus();
}

absl::StatusOr<ResolvedSources> ResolveSources(const proto::JobPlan& plan, const std::string& name,
                                               const std::string& incarnation, bool once,
                                               const JobHistory* known,
                                               const proto::Savepoint* savepoint,
                                               const ConnectorRegistry& connectors,
                                               absl::Duration timeout) {
  ResolvedSources resolved;
  ASSIGN_OR_RETURN(const JobSettings settings,
                   JobSettings::FromMap({plan.settings().begin(), plan.settings().end()}));
  const SourceContext context{.job_name = name,
                              .incarnation = incarnation,
                              .read_uncommitted = settings.ReadsUncommitted()};
  if (known != nullptr) {
    for (const JobPartition& partition : known->partitions()) {
      AddPartition(partition.source, partition.name, partition.start, partition.topic_id,
                   &resolved.partitions);
    }
  }
  bool all_bounded = plan.sources_size() > 0;
  for (int i = 0; i < plan.sources_size(); ++i) {
    const proto::Source& source = plan.sources(i);
    ASSIGN_OR_RETURN(const SourceConnector* connector, connectors.Source(source.connector()));
    absl::StatusOr<std::unique_ptr<SourceEnumerator>> enumerator =
        connector->CreateEnumerator(source, context);
    RETURN_IF_ERROR(InTable(enumerator.status(), "source", source.table()));
    resolved.traits.push_back(connector->Traits(source));
    all_bounded = all_bounded && resolved.traits.back().bounded;
    resolved.enumerators.push_back(*std::move(enumerator));
    RETURN_IF_ERROR(InTable(
        ResolveStarts(static_cast<uint32_t>(i), source, known, savepoint, timeout, &resolved),
        "source", source.table()));
  }
  for (int i = 0; i < plan.sources_size() && (once || all_bounded); ++i) {
    RETURN_IF_ERROR(InTable(ResolveEnds(static_cast<uint32_t>(i), known, timeout, &resolved),
                            "source", plan.sources(i).table()));
  }
  return resolved;
}

}  // namespace millrace::driver
