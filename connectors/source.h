// What a source connector is to the engine. Three roles: the Connector checks a table's options at
// submission; the Enumerator (driver) finds partitions and offsets; the Reader (executor)
// prefetches and hands out chunks of rows.
#ifndef MILLRACE_CONNECTORS_SOURCE_H_
#define MILLRACE_CONNECTORS_SOURCE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/ids.h"
#include "common/columnar/batch.h"
#include "common/expr/row_errors.h"
#include "common/types/sql_type.h"
#include "proto/plan.pb.h"

namespace millrace {

// A partition is known by its name, unique within the table and never used for another: "topic/3",
// a file's path. What comes later under a name that is taken has a number behind it (NextLife).
using PartitionName = std::string;

// "topic/3" → "topic/3#2" → "topic/3#3", and what was before the number.
PartitionName NextLife(const PartitionName& name);
PartitionName FirstLife(const PartitionName& name);
// Of two with one first name.
inline bool IsLaterLife(const PartitionName& name, const PartitionName& than) {
  return name.size() != than.size() ? name.size() > than.size() : name > than;
}

struct PartitionOffset {
  PartitionName partition;
  Offset offset;
};

// A partition as a job knows it.
struct KnownPartition {
  PartitionName name;
  Offset next;                // read, or to be read again, below; the log ends here or later
  std::string identity = {};  // as TopicIds gave it; empty = not known, taken as it is found
  bool retired = false;       // it is not read any more
};

enum class PartitionPhase {
  kOpen,
  kClosed,  // whole: nothing will come behind stable_end
  kGone,    // not there any more; stable_end is as far as it was ever seen
};

// Ends of a partition as seen at one moment.
struct PartitionEnd {
  PartitionName partition;
  Offset stable_end;            // LSO: every offset below may be planned
  Offset high_watermark;        // ≥ stable_end; what lies between belongs to open transactions
  double bytes_per_offset = 0;  // of what lies before it, where the source can tell; 0 = not known
  PartitionPhase phase = PartitionPhase::kOpen;
  std::string why = {};       // it is closed or gone, for people: "its topic was deleted"
  std::string identity = {};  // tells it from others better than what was known; empty = as before
};

// FAILED_PRECONDITION unless `now` may be the topic that `before` was: ids as
// SourceEnumerator::TopicIds gives them, empty where there is none.
absl::Status CheckTopicId(const PartitionName& partition, const std::string& before,
                          const std::string& now);

// The driver's view of a table. One thread at a time; every call returns within `timeout`
// (DEADLINE_EXCEEDED or UNAVAILABLE name the server that did not answer).
class SourceEnumerator {
 public:
  virtual ~SourceEnumerator() = default;

  // Tells what a job knows of partitions, replacing what was told of the same names before: at its
  // start, and whenever one has been found or retired. Those have the names that they had.
  virtual void Remember(const std::vector<KnownPartition>& known) { (void)known; }

  // All partitions there are now, but of retired ones only those that have something to read again.
  // NOT_FOUND names what is missing and what is near it.
  virtual absl::StatusOr<std::vector<PartitionName>> Discover(absl::Duration timeout) = 0;

  // Whether the table's options mean this partition, wherever it is. No I/O.
  virtual bool Selects(const KnownPartition& partition) const {
    (void)partition;
    return true;
  }

  // Whether partitions may come and go (topics by a pattern, files): Ends tells which are gone.
  // Otherwise one that is gone is an error.
  virtual bool may_lose_partitions() const { return false; }

  // Where a new job starts in these partitions, by the table's `start` option.
  virtual absl::StatusOr<std::vector<PartitionOffset>> ResolveStart(
      const std::vector<PartitionName>& partitions, absl::Duration timeout) = 0;
  // Where reading starts in a partition that appears while the job runs: its earliest offset.
  virtual absl::StatusOr<std::vector<PartitionOffset>> ResolveEarliest(
      const std::vector<PartitionName>& partitions, absl::Duration timeout) = 0;

  // In the same order. OUT_OF_RANGE or NOT_FOUND when a partition is gone (topic deleted) that may
  // not go.
  virtual absl::StatusOr<std::vector<PartitionEnd>> Ends(
      const std::vector<PartitionName>& partitions, absl::Duration timeout) = 0;

  // The identities of partitions that there are: what tells each from one of the same name in
  // another life, whose offsets mean other records (Kafka: the id of its topic, which a topic that
  // is deleted and made again does not keep). Empty where nothing tells.
  virtual absl::StatusOr<std::vector<std::string>> TopicIds(
      const std::vector<PartitionName>& partitions, absl::Duration timeout) {
    (void)timeout;
    return std::vector<std::string>(partitions.size());
  }

