#include "driver/jobs/submission.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "driver/sql/planner.h"

namespace millrace {
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

// The partitions of one source, known ones left out.
absl::StatusOr<std::vector<PartitionName>> NewPartitions(SourceEnumerator& enumerator,
                                                         uint32_t source, const JobHistory* known,
                                                         absl::Duration timeout) {
  ASSIGN_OR_RETURN(std::vector<PartitionName> names, enumerator.Discover(timeout));
  if (known != nullptr) {
    const auto is_known = [&](const PartitionName& name) {
      return std::any_of(
          known->partitions().begin(), known->partitions().end(),
          [&](const JobPartition& p) { return p.source == source && p.name == name; });
    };
    names.erase(std::remove_if(names.begin(), names.end(), is_known), names.end());
  }
  return names;
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

// What the job knows of the source must still be what it was.
absl::Status CheckKnown(SourceEnumerator& enumerator, uint32_t source, const JobHistory& known,
                        absl::Duration timeout) {
  std::vector<PartitionName> names;
  std::vector<std::string> before;
  for (const JobPartition& partition : known.partitions()) {
    if (partition.source == source) {
      names.push_back(partition.name);
      before.push_back(partition.topic_id);
    }
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> now, enumerator.TopicIds(names, timeout));
  for (size_t i = 0; i < names.size(); ++i) {
    RETURN_IF_ERROR(CheckTopicId(names[i], before[i], now[i]));
  }
  return absl::OkStatus();
}

absl::Status ResolveStarts(uint32_t source, const JobHistory* known, absl::Duration timeout,
                           ResolvedSources* resolved) {
  SourceEnumerator& enumerator = *resolved->enumerators[source];
  if (known != nullptr) {
    RETURN_IF_ERROR(CheckKnown(enumerator, source, *known, timeout));
  }
  ASSIGN_OR_RETURN(const std::vector<PartitionName> names,
                   NewPartitions(enumerator, source, known, timeout));
  if (names.empty()) {
    return absl::OkStatus();
  }
  // Before the offsets: should the topic be made anew in between, this id tells.
  ASSIGN_OR_RETURN(const std::vector<std::string> ids, enumerator.TopicIds(names, timeout));
  ASSIGN_OR_RETURN(const std::vector<PartitionOffset> starts,
                   known == nullptr ? enumerator.ResolveStart(names, timeout)
                                    : enumerator.ResolveEarliest(names, timeout));
  for (size_t i = 0; i < starts.size(); ++i) {
    AddPartition(source, starts[i].partition, starts[i].offset.value(), ids[i],
                 &resolved->partitions);
  }
  return absl::OkStatus();
}

absl::Status ResolveEnds(uint32_t source, absl::Duration timeout, ResolvedSources* resolved) {
  std::vector<PartitionName> names;
  for (const proto::PartitionStart& start : resolved->partitions) {
    if (start.key().source() == source) {
      names.push_back(start.key().partition());
    }
  }
  if (names.empty()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::vector<PartitionEnd> ends,
                   resolved->enumerators[source]->Ends(names, timeout));
  for (const PartitionEnd& end : ends) {
    proto::JobSubmitted::BoundedEnd& bound = resolved->stop_at.emplace_back();
    bound.mutable_key()->set_source(source);
    bound.mutable_key()->set_partition(end.partition);
    bound.set_offset(end.stable_end.value());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PlannedSubmission> PlanSubmission(const proto::SubmitRequest& request,
                                                 const ConnectorRegistry& connectors,
                                                 const FunctionRegistry& functions) {
  PlanOptions options;
  options.settings.insert(request.settings().begin(), request.settings().end());
  options.connectors = &connectors;
  options.functions = &functions;
  ASSIGN_OR_RETURN(PlannedScript script, PlanScript(request.sql(), options));
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
  submission.name_stem = submission.plan.sinks(0).table();
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

absl::Status CheckResumable(const JobHistory& history, const proto::JobPlan& plan) {
  const proto::JobPlan& before = history.plan();
  const std::string way_out =
      absl::StrCat("; to begin anew, cancel it first (millrace jobs cancel ", history.name(),
                   ") or choose another name with --name");
  const uint32_t parallelism = plan.parallelism();
  if (parallelism != 0 && parallelism != before.parallelism()) {
    return absl::FailedPreconditionError(
        absl::StrCat("job '", history.name(), "' would go on where it stopped, but runs with ",
                     "parallelism ", before.parallelism(), ", not ", parallelism, way_out));
  }
  // Names, places in the script and settings do not change what it computes.
  proto::JobPlan then = before;
  proto::JobPlan now = plan;
  for (proto::JobPlan* p : {&then, &now}) {
    p->clear_sql();
    p->clear_settings();
    p->clear_engine_version();
    p->set_parallelism(0);
  }
  google::protobuf::util::MessageDifferencer differencer;
  differencer.IgnoreField(proto::Expr::descriptor()->FindFieldByName("position"));
  if (!differencer.Compare(then, now)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "job '", history.name(),
        "' exists with another script and would go on where that one stopped", way_out));
  }
  return absl::OkStatus();
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
                                               const ConnectorRegistry& connectors,
                                               absl::Duration timeout) {
  ResolvedSources resolved;
  const SourceContext context{.job_name = name, .incarnation = incarnation};
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
    all_bounded = all_bounded && (*enumerator)->bounded();
    resolved.enumerators.push_back(*std::move(enumerator));
    RETURN_IF_ERROR(InTable(ResolveStarts(static_cast<uint32_t>(i), known, timeout, &resolved),
                            "source", source.table()));
  }
  for (int i = 0; i < plan.sources_size() && (once || all_bounded); ++i) {
    RETURN_IF_ERROR(InTable(ResolveEnds(static_cast<uint32_t>(i), timeout, &resolved), "source",
                            plan.sources(i).table()));
  }
  return resolved;
}

}  // namespace millrace
