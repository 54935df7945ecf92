// Reads one split of a batch and runs it through the stages of its source. Works on a slot in steps
// of one chunk. When there is nothing to read yet, or peers cannot take more rows, it gives up its
// slot and comes back later.
#ifndef MILLRACE_EXECUTOR_EPOCH_SOURCE_TASK_H_
#define MILLRACE_EXECUTOR_EPOCH_SOURCE_TASK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/expr/function_registry.h"
#include "executor/epoch/batch_run.h"
#include "executor/epoch/chunk_sizer.h"
#include "executor/epoch/job_metrics.h"
#include "executor/epoch/source_set.h"
#include "executor/epoch/task_host.h"
#include "executor/epoch/task_outputs.h"
#include "executor/epoch/task_pool.h"
#include "executor/operators/stage_pipeline.h"
#include "executor/shuffle/flow_gate.h"
#include "proto/cluster.pb.h"

namespace millrace::executor {

// What processes a split: a pipeline for each stage that reads its source.
struct SourceWorker {
  std::vector<std::unique_ptr<SourcePipeline>> pipelines;
  std::unique_ptr<TaskOutputs> outputs;
  ChunkSizer chunk_sizer;
};

// Keeps workers between splits, so that their tables and buffers can be used again. Thread-safe.
class SourceWorkers {
 public:
  SourceWorkers(const EpochLayout* layout, const FunctionRegistry* functions, OutputRouter* router);

  absl::StatusOr<std::unique_ptr<SourceWorker>> Take(uint32_t source);
  void Return(uint32_t source, std::unique_ptr<SourceWorker> worker);

 private:
  const EpochLayout& layout_;
  const FunctionRegistry& functions_;
  OutputRouter* const router_;
  absl::Mutex mutex_;
  std::vector<std::vector<std::unique_ptr<SourceWorker>>> free_ ABSL_GUARDED_BY(mutex_);
};

// What all source tasks of an epoch share; outlives them.
struct SourceTaskContext {
  const EpochLayout* layout = nullptr;
  SourceSet* sources = nullptr;
  SourceWorkers* workers = nullptr;
  FlowGate* gate = nullptr;
  const TaskPool* slots = nullptr;
  JobMetrics* metrics = nullptr;
};

class SourceTask : public std::enable_shared_from_this<SourceTask> {
 public:
  // `host` is kept as long as the task.
  SourceTask(std::shared_ptr<TaskHost> host, const SourceTaskContext* context,
             std::shared_ptr<BatchRun> run, proto::Split split);

  void Start();

 private:
  enum class Step {
    kAgain,
    kAside,   // lets urgent tasks go first
    kYield,   // has nothing to read
    kParked,  // resumes through the gate
    kEnd,
  };

  void Submit(QueuePlace place);
  void Run();
  absl::StatusOr<Step> ReadAndPush();
  absl::Status EnsureWorker();
  absl::Status NoteLost(const SourceChunk& chunk);
  absl::Status Push(const SourceChunk& chunk);
  absl::Status WriteFailed(const SourceChunk& chunk,
                           const std::map<uint32_t, absl::Status>& failed);
  absl::Status End();

  const std::shared_ptr<TaskHost> host_;
  const SourceTaskContext& context_;
  const std::shared_ptr<BatchRun> run_;
  const proto::Split split_;
  std::unique_ptr<SourceWorker> worker_;
  proto::SplitReport report_;
  int64_t failed_records_ = 0;  // written to the error table
  bool read_all_ = false;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_EPOCH_SOURCE_TASK_H_