  // Tells the outside world how far the job has come (Kafka: the consumer group's committed
  // offsets). Informs, is not truth.
  virtual absl::Status PublishOffsets(const std::vector<PartitionOffset>& committed,
                                      absl::Duration timeout) = 0;

  // Whether an end before what has been read means that records were cut off, and not that the
  // source is yet to make them again.
  virtual bool keeps_records() const { return true; }

  // A bounded source has all its data now; nothing will be appended beyond Ends().
  virtual bool bounded() const { return false; }
};

// A record as it is outside, for the few that could not be used. What the connector does not have
// is absent.
struct RawRecord {
  std::optional<std::string_view> topic;  // of Kafka; a file's path
  std::optional<int32_t> partition;
  std::optional<int64_t> timestamp_us;
  std::optional<std::string_view> key;
  std::optional<std::string_view> value;
};

// Consecutive records of one partition, decoded.
struct SourceChunk {
  Batch batch;  // columns as in proto::Source.columns; physical row i is record i of the chunk
  std::vector<int64_t> offsets;  // of each record, ascending; gaps are normal
  Offset next;  // where the next Read goes on: > every offset here, past gaps and control records
  int64_t bytes = 0;  // of payload
  int64_t max_timestamp_us = INT64_MIN;
  uint64_t input_hash = 0;       // XXH3 over the records, seeded with Read's `hash_seed`
  std::vector<RowError> errors;  // records that could not be decoded; their rows are undefined
  // Row i of the chunk as a raw record, whose views live as long as this function; null where the
  // connector has rows, not bytes. Costs nothing until it is called.
  std::function<RawRecord(uint32_t row)> raw;
  // Offsets [lost_begin, lost_end) could not be read any more and were gone past, as the table's
  // on_data_loss = 'skip' allows; the chunk has no records then.
  Offset lost_begin;
  Offset lost_end;
};

// An executor's view: prefetches the assigned partitions continuously, within a bound in bytes
// shared by all of them. Assign, Unassign and Read of different partitions may be called from
// different threads; calls for one partition may not.
class SourceReader {
 public:
  virtual ~SourceReader() = default;

  // Starts to prefetch the partition at `next`. Errors of the connection appear from Read.
  virtual absl::Status Assign(const KnownPartition& partition) = 0;
  virtual void Unassign(const PartitionName& partition) = 0;

  // The next records of `partition` with offsets in [position, end), at most about `max_rows`,
  // where the position is what Assign or the last chunk's `next` said. Blocks until there are some,
  // until it is known that [position, end) has no more (then next == end), or until `deadline`
  // (DEADLINE_EXCEEDED). `hash_seed` chains SourceChunk::input_hash. Errors name the partition and
  // offset; UNAVAILABLE is worth another try, the others are not.
  virtual absl::StatusOr<SourceChunk> Read(const PartitionName& partition, Offset end,
                                           size_t max_rows, uint64_t hash_seed,
                                           absl::Time deadline) = 0;

  // Per assigned partition, the offset below which everything stable has been fetched (or read).
  // For partitions that cannot tell, the position. Thread-safe.
  virtual std::vector<PartitionOffset> FetchedTo() = 0;

  // Bytes of payload that an offset of the partition stands for, by what was fetched of it lately,
  // so that a plan can be cut by bytes before anything is read; 0 = not known. Thread-safe.
  virtual double BytesPerOffset(const PartitionName& partition) {
    (void)partition;
    return 0;
  }
};

// What a reader or enumerator may use and must respect.
struct SourceContext {
  std::string job_name;
  std::string incarnation;
  int64_t prefetch_bytes = 64 << 20;  // bound for all partitions of this reader
  // Whether records of open and aborted transactions are read too (the setting isolation_level);
  // sources without transactions have nothing to heed.
  bool read_uncommitted = false;
  // Called from any thread whenever FetchedTo may have advanced; cheap, may be null.
  std::function<void()> on_progress;
};

class SourceConnector {
 public:
  virtual ~SourceConnector() = default;

  // Checks options and columns at submission without any I/O; the message lists what is allowed.
  // Secrets are unresolved.
  virtual absl::Status Validate(const proto::Source& source) const = 0;

  // Hidden columns the connector offers besides the table's ("_offset" bigint, …), for the binder.
  virtual std::vector<std::pair<std::string, SqlType>> MetadataColumns() const = 0;

  // Connects lazily: errors appear from the enumerator's and reader's calls.
  virtual absl::StatusOr<std::unique_ptr<SourceEnumerator>> CreateEnumerator(
      const proto::Source& source, const SourceContext& context) const = 0;
  virtual absl::StatusOr<std::unique_ptr<SourceReader>> CreateReader(
      const proto::Source& source, const SourceContext& context) const = 0;
};

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_SOURCE_H_
