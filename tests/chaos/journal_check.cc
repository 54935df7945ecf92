// Reads a driver's journal and checks what must hold of it whatever happened: epochs rise, batches
// follow each other, each partition's ranges are contiguous from batch to batch, a batch that is
// planned again is planned as before unless it was withdrawn, and nothing is committed that was not
// planned. Prints one JSON object; exit code 0: all of that holds, 1: not, 2: wrong usage.
//
//   journal_check DIRECTORY JOB
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/storage/file_system.h"
#include "driver/journal/journal_reader.h"

namespace millrace::chaos {
namespace {

using Partition = std::pair<uint32_t, std::string>;  // source, name

class JournalCheck {
 public:
  explicit JournalCheck(std::string job_name) : job_name_(std::move(job_name)) {}

  absl::Status Take(const proto::JournalRecord& record) {
    if (record.has_job_submitted()) {
      Submitted(record.job_submitted());
    } else if (record.has_job_checkpoint()) {
      BeginAt(record.job_checkpoint());
    } else if (record.has_checkpoint_plans() && record.checkpoint_plans().job_id() == job_id_) {
      BeginWith(record.checkpoint_plans());
    } else if (record.has_epoch_started() && record.epoch_started().job_id() == job_id_) {
      Epoch(record.epoch_started().epoch());
    } else if (record.has_batch_planned() && record.batch_planned().job_id() == job_id_) {
      Planned(record.batch_planned());
    } else if (record.has_batches_abandoned() && record.batches_abandoned().job_id() == job_id_) {
      Abandoned(record.batches_abandoned().batch());
    } else if (record.has_batch_committed() && record.batch_committed().job_id() == job_id_) {
      Committed(record.batch_committed());
    } else if (record.has_snapshot_completed() && record.snapshot_completed().job_id() == job_id_) {
      if (record.snapshot_completed().snapshot().batch() > committed_) {
        Problem(absl::StrCat("a snapshot of batch ", record.snapshot_completed().snapshot().batch(),
                             " counts before its commit"));
      }
      ++snapshots_;
    }
    return absl::OkStatus();
  }

  nlohmann::ordered_json Report() const {
    nlohmann::ordered_json ends = nlohmann::ordered_json::object();
    for (const auto& [partition, offset] : positions_) {
      ends[partition.second] = offset;
    }
    return {{"planned", planned_.empty() ? 0 : planned_.rbegin()->first},
            {"committed", committed_},
            {"epochs", epochs_},
            {"snapshots", snapshots_},
            {"ends", ends},
            {"problems", problems_}};
  }
  bool right() const { return problems_.empty(); }

 private:
  static Partition KeyOf(const proto::PartitionKey& key) { return {key.source(), key.partition()}; }

  void Problem(const std::string& text) { problems_.push_back(text); }

  // The last job of that name counts; one that goes on keeps its id.
  void Submitted(const proto::JobSubmitted& job) {
    if (job.name() != job_name_ || job.job_id() == job_id_) {
      return;
    }
    const std::string name = job_name_;
    *this = JournalCheck(name);
    job_id_ = job.job_id();
    for (const proto::PartitionStart& start : job.partitions()) {
      positions_[KeyOf(start.key())] = start.offset();
    }
  }

  // What the journal had before its oldest segment that is there.
  void BeginAt(const proto::JobCheckpoint& job) {
    if (job.submitted().name() != job_name_) {
      return;
    }
    const std::string name = job_name_;
    *this = JournalCheck(name);
    job_id_ = job.submitted().job_id();
    epoch_ = job.last_epoch();
    committed_ = job.last_committed();
    begun_with_ = job.last_planned();
    for (const proto::CheckpointPartition& partition : job.partitions()) {
      partitions_.push_back(KeyOf(partition.start().key()));
      positions_[partitions_.back()] = partition.planned_to();
    }
  }

  void BeginWith(const proto::CheckpointPlans& plans) {
    for (const proto::CheckpointPlans::Plan& kept : plans.plans()) {
      proto::BatchPlanned& plan = planned_[kept.batch()];
      plan.set_batch(kept.batch());
      plan.set_batch_time_us(kept.batch_time_us());
      for (const proto::CheckpointPlans::Range& range : kept.splits()) {
        proto::Split* split = plan.add_splits();
        split->mutable_key()->set_source(partitions_.at(range.ordinal()).first);
        split->mutable_key()->set_partition(partitions_.at(range.ordinal()).second);
        split->set_begin(range.begin());
        split->set_end(range.end());
      }
    }
  }

