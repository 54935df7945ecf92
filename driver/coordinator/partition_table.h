// The partitions of one job as planning sees them, by ordinal, and those that were found and enter
// with the first batch that reads them. A partition's life:
//
//   found ──Admit──> open ──On(EndsKnown)──> closed ──TakeChanges──> retired
//     │                                         │                       │
//     │                                         │                 On(Discovered): found again
//     └──gone: DropGone                         └──gone and not read to its end: LostRecords
//
// Nothing more comes for a closed partition. It is retired once all of it that can be read is
// durably committed. A gone partition is a closed one of which nothing more can be read; if records
// of it were not read, the job has lost them. Offsets are those of the source, ranges are
// half-open, moments are monotonic and in microseconds.
//
// What the journal knows of partitions is JobHistory's; this table may be ahead of it by the
// records that are not durable yet. Invariants: ordinals are dense; planned_to never falls within
// an epoch, except in TakeBackPlans; high_watermark ≥ stable_end. Pure; thread-compatible.
#ifndef MILLRACE_DRIVER_COORDINATOR_PARTITION_TABLE_H_
#define MILLRACE_DRIVER_COORDINATOR_PARTITION_TABLE_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "driver/coordinator/batch_sizer.h"
#include "driver/coordinator/job_event.h"
#include "driver/coordinator/job_history.h"
#include "driver/coordinator/record_pace.h"
#include "driver/coordinator/split_planner.h"
#include "proto/cluster.pb.h"
#include "proto/journal.pb.h"

namespace millrace::driver {

// With batch_duration = 0 and a rate limit, plans are at least this far apart, so that each batch
// has a few records.
inline constexpr int64_t kLeastRatedIntervalUs = 10'000;

// max_rate_per_partition, as RecordPace wants it.
struct PartitionRate {
  int64_t records_per_second = 0;  // 0 = no limit
  int64_t first_us = 0;
  int64_t most_us = 0;
};

class PartitionTable {
 public:
  static constexpr uint32_t kNoOwner = UINT32_MAX;

  struct Partition {
    uint32_t source = 0;
    std::string name;
    std::string identity;
    std::string journaled_identity;
    bool closed = false;
    bool gone = false;     // closed, and the rest of it cannot be read any more
    std::string why;       // why it is closed
    bool retired = false;  // its retirement is journaled, durably or not
    int64_t planned_to = 0;
    int64_t stable_end = 0;  // the source's stable end or fetched_to, whichever is further
    int64_t high_watermark = 0;
    int64_t stop_at = INT64_MAX;  // where a bounded job ends
    RecordPace pace = {};
    uint32_t owner = kNoOwner;  // member index in this epoch
    RecordSize size = {};

    // The end of what it has and no batch has planned: [planned_to, this).
    int64_t ReadableEnd() const { return std::min(stable_end, stop_at); }
    // The same, but only what can still be read.
    int64_t PlannableEnd() const { return retired || gone ? planned_to : ReadableEnd(); }
  };

  // A partition that is in no plan yet, or a retired one that is read again.
  struct Found {
    uint32_t source = 0;
    std::string name;
    int64_t start = 0;
    int64_t stable_end = 0;
    int64_t high_watermark = 0;
    std::string topic_id;
    std::optional<uint32_t> ordinal = {};  // of a retired partition that is read again
    bool gone = false;
    std::string why = {};
    double bytes_per_offset = 0;

    bool HasInput() const { return stable_end > start; }
  };

  // Offsets [begin, end) of a partition were not read and are gone, and the table's options do not
  // let the job go on without them.
  struct LostRecords {
    uint32_t source = 0;
    std::string name;
    std::string why;
    int64_t begin = 0;
    int64_t end = 0;
  };

  // What has changed of partitions and the journal does not say yet.
  struct Changes {
    std::vector<proto::RetiredPartition> retired;
    std::vector<proto::PartitionsChanged::Identified> identified;
    // The job cannot go on, and none of the changes is to be journaled.
    std::optional<LostRecords> lost;
    // A partition that is retired is gone: batches that read it cannot be run again.
    bool ends_replays = false;
  };

  // `bounded`: the job ends when every partition has reached its stop_at.
  PartitionTable(bool bounded, PartitionRate rate);

  // ---- Epochs ----

