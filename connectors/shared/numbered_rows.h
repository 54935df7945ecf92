// For source connectors that have rows instead of bytes: a table's partitions are CONNECTOR/0,
// CONNECTOR/1, …, and an offset is the number of a row in its partition, from 0 and without gaps.
// Such a connector writes its RowCounts, its Read, and the check of its options.
#ifndef MILLRACE_CONNECTORS_SHARED_NUMBERED_ROWS_H_
#define MILLRACE_CONNECTORS_SHARED_NUMBERED_ROWS_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "connectors/shared/options.h"
#include "connectors/source.h"

namespace millrace {

// The 3 of "generator/3"; NOT_FOUND unless it is one of the first `partitions`, and says which
// there are.
absl::StatusOr<uint32_t> PartitionNumber(const PartitionName& name, std::string_view connector,
                                         size_t partitions = SIZE_MAX);

// The hidden columns: _partition integer, _offset bigint.
MetadataColumnList NumberedRowsMetadata();
// One of them, by name, for rows [begin, begin + count) of a partition.
ColumnPtr NumberedRowsColumn(std::string_view name, uint32_t partition, int64_t begin,
                             size_t count);

// What is left for a connector is how many rows there are.
class NumberedRowsEnumerator : public SourceEnumerator {
 public:
  explicit NumberedRowsEnumerator(std::string connector) : connector_(std::move(connector)) {}

  absl::StatusOr<std::vector<PartitionName>> Discover(absl::Duration timeout) override;
  absl::StatusOr<std::vector<PartitionOffset>> ResolveStart(
      const std::vector<PartitionName>& partitions, absl::Duration timeout) override;
  absl::StatusOr<std::vector<PartitionOffset>> ResolveEarliest(
      const std::vector<PartitionName>& partitions, absl::Duration timeout) override;
  absl::StatusOr<std::vector<PartitionEnd>> Ends(const std::vector<PartitionName>& partitions,
                                                 absl::Duration timeout) override;
  // Does nothing: nobody else looks at these offsets.
  absl::Status PublishOffsets(const std::vector<PartitionOffset>& committed,
                              absl::Duration timeout) override;

 protected:
  // The number of rows that each partition has by now.
  virtual absl::StatusOr<std::vector<int64_t>> RowCounts() = 0;

 private:
  const std::string connector_;
};

// The next row of each partition that a reader has been assigned. Thread-safe.
class ReadPositions {
 public:
  void Assign(const KnownPartition& partition);
  void Unassign(const PartitionName& partition);
  // FAILED_PRECONDITION: the partition is not assigned.
  absl::StatusOr<int64_t> Get(const PartitionName& partition) const;
  // Has no effect if the partition is not assigned any more.
  void Set(const PartitionName& partition, Offset next);
  std::vector<PartitionOffset> All() const;

 private:
  mutable absl::Mutex mutex_;
  std::map<PartitionName, Offset> next_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_SHARED_NUMBERED_ROWS_H_
