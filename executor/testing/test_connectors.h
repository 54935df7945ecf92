// Connectors for the executor's tests: a source of lines in memory and sinks that remember what was
// committed. Thread-safe.
#ifndef MILLRACE_EXECUTOR_TESTING_TEST_CONNECTORS_H_
#define MILLRACE_EXECUTOR_TESTING_TEST_CONNECTORS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/base/monotonic_cond_var.h"
#include "connectors/registry.h"

namespace millrace::executor {

// A topic: lines by partition, the offset is the line's index. Tables have one text column, "line";
// the line "<bad>" cannot be decoded.
class TestTopic {
 public:
  void Append(const std::string& partition, std::vector<std::string> lines);
  // Lines from `offset` on exist, but cannot be read before Release.
  void Withhold(const std::string& partition, int64_t offset);
  void Release(const std::string& partition);
  // Lets reads of the partition fail from now on.
  void Break(const std::string& partition, absl::Status status);

  // Reads lines; blocks like SourceReader::Read.
  absl::StatusOr<SourceChunk> Read(const std::string& partition, int64_t position, int64_t end,
                                   size_t max_rows, uint64_t hash_seed, absl::Time deadline);
  // Waits until a task has read the lines below `offset`.
  void WaitUntilRead(const std::string& partition, int64_t offset);
  int64_t Readable(const std::string& partition) const;

 private:
  struct Partition {
    std::vector<std::string> lines;
    int64_t withheld_from = INT64_MAX;
    int64_t read_to = 0;
    absl::Status broken;
  };

  mutable absl::Mutex mutex_;
  MonotonicCondVar changed_;
  std::map<std::string, Partition> partitions_ ABSL_GUARDED_BY(mutex_);
};

// The calls of sinks, over all epochs and executors of a test.
class TestOutput {
 public:
  // Committed rows as text, "a|b|-1" with the weight last when it is not 1; in order per sink
  // shard.
  std::vector<std::string> Rows() const;
  // The rows of one batch, sorted.
  std::vector<std::string> RowsOf(int64_t batch) const;
  // "open 0/3 ''", "note 0/3 b1 at 1000000", "prepare 0/3 b1", "finish 0/3", "commit 0/3 b1",
  // "settle 0/3 b1", "close 0/3".
  std::vector<std::string> Events() const;

  // Sets the rows, as text, that no sink takes.
  void Refuse(std::set<std::string> rows);
  // Lets the next `times` commits fail with this status.
  void FailCommits(int times, absl::Status status);
  void FailSettling(absl::Status status);
  void FailOpening(absl::Status status);
  // Sets the time at which all sessions, or that of one "sink/shard", want to be woken; 0 = never.
  void WakeAt(int64_t batch_time_us);
  void WakeOneAt(const std::string& session, int64_t batch_time_us);
  // Claims and commits of the job hang until Release.
  void Hang(const std::string& job);
  void Release();
  // Waits until this many calls hang.
  void WaitUntilHanging(int calls);
  // Sets a callback that Commit calls without a lock.
  void OnCommit(std::function<void()> callback);

  // For the sinks: what they have done, and what the test wants of them. A claim and a commit begin
  // with a call that hangs while the test wants that, and returns the error that it wants.
  void Add(std::string event);
  void AddRow(BatchId batch, std::string row);
  RowErrors RefusedOf(const Batch& rows) const;
  absl::Status BeginOpening(const std::string& job);
  absl::Status BeginCommit(const std::string& job);

 private:
  friend class TestSession;
  void HangIfTold(const std::string& job);

  mutable absl::Mutex mutex_;
  std::vector<std::pair<int64_t, std::string>> rows_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> events_ ABSL_GUARDED_BY(mutex_);
  // By "sink/shard": the last committed batch, which the next session of the shard finds.
  std::map<std::string, BatchId> committed_ ABSL_GUARDED_BY(mutex_);
  int64_t wake_at_us_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, int64_t> wakes_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> refused_rows_ ABSL_GUARDED_BY(mutex_);
  absl::Status settle_failure_ ABSL_GUARDED_BY(mutex_);
  absl::Status open_failure_ ABSL_GUARDED_BY(mutex_);
  int failures_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> on_commit_ ABSL_GUARDED_BY(mutex_);
  std::string hanging_job_ ABSL_GUARDED_BY(mutex_);  // empty = none
  int hanging_calls_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Source "test", sinks "test", "test-print" (gathered) and "test-shared" (shared_test_sink.h). Both
// outlive the registry.
std::unique_ptr<ConnectorRegistry> TestConnectors(TestTopic* topic, TestOutput* output,
                                                  AccessPolicy access = AccessPolicy());

// The selected rows in the form of TestOutput::Rows.
std::vector<std::string> RowsAsText(const Batch& batch);

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_TESTING_TEST_CONNECTORS_H_