  // Sets the partitions to where the history ends. Plans that are not in it are dropped by that;
  // what is known of ends stays.
  void Load(const JobHistory& history);
  // Takes the planned ends from the history, which has dropped withdrawn batches. Owners stay.
  void TakeBackPlans(const JobHistory& history);
  // The epoch is over: nobody is left who must hear of retired partitions or who reports progress.
  void EndEpoch();
  // The partitions that need an owner in this epoch: those that are read, for the first time or
  // again, and those whose rows a sink has not shown yet. `read_from`: per ordinal, where the epoch
  // begins to read; `hiding`: shards with rows yet to be shown.
  std::vector<uint32_t> ToPlace(const std::vector<int64_t>& read_from,
                                const std::set<uint32_t>& hiding) const;
  // Gives the partition ordinals[i] to member owners[i], and no other partition to anybody.
  void Place(const std::vector<uint32_t>& ordinals, const std::vector<uint32_t>& owners);

  // ---- News ----

  void On(const EndsKnown& event);
  // Ignored if the job is bounded: its end was fixed at submission.
  void On(const PartitionsDiscovered& event);
  void On(const proto::SourceProgress& progress);
  // A batch has read this of the partition. `is_new`: it was planned in this epoch, not run again.
  void OnRead(uint32_t ordinal, const proto::SplitReport& report, bool is_new);

  // ---- Planning ----

  // Whether a batch could read anything.
  bool HasInput() const;
  // Whether there is input, but the rate limit lets a batch that is planned now read none of it.
  bool IsHeldByRate(int64_t now_us);
  // Lets the partitions in that have been found and have input, and gives each an owner: the member
  // with the fewest partitions per slot. Partitions that have an owner keep it until the next
  // epoch. New partitions come first: they get the next ordinals.
  std::vector<proto::PartitionStart> Admit(const std::vector<uint32_t>& slots);
  // Per partition, what a batch that is planned now may read of it.
  std::vector<SplitDemand> Demands(const BatchSizer& sizer, int64_t now_us);
  // Plans so many offsets of each partition.
  std::vector<PlannedSplit> Plan(const std::vector<int64_t>& offsets);
  // Retired partitions that this epoch's executors have not been told of; each is returned once.
  std::vector<uint32_t> TakeRetiredUntold();
  // Whether every partition is planned to its stop_at; whether it is durably committed up to there.
  bool IsPlannedToStop() const;
  bool IsCommittedToStop(const JobHistory& history) const;

  // ---- What becomes of partitions ----

  // Whether TakeChanges has something to look at.
  bool MayHaveChanges() const { return may_have_changes_; }
  // Retires what is closed and at rest in `history`, and says what else has changed. REQUIRES: the
  // changes are journaled, or the job ends.
  Changes TakeChanges(const JobHistory& history);
  // The first partition that is gone before it was in any plan, if the job needs its records.
  std::optional<LostRecords> LostBeforePlan(const JobHistory& history) const;
  // Forgets partitions that are gone before they were in any plan.
  std::vector<PartitionsRetired::Retired> DropGone();

  // ---- Looking things up ----

  const std::vector<Partition>& all() const { return partitions_; }
  const std::vector<Found>& found() const { return found_; }
  size_t size() const { return partitions_.size(); }
  // REQUIRES: ordinal < size().
  const Partition& operator[](uint32_t ordinal) const { return partitions_[ordinal]; }
  std::optional<uint32_t> OrdinalOf(uint32_t source, const std::string& name) const;
  // The split as messages and records name it.
  proto::Split Describe(const PlannedSplit& split) const;
  // Those that are not retired.
  size_t CountRead() const;
  // Whether the last news of this source's ends came in executors' reports.
  bool ProgressLeads(uint32_t source) const;

 private:
  Partition* Find(uint32_t source, const std::string& name);
  int64_t Allowed(Partition* partition, int64_t now_us) const;
  void Retire(uint32_t ordinal, const JobHistory& history, Changes* changes);

  const bool bounded_;
  const PartitionRate rate_;
  std::vector<Partition> partitions_;
  std::map<std::pair<uint32_t, std::string>, uint32_t> ordinals_;
  std::vector<Found> found_;
  bool may_have_changes_ = true;
  std::vector<uint32_t> retired_untold_;     // this epoch's executors may still read them
  std::map<uint32_t, bool> progress_leads_;  // by source
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_COORDINATOR_PARTITION_TABLE_H_
