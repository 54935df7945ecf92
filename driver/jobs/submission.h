// From a request to what is journaled about a new (or resumed) job: planning, checking, asking
// sources and sinks. Blocks on the network, so it runs on the caller's thread; thread-safe.
#ifndef MILLRACE_DRIVER_JOBS_SUBMISSION_H_
#define MILLRACE_DRIVER_JOBS_SUBMISSION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/config/settings.h"
#include "common/expr/function_registry.h"
#include "connectors/registry.h"
#include "driver/batch/job_history.h"
#include "proto/jobs.pb.h"
#include "proto/journal.pb.h"

namespace millrace {

// Newer plans are refused by number.
inline constexpr uint32_t kPlanFormatVersion = 1;

struct PlannedSubmission {
  proto::JobPlan plan;  // parallelism 0 = not chosen
  JobSettings settings;
  std::vector<std::string> notices;
  std::string name;       // as asked for; empty: to be made up from `name_stem`
  std::string name_stem;  // the first sink's table
};

// Plans the script and validates every table with its connector. No I/O.
absl::StatusOr<PlannedSubmission> PlanSubmission(const proto::SubmitRequest& request,
                                                 const ConnectorRegistry& connectors,
                                                 const FunctionRegistry& functions);

// Keyed shards for a job that leaves the choice to us: 4 per slot, in [4, 64], never more than key
// groups.
uint32_t DefaultParallelism(uint32_t total_slots, uint32_t key_groups);

// Writes name and parallelism into plan and settings alike.
void FixNameAndParallelism(const std::string& name, uint32_t parallelism,
                           PlannedSubmission* submission);

// FAILED_PRECONDITION unless `plan` reads, computes and writes the same as the job did: then it may
// go on where that stopped. Settings may differ, except for parallelism and key_groups, and only
// where they are said.
absl::Status CheckResumable(const JobHistory& history, const proto::JobPlan& plan);

// Asks every sink whether it can be written (the topic exists, the directory is writable).
absl::Status ProbeSinks(const proto::JobPlan& plan, const ConnectorRegistry& connectors,
                        absl::Duration timeout);

struct ResolvedSources {
  std::vector<std::unique_ptr<SourceEnumerator>> enumerators;  // one per source
  std::vector<proto::PartitionStart> partitions;               // known ones first, as they were
  std::vector<proto::JobSubmitted::BoundedEnd> stop_at;        // of a bounded job
};

// Finds the partitions of every source and where they start: new ones of a new job by the table's
// `start`, new ones of a job that is resumed (`known` is what it has) at their earliest offset.
// `once`, or sources that are all bounded, also fix the ends. Every call to the outside has
// `timeout`.
absl::StatusOr<ResolvedSources> ResolveSources(const proto::JobPlan& plan, const std::string& name,
                                               const std::string& incarnation, bool once,
                                               const JobHistory* known,
                                               const ConnectorRegistry& connectors,
                                               absl::Duration timeout);

}  // namespace millrace

#endif  // MILLRACE_DRIVER_JOBS_SUBMISSION_H_
