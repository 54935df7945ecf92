// Turns a request into what is journaled about a new or resumed job: plans it, checks it, asks
// sources and sinks. Blocks on the network, so it runs on the caller's thread; thread-safe.
#ifndef MILLRACE_DRIVER_SUBMISSION_SUBMISSION_H_
#define MILLRACE_DRIVER_SUBMISSION_SUBMISSION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/config/settings.h"
#include "common/expr/function_registry.h"
#include "connectors/registry.h"
#include "driver/coordinator/job_history.h"
#include "proto/jobs.pb.h"
#include "proto/journal.pb.h"

namespace millrace::driver {

// INVALID_ARGUMENT for a name that cannot be part of a path, a consumer group or a line of a log.
// Old journals may have such names.
absl::Status CheckJobName(std::string_view name);

struct PlannedSubmission {
  proto::JobPlan plan;  // parallelism 0 = not chosen
  JobSettings settings;
  std::vector<std::string> notices;
  std::string name;       // as requested; empty: to be made up from `name_stem`
  std::string name_stem;  // the first sink's table
};

// Plans the script, validates every table with its connector, and refuses what the connectors'
// AccessPolicy does not let a script reach: paths, secrets, the checkpoint_location, and the
// savepoint to begin with. Looks at the file system for links; no other I/O.
absl::StatusOr<PlannedSubmission> PlanSubmission(const proto::SubmitRequest& request,
                                                 const ConnectorRegistry& connectors,
                                                 const FunctionRegistry& functions);

// The number of keyed shards of a job that does not set its parallelism: 4 per slot, in [4, 64],
// never more than key groups.
uint32_t DefaultParallelism(uint32_t total_slots, uint32_t key_groups);

// Writes name and parallelism into plan and settings alike.
void FixNameAndParallelism(const std::string& name, uint32_t parallelism,
                           PlannedSubmission* submission);

// How a plan differs from the one that a job ran with.
enum class PlanChange {
  kNone,
  kSettings,  // the same work under other settings
  kPlan,      // other work, or another parallelism
};
// Compares `plan`, as planned, with the job's; a parallelism of 0 means the job's. INVARIANT of a
// job's life: source and sink tables keep their index, new tables come behind them, and key groups
// stay. FAILED_PRECONDITION names what does not.
absl::StatusOr<PlanChange> ComparePlans(const JobHistory& history, const proto::JobPlan& plan);

// Whether the job must be settled (JobState) before the change: because batches may or may not be
// committed, state after the last batch is in no snapshot, or sinks hold rows back.
bool NeedsSettling(const JobHistory& history, PlanChange change,
                   const ConnectorRegistry& connectors);

// FAILED_PRECONDITION lists state of the snapshot that has no place in the plan. REQUIRES: the job
// is settled.
absl::Status CheckStateFits(const proto::Snapshot& snapshot, const proto::JobPlan& plan,
                            const FunctionRegistry& functions);

// Shards of keyed sinks that a smaller parallelism leaves behind.
std::vector<proto::SinkMarker> RetiredShards(const JobHistory& history, const proto::JobPlan& plan);

// The directory of a job's snapshots: its checkpoint_location, or one beside the journal in
// `directory`; empty = snapshots are not kept.
std::string SnapshotLocation(const JobSettings& settings, const std::string& directory);

// Asks every sink whether it can be written (the topic exists, the directory is writable).
absl::Status ProbeSinks(const proto::JobPlan& plan, const ConnectorRegistry& connectors,
                        absl::Duration timeout);

struct ResolvedSources {
  std::vector<std::unique_ptr<SourceEnumerator>> enumerators;  // one per source
  std::vector<SourceTraits> traits;                            // one per source
  std::vector<proto::PartitionStart> partitions;  // known partitions first, in their order
  std::vector<proto::RetiredPartition> retired;   // known partitions that are not read from now on
  std::vector<uint32_t> reopened;                 // retired partitions that are read again
  std::vector<std::string> notices;               // messages for people about the above
  std::vector<proto::JobSubmitted::BoundedEnd> stop_at;  // where a bounded job ends
};

// Finds the partitions of every source and the offsets where they start. Partitions that a
// savepoint knows start where it says. New partitions of a table that was read before, by the
// resumed job (`known` has its history) or by the savepoint's job, start at their earliest offset.
// All others start by the table's `start`; so do those of a table that now reads none of the
// partitions that it had. Known partitions are retired if the script no longer selects them, or if
// they are gone and the options allow that. `once`, or sources that are all bounded, also fix the
// ends. Each call to the outside has `timeout`.
absl::StatusOr<ResolvedSources> ResolveSources(const proto::JobPlan& plan, const std::string& name,
                                               const std::string& incarnation, bool once,
                                               const JobHistory* known,
                                               const proto::Savepoint* savepoint,
                                               const ConnectorRegistry& connectors,
                                               absl::Duration timeout);

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_SUBMISSION_SUBMISSION_H_
