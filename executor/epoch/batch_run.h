// One batch on this executor while it runs: what is left to do, which exchanges have ended, and
// what the tasks have reported. Only counts and collects; JobEpoch acts on it. Thread-safe.
#ifndef MILLRACE_EXECUTOR_EPOCH_BATCH_RUN_H_
#define MILLRACE_EXECUTOR_EPOCH_BATCH_RUN_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/base/ids.h"
#include "connectors/held_memory.h"
#include "connectors/sink.h"
#include "executor/epoch/epoch_layout.h"
#include "executor/operators/stage_pipeline.h"
#include "proto/cluster.pb.h"

namespace millrace::executor {

class OpenSession;

class BatchRun {
 public:
  BatchRun(const EpochLayout& layout, const proto::RunBatch& message, int64_t start_ns);

  BatchId batch() const { return batch_; }
  int64_t time_us() const { return time_us_; }
  int64_t start_ns() const { return start_ns_; }
  // Whether the batch's output is committed already: then it only builds state and writes nothing.
  bool suppressed() const { return suppressed_; }
  // The batch as a shard of a sink takes it: the driver may have said that it is visible there.
  SinkBatch ForShard(ShardPlace shard) const;

  // What follows when stages have ended.
  struct Consequences {
    std::vector<uint32_t> exchanges;  // this executor writes nothing more to these
    bool sources_ended = false;       // the last split is done
    bool all_ended = false;
  };
  // Ends the stages that have nothing to run here. Call once, first.
  Consequences EndEmptyStages();
  // A split or keyed shard of the stage is done.
  Consequences UnitEnded(uint32_t stage);

  // Counts a block that was sent. `member`: index in the layout.
  void CountSent(uint32_t exchange, uint32_t member);
  uint64_t Sent(uint32_t exchange, uint32_t member) const;
  // Counts a block that was received. ABORTED when the member has already ended the exchange.
  absl::Status CountReceived(uint32_t exchange, uint32_t member);
  // The member has ended the exchange after `blocks` blocks. True when it was the last member to do
  // so. ABORTED when blocks of it are missing, or it has ended the exchange before.
  absl::StatusOr<bool> MemberEnded(uint32_t exchange, uint32_t member, uint64_t blocks);

  void AddReport(proto::SplitReport report);
  void AddSkipped(const SkipReport& report);
  void AddRowsOut(int64_t rows) { rows_out_.fetch_add(rows, std::memory_order_relaxed); }
  // Adds a session that commits the batch, if it is not there yet: it has rows or has refused some.
  void AddSession(OpenSession* session);
  // Adds a session that was opened for this batch. To be called before its tasks begin.
  void AddClaimed(const OpenSession* session) { claimed_.push_back(session); }
  const std::vector<const OpenSession*>& claimed() const { return claimed_; }
  // Adds encoded rows for a person, in order per sink and shard. They count in `memory` like
  // uncommitted rows of other sinks; returns its error if there is no memory.
  absl::Status AddResult(uint32_t sink, uint32_t shard, std::string rows,
                         const std::shared_ptr<HeldMemory>& memory);

  // Valid once all tasks have ended.
  std::set<OpenSession*> TakeSessions();
  // By sink, then shard.
  std::vector<std::pair<uint32_t, std::string>> TakeResults();
  void FillPrepared(proto::BatchPrepared* prepared);
  void set_read_us(int64_t read_us) { read_us_.store(read_us); }

 private:
  struct Exchange {
    size_t feeders_left = 0;
    size_t members_left = 0;
    std::vector<uint64_t> received;
    std::vector<bool> ended;  // by member: a second end would be taken for another member's
  };

  absl::Status AfterEnd(uint32_t exchange, uint32_t member) const;
  void EndStage(uint32_t stage, Consequences* consequences) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const EpochLayout& layout_;
  const BatchId batch_;
  const int64_t time_us_;
  const int64_t start_ns_;
  const bool suppressed_;
  std::map<ShardPlace, std::string> visible_;  // the terms by which each was judged
  std::vector<const OpenSession*> claimed_;
  std::vector<std::atomic<uint64_t>> sent_;  // [exchange · members + member]
  std::atomic<int64_t> rows_out_ = 0;
  std::atomic<int64_t> read_us_ = 0;

  mutable absl::Mutex mutex_;
  std::vector<size_t> units_left_ ABSL_GUARDED_BY(mutex_);
  size_t stages_left_ ABSL_GUARDED_BY(mutex_);
  size_t source_stages_left_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<Exchange> exchanges_ ABSL_GUARDED_BY(mutex_);
  std::vector<proto::SplitReport> reports_ ABSL_GUARDED_BY(mutex_);
  SkipReport skipped_ ABSL_GUARDED_BY(mutex_);
  std::set<OpenSession*> sessions_ ABSL_GUARDED_BY(mutex_);
  std::map<std::pair<uint32_t, uint32_t>, std::vector<std::string>> results_
      ABSL_GUARDED_BY(mutex_);
  HeldBytes results_memory_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_EPOCH_BATCH_RUN_H_
