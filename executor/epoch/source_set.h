// The readers of a job's epoch on this executor, one per source table, and how far each partition
// has been read and fetched.
//
// Thread-safe after Open.
#ifndef MILLRACE_EXECUTOR_EPOCH_SOURCE_SET_H_
#define MILLRACE_EXECUTOR_EPOCH_SOURCE_SET_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "connectors/registry.h"
#include "executor/epoch/epoch_layout.h"
#include "executor/epoch/memory_budget.h"
#include "proto/cluster.pb.h"

namespace millrace::executor {

class SourceSet {
 public:
  SourceSet(const EpochLayout* layout, const ConnectorRegistry* connectors, MemoryBudget* memory);
  ~SourceSet();  // stops the readers; may block on the connectors

  // Creates the readers and assigns the epoch's partitions. `on_progress` is called whenever
  // Progress may have changed.
  absl::Status Open(std::function<void()> on_progress);
  absl::Status Assign(const proto::PartitionStart& start);
  // Stops reading the partition.
  void Unassign(const proto::PartitionKey& partition);

  SourceReader* reader(uint32_t source) const { return readers_[source].get(); }

  // OK when the split begins where the reader of its partition stands; INTERNAL states the
  // difference.
  absl::Status CheckBegin(const proto::Split& split) const;
  void SetPosition(const proto::Split& split);

  // The partitions whose fetched offset has changed since the last call; empty when none has.
  std::vector<proto::SourceProgress::Partition> TakeProgress();
  // Called when what TakeProgress returned may not have arrived: the next TakeProgress returns all
  // partitions.
  void ForgetReported();

 private:
  using Key = std::pair<uint32_t, std::string>;

  const EpochLayout& layout_;
  const ConnectorRegistry& connectors_;
  MemoryBudget* const memory_;
  std::vector<int64_t> shares_;
  std::vector<std::unique_ptr<SourceReader>> readers_;

  mutable absl::Mutex mutex_;
  std::map<Key, int64_t> positions_ ABSL_GUARDED_BY(mutex_);
  std::map<Key, int64_t> reported_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_EPOCH_SOURCE_SET_H_