  void Epoch(int64_t epoch) {
    if (epoch <= epoch_) {
      Problem(absl::StrCat("epoch ", epoch, " after epoch ", epoch_));
    }
    epoch_ = epoch;
    ++epochs_;
  }

  void Planned(const proto::BatchPlanned& plan) {
    const int64_t expected = planned_.empty() ? begun_with_ + 1 : planned_.rbegin()->first + 1;
    const auto known = planned_.find(plan.batch());
    if (known != planned_.end()) {
      if (!SameRanges(known->second, plan)) {
        Problem(absl::StrCat("batch ", plan.batch(), " is planned again with other ranges"));
      }
      return;
    }
    if (plan.batch() != expected) {
      Problem(absl::StrCat("batch ", plan.batch(), " is planned where ", expected, " is next"));
    }
    for (const proto::PartitionStart& start : plan.new_partitions()) {
      positions_.emplace(KeyOf(start.key()), start.offset());
    }
    for (const proto::Split& split : plan.splits()) {
      int64_t& position = positions_[KeyOf(split.key())];
      if (split.begin() != position || split.end() < split.begin()) {
        Problem(absl::StrCat("batch ", plan.batch(), " reads ", split.key().partition(), " from ",
                             split.begin(), " to ", split.end(), ", the batches before it end at ",
                             position));
      }
      position = split.end();
    }
    planned_[plan.batch()] = plan;
  }

  static bool SameRanges(const proto::BatchPlanned& a, const proto::BatchPlanned& b) {
    if (a.splits_size() != b.splits_size() || a.batch_time_us() != b.batch_time_us()) {
      return false;
    }
    for (int i = 0; i < a.splits_size(); ++i) {
      if (KeyOf(a.splits(i).key()) != KeyOf(b.splits(i).key()) ||
          a.splits(i).begin() != b.splits(i).begin() || a.splits(i).end() != b.splits(i).end()) {
        return false;
      }
    }
    return true;
  }

  void Abandoned(int64_t from) {
    if (from <= committed_) {
      Problem(absl::StrCat("batch ", from, " is withdrawn, but ", committed_, " is committed"));
    }
    while (!planned_.empty() && planned_.rbegin()->first >= from) {
      for (const proto::Split& split : planned_.rbegin()->second.splits()) {
        positions_[KeyOf(split.key())] = split.begin();
      }
      planned_.erase(std::prev(planned_.end()));
    }
  }

  void Committed(const proto::BatchCommittedRecord& commit) {
    const auto plan = planned_.find(commit.batch());
    if (commit.batch() != committed_ + 1) {
      Problem(absl::StrCat("batch ", commit.batch(), " is committed after ", committed_));
    }
    committed_ = commit.batch();
    if (plan == planned_.end()) {
      Problem(absl::StrCat("batch ", commit.batch(), " is committed without a plan"));
      return;
    }
    std::map<Partition, std::pair<int64_t, int64_t>> ranges;
    for (const proto::Split& split : plan->second.splits()) {
      ranges[KeyOf(split.key())] = {split.begin(), split.end()};
    }
    for (const proto::SplitReport& report : commit.splits()) {
      const auto range = ranges.find(KeyOf(report.key()));
      if (range == ranges.end() || range->second != std::make_pair(report.begin(), report.end())) {
        Problem(absl::StrCat("batch ", commit.batch(), " has read ", report.key().partition(), " ",
                             report.begin(), "–", report.end(), ", which is not its plan"));
      }
    }
  }

  std::string job_name_;
  std::string job_id_;
  std::map<Partition, int64_t> positions_;  // where the next batch begins
  std::map<int64_t, proto::BatchPlanned> planned_;
  std::vector<Partition> partitions_;  // by ordinal, of a checkpoint
  int64_t begun_with_ = 0;             // batches that the checkpoint calls planned
  int64_t committed_ = 0;
  int64_t epoch_ = 0;
  int64_t epochs_ = 0;
  int64_t snapshots_ = 0;
  std::vector<std::string> problems_;
};

int Main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: journal_check DIRECTORY JOB" << std::endl;
    return 2;
  }
  JournalCheck check(argv[2]);
  const absl::Status read = driver::ReadJournalRecords(
      FileSystem::Real(), argv[1],
      [&](const proto::JournalRecord& record) { return check.Take(record); });
  nlohmann::ordered_json report = check.Report();
  if (!read.ok()) {
    report["problems"].push_back(std::string(read.message()));
  }
  std::cout << report.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << std::endl;
  return check.right() && read.ok() ? 0 : 1;
}

}  // namespace
}  // namespace millrace::chaos

int main(int argc, char** argv) { return millrace::chaos::Main(argc, argv); }
