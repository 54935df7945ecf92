// Tables in this process that tests (and people embedding the engine) fill and look at: what
// connector memory reads and writes. A table is known by name to the whole process and is made when
// it is first asked for. Thread-safe.
#ifndef MILLRACE_CONNECTORS_MEMORY_MEMORY_TABLES_H_
#define MILLRACE_CONNECTORS_MEMORY_MEMORY_TABLES_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "common/base/ids.h"
#include "common/columnar/batch.h"

namespace millrace {

class MemoryTable {
 public:
  // ---- As a source: rows per partition, in the order of the table's declared columns. ----

  // Adds rows at the end of a partition; partitions come into being with their first rows.
  void Append(uint32_t partition, const Batch& rows);
  // At least as many partitions as that.
  void SetPartitions(uint32_t partitions);
  uint32_t partitions() const;
  int64_t RowCount(uint32_t partition) const;

  // Rows from `begin` on of the appended batch they are in, at most `max_rows`; waits for them
  // until `deadline`. False: there are none.
  bool Read(uint32_t partition, int64_t begin, size_t max_rows, absl::Time deadline,
            Batch* rows) const;

  // `fn` is called after every Append, until the handle is gone.
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
  // Waits until `enough` of what is committed, or until `deadline`; what it last was.
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

  bool HasRow(uint32_t partition, int64_t row) const;

  mutable std::mutex mutex_;  // guards all below
  mutable std::condition_variable changed_;
  std::vector<Partition> partitions_;
  std::vector<Committed> committed_;
  std::map<int64_t, std::function<void()>> listeners_;
  int64_t next_listener_ = 0;
};

class MemoryTables {
 public:
  // The process's tables.
  static MemoryTables& Global();

  std::shared_ptr<MemoryTable> Table(std::string_view name);
  // Forgets a table; who holds it keeps it.
  void Drop(std::string_view name);

 private:
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<MemoryTable>, std::less<>> tables_;  // guarded by mutex_
};

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_MEMORY_MEMORY_TABLES_H_
