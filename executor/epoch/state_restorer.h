// Restores the state of a snapshot into an epoch's keyed shards before the first batch: layer by
// layer, the shards side by side. Every file that has something for this executor is read once.
//
// Keeps itself alive until it is done or the epoch has ended.
#ifndef MILLRACE_EXECUTOR_EPOCH_STATE_RESTORER_H_
#define MILLRACE_EXECUTOR_EPOCH_STATE_RESTORER_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/storage/checkpoint_store.h"
#include "executor/epoch/epoch_layout.h"
#include "executor/epoch/keyed_shard.h"
#include "executor/epoch/task_host.h"
#include "executor/state/snapshot/snapshot_file.h"
#include "proto/checkpoint.pb.h"

namespace millrace::executor {

class StateRestorer : public std::enable_shared_from_this<StateRestorer> {
 public:
  // All outlive the restorer; `layout.restore` has layers.
  StateRestorer(TaskHost* host, const EpochLayout* layout, CheckpointStore* store,
                std::vector<KeyedShard*> shards);

  // Calls `done` when all state is restored. An error fails the epoch, without naming a batch:
  // DATA_LOSS when a file cannot be read or is not what was written, FAILED_PRECONDITION when it
  // does not fit the plan or this version. Both name the file.
  void Start(std::function<void()> done);

 private:
  void StartLayer();
  void ReadFile(size_t index);
  void ApplyLayer();
  absl::Status ApplyTo(KeyedShard* shard) const;
  absl::Status ApplyFile(const SnapshotFileReader& file, const proto::StateIdentity& identity,
                         KeyedShard* shard) const;
  // Whether the plan takes the snapshot's state of this operator.
  bool Wanted(const std::string& operator_name) const;

  TaskHost* const host_;
  const EpochLayout& layout_;
  CheckpointStore* const store_;
  const std::vector<KeyedShard*> shards_;
  std::function<void()> done_;
  int layer_ = 0;
  std::vector<const proto::SnapshotFile*> files_;  // files of the layer that have our key groups
  std::vector<std::optional<SnapshotFileReader>> readers_;  // readers of these files
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_EPOCH_STATE_RESTORER_H_
