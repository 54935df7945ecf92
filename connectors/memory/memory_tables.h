// Tables in this process that tests, and programs that embed the engine, fill and read: the data of
// connector memory. The whole process knows a table by its name; the first use makes it.
// Thread-safe.
#ifndef MILLRACE_CONNECTORS_MEMORY_MEMORY_TABLES_H_
#define MILLRACE_CONNECTORS_MEMORY_MEMORY_TABLES_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/ids.h"
#include "common/base/monotonic_cond_var.h"
#include "common/columnar/batch.h"

namespace millrace::memory {

class MemoryTable {
 public:
  // ---- As a source: rows per partition, in the order of the table's declared columns. ----

  // Adds rows at the end of a partition; a partition exists from its first rows on.
  void Append(uint32_t partition, const Batch& rows);
  // Makes sure that there are at least this many partitions.
  void SetPartitions(uint32_t partitions);
  uint32_t partitions() const;
  int64_t RowCount(uint32_t partition) const;

  // Returns at most `max_rows` rows from `begin` on, all of one appended batch; waits for them
  // until `deadline` (SteadyNow()). False: there are none.
  bool Read(uint32_t partition, int64_t begin, size_t max_rows, absl::Time deadline,
            Batch* rows) const;

  // Calls `fn` after every Append, until the handle is destroyed.
  std::shared_ptr<void> OnAppend(std::function<void()> fn);

  // ---- As a sink: rows that were committed, in order of commit. ----

  struct Committed {
    BatchId batch;
    int64_t batch_time_us = 0;
    uint32_t sink = 0;
    uint32_t shard = 0;
    Batch rows;  // with weights if the sink's query retracts
  };
  void Commit(Committed committed);
  std::vector<Committed> committed() const;
  // Waits until `enough` holds for the committed rows, or until `deadline` (SteadyNow()). Returns
  // what it last returned.
  bool WaitForCommitted(const std::function<bool(const std::vector<Committed>&)>& enough,
                        absl::Time deadline) const;

 private:
  struct Segment {
    int64_t begin;
    Batch rows;
  };
  struct Partition {
    std::vector<Segment> segments;
    int64_t end = 0;
  };

  bool HasRow(uint32_t partition, int64_t row) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  mutable MonotonicCondVar changed_;
  std::vector<Partition> partitions_ ABSL_GUARDED_BY(mutex_);
  std::vector<Committed> committed_ ABSL_GUARDED_BY(mutex_);
  std::map<int64_t, std::function<void()>> listeners_ ABSL_GUARDED_BY(mutex_);
  int64_t next_listener_ ABSL_GUARDED_BY(mutex_) = 0;
};

class MemoryTables {
 public:
  // The process's tables.
  static MemoryTables& Global();

  std::shared_ptr<MemoryTable> Table(std::string_view name);
  // Forgets a table; existing references to it stay valid.
  void Drop(std::string_view name);

 private:
  absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<MemoryTable>, std::less<>> tables_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace millrace::memory

#endif  // MILLRACE_CONNECTORS_MEMORY_MEMORY_TABLES_H_
