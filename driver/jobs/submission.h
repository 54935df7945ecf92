// From a request to what is journaled about a new (or resumed) job: planning, checking, asking
// sources and sinks. Blocks on the network, so it runs on the caller's thread; thread-safe.
#ifndef MILLRACE_DRIVER_JOBS_SUBMISSION_H_
#define MILLRACE_DRIVER_JOBS_SUBMISSION_H_

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
#include "driver/batch/job_history.h"
#include "proto/jobs.pb.h"
#include "proto/journal.pb.h"

namespace millrace {

// INVALID_ARGUMENT for a name that would not do in a path, a consumer group or a line of a log.
// Journals of old may have such names.
absl::Status CheckJobName(std::string_view name);

struct PlannedSubmission {
  proto::JobPlan plan;  // parallelism 0 = not chosen
  JobSettings settings;
  std::vector<std::string> notices;
  std::string name;       // as asked for; empty: to be made up from `name_stem`
  std::string name_stem;  // the first sink's table
};

// Plans the script, validates every table with its connector, and refuses what the connectors'
// AccessPolicy does not let a script reach: paths, secrets, its checkpoint_location and the
// savepoint it begins with. Looks at the file system for links, no other I/O.
absl::StatusOr<PlannedSubmission> PlanSubmission(const proto::SubmitRequest& request,
                                                 const ConnectorRegistry& connectors,
                                                 const FunctionRegistry& functions);

// Keyed shards for a job that leaves the choice to us: 4 per slot, in [4, 64], never more than key
// groups.
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
// `plan` as planned; a parallelism of 0 means that of before. INVARIANT of a job's life: source and
// sink tables keep their places, new ones come behind them, and key groups stay:
// FAILED_PRECONDITION names what does not.
absl::StatusOr<PlanChange> ComparePlans(const JobHistory& history, const proto::JobPlan& plan);

// Whether the change has to wait until the job has been settled (JobState): while batches are in
// doubt, state after the last batch is in no snapshot, or sinks hold rows back.
bool NeedsSettling(const JobHistory& history, PlanChange change,
                   const ConnectorRegistry& connectors);

// FAILED_PRECONDITION lists state that has no place in the plan. REQUIRES: the job is settled.
absl::Status CheckStateFits(const proto::Snapshot& snapshot, const proto::JobPlan& plan,
                            const FunctionRegistry& functions);

// Shards of keyed sinks that a smaller parallelism leaves behind.
std::vector<proto::SinkMarker> RetiredShards(const JobHistory& history, const proto::JobPlan& plan);

// Where a job's snapshots are kept: its checkpoint_location, or beside the journal in `directory`;
// empty = nowhere.
std::string SnapshotLocation(const JobSettings& settings, const std::string& directory);

// Asks every sink whether it can be written (the topic exists, the directory is writable).
absl::Status ProbeSinks(const proto::JobPlan& plan, const ConnectorRegistry& connectors,
                        absl::Duration timeout);

struct ResolvedSources {
  std::vector<std::unique_ptr<SourceEnumerator>> enumerators;  // one per source
  std::vector<proto::PartitionStart> partitions;               // known ones first, as they were
  std::vector<proto::RetiredPartition> retired;                // known ones, not read from now on
  std::vector<uint32_t> reopened;                              // and those that are read again
  std::vector<std::string> notices;                            // what of it people should know
  std::vector<proto::JobSubmitted::BoundedEnd> stop_at;        // of a bounded job
};

// Finds the partitions of every source and where they start: new ones of a new job by the table's
// `start`, those that a savepoint knows where it says, new ones of a job that is resumed (`known`
// is what it has) or of a table that the savepoint knows at their earliest offset. A table that is
// changed to read other partitions than any that it had is new. Known partitions that the script
// does not select any more, or that are gone and may go, are retired. `once`, or sources that are
// all bounded, also fix the ends. Every call to the outside has `timeout`.
absl::StatusOr<ResolvedSources> ResolveSources(const proto::JobPlan& plan, const std::string& name,
                                               const std::string& incarnation, bool once,
                                               const JobHistory* known,
                                               const proto::Savepoint* savepoint,
                                               const ConnectorRegistry& connectors,
                                               absl::Duration timeout);

}  // namespace millrace

#endif  // MILLRACE_DRIVER_JOBS_SUBMISSION_H_
