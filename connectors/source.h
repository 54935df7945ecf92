// The interface of source connectors. It has three roles: the Connector checks a table's options at
// submission; the Enumerator (driver) finds partitions and offsets; the Reader (executor)
// prefetches, and returns chunks of rows.
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

// A partition's name is unique within the table and never used for another partition: "topic/3", a
// file's path. A later partition under a name that is taken gets a number behind it (NextLife).
using PartitionName = std::string;

// "topic/3" → "topic/3#2" → "topic/3#3"; and the name without the number.
PartitionName NextLife(const PartitionName& name);
PartitionName FirstLife(const PartitionName& name);
// Whether `name` is a later life than `than`. REQUIRES: they have the same first name.
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
  Offset next;  // records below were read, or will be read again; the log ends here or later
  std::string identity = {};  // as Identities returned it; empty = not known yet, any will do
  bool retired = false;       // not read any more
};

enum class PartitionPhase {
  kOpen,
  kClosed,  // nothing will be appended behind stable_end
  kGone,    // does not exist any more; stable_end is the furthest end that was seen
};

// The ends of a partition at one moment.
struct PartitionEnd {
  PartitionName partition;
  Offset stable_end;  // every offset below may be planned
  Offset end;         // ≥ stable_end; what lies between them is not whole yet: records of open
                      // transactions, a line that is still being written
  // Average size below the end, where the source can tell; 0 = not known.
  double bytes_per_offset = 0;
  PartitionPhase phase = PartitionPhase::kOpen;
  std::string why = {};       // why it is closed or gone, for people: "its topic was deleted"
  std::string identity = {};  // a better identity than the known one; empty = as before
};

// FAILED_PRECONDITION unless the partition that now has the identity `now` may be the one that had
// the identity `before`. Both are as SourceEnumerator::Identities returns them, empty if there is
// none.
absl::Status CheckIdentity(const PartitionName& partition, const std::string& before,
                           const std::string& now);

// What the engine must know of a source table to plan and watch it, so that it need not ask which
// connector the table has.
struct SourceTraits {
  // The option whose value is a path on the machine that reads it, so that the access policy must
  // allow it; empty if there is none.
  std::string_view path_option = {};
  // Whether records stay where they are once they can be read, so that an end before what has been
  // read means that records were cut off. False: the source makes the same records again.
  bool keeps_records = true;
  // Whether partitions may come and go (topics by a pattern, files): then SourceEnumerator::Ends
  // tells which are gone. Otherwise a partition that is gone is an error.
  bool may_lose_partitions = false;
  // Whether the source has all its data now: nothing will be appended beyond its present ends.
  bool bounded = false;
};

// The driver's view of a table. Used by one thread at a time; every call returns within `timeout`
// (DEADLINE_EXCEEDED or UNAVAILABLE name the server that did not answer).
class SourceEnumerator {
 public:
  virtual ~SourceEnumerator() = default;

  // Tells the enumerator what a job knows of partitions; replaces earlier calls for the same names.
  // Called at the job's start, and when a partition has been found or retired. These partitions
  // keep their names.
  virtual void Remember(const std::vector<KnownPartition>& known) { (void)known; }

  // Returns all present partitions, except retired ones that have nothing to read again. NOT_FOUND
  // names what is missing, and what is near it.
  virtual absl::StatusOr<std::vector<PartitionName>> Discover(absl::Duration timeout) = 0;

  // Whether the last Discover has seen that a partition is about to appear (a log that was rotated,
  // and whose new file is missing or empty yet). Discover is then called as often as Ends, since
  // what appears may be gone again before the next usual discovery.
  virtual bool expects_partitions() const { return false; }

  // Whether the table's options select this partition, whether it still exists or not. No I/O.
  virtual bool Selects(const KnownPartition& partition) const {
    (void)partition;
    return true;
  }

  // The offsets at which a new job starts in these partitions, by the table's `start` option.
  virtual absl::StatusOr<std::vector<PartitionOffset>> ResolveStart(
      const std::vector<PartitionName>& partitions, absl::Duration timeout) = 0;
  // The offset at which reading starts in a partition that appears while the job runs: its earliest
  // one.
  virtual absl::StatusOr<std::vector<PartitionOffset>> ResolveEarliest(
      const std::vector<PartitionName>& partitions, absl::Duration timeout) = 0;

  // The partitions' ends, in the same order. OUT_OF_RANGE or NOT_FOUND when a partition is gone
  // and the table's partitions may not go (SourceTraits).
  virtual absl::StatusOr<std::vector<PartitionEnd>> Ends(
      const std::vector<PartitionName>& partitions, absl::Duration timeout) = 0;

  // The identities of existing partitions. An identity tells a partition from a later one of the
  // same name, whose offsets mean other records (Kafka: the id of the topic, which changes when the
  // topic is deleted and created again). Empty if the source has no identities.
  virtual absl::StatusOr<std::vector<std::string>> Identities(
      const std::vector<PartitionName>& partitions, absl::Duration timeout) {
    (void)timeout;
    return std::vector<std::string>(partitions.size());
  }

  // Publishes how far the job has committed (Kafka: the consumer group's committed offsets). For
  // information only: a job never reads it back.
  virtual absl::Status PublishOffsets(const std::vector<PartitionOffset>& committed,
                                      absl::Duration timeout) = 0;
};

// A record in its external form, for the few that could not be used. What the connector does not
// have is absent.
struct RawRecord {
  std::optional<std::string_view> topic;  // the topic of Kafka; a file's path
  std::optional<int32_t> partition;
  std::optional<int64_t> timestamp_us;
  std::optional<std::string_view> key;
  std::optional<std::string_view> value;
};

// Consecutive records of one partition, decoded.
struct SourceChunk {
  Batch batch;  // columns as in proto::Source.columns; physical row i is record i of the chunk
  std::vector<int64_t> offsets;  // of each record, ascending; gaps are normal
  Offset next;                   // where the next Read begins: > every offset here, past
  int64_t bytes = 0;             // of payload
  int64_t max_timestamp_us = INT64_MIN;
  uint64_t input_hash = 0;       // XXH3 over the records, seeded with Read's `hash_seed`
  std::vector<RowError> errors;  // records that could not be decoded; their rows are undefined
  // Returns row i of the chunk as a raw record, whose views live as long as this function; null if
  // the connector has rows and no bytes. Costs nothing until it is called.
  std::function<RawRecord(uint32_t row)> raw;
  // Offsets [lost_begin, lost_end) could not be read any more and were skipped, as the table's
  // on_data_loss = 'skip' allows; then the chunk has no records.
  Offset lost_begin;
  Offset lost_end;
};

// An executor's view of a table: prefetches the assigned partitions continuously, within a limit in
// bytes that they share. Assign, Unassign and Read may be called from different threads for
// different partitions, but not for the same one.
class SourceReader {
 public:
  virtual ~SourceReader() = default;

  // Starts to prefetch the partition at `next`. Read returns errors of the connection.
  virtual absl::Status Assign(const KnownPartition& partition) = 0;
  virtual void Unassign(const PartitionName& partition) = 0;

  // Returns the next records of `partition` with offsets in [position, end), at most about
  // `max_rows`. The position is that of Assign, or the last chunk's `next`. Blocks until there are
  // some, until [position, end) is known to have no more (then next == end), or until `deadline`,
  // a SteadyNow() (DEADLINE_EXCEEDED). `hash_seed` chains SourceChunk::input_hash. Errors name the
  // partition and offset. Only UNAVAILABLE is worth another try.
  virtual absl::StatusOr<SourceChunk> Read(const PartitionName& partition, Offset end,
                                           size_t max_rows, uint64_t hash_seed,
                                           absl::Time deadline) = 0;

  // For each assigned partition, the offset below which everything stable has been fetched or read;
  // the position, if the source cannot tell. Thread-safe.
  virtual std::vector<PartitionOffset> FetchedTo() = 0;

  // How many bytes of payload an offset of the partition stands for, by what was fetched of it
  // lately, so that a plan can be cut by bytes before anything is read; 0 = not known. Thread-safe.
  virtual double BytesPerOffset(const PartitionName& partition) {
    (void)partition;
    return 0;
  }
};

// The resources and settings of a reader or enumerator.
struct SourceContext {
  std::string job_name;
  std::string incarnation;
  int64_t prefetch_bytes = 64 << 20;  // limit for all partitions of this reader together
  // Whether records of open and aborted transactions are read too (the setting isolation_level);
  // has no meaning for sources without transactions.
  bool read_uncommitted = false;
  // Called on any thread whenever FetchedTo may have advanced; cheap, may be null.
  std::function<void()> on_progress;
};

class SourceConnector {
 public:
  virtual ~SourceConnector() = default;

  // Checks options and columns at submission, without I/O; messages list what is allowed. Secrets
  // are unresolved.
  virtual absl::Status Validate(const proto::Source& source) const = 0;

  // What the table's options make of the source. Without I/O. `path_option` is the same for every
  // table; the rest has a meaning only for options that Validate accepts.
  virtual SourceTraits Traits(const proto::Source& source) const = 0;

  // Hidden columns that the connector offers besides the table's own ("_offset" bigint, …), for the
  // binder.
  virtual std::vector<std::pair<std::string, SqlType>> MetadataColumns() const = 0;

  // Connects lazily: the calls of the enumerator and reader return errors.
  virtual absl::StatusOr<std::unique_ptr<SourceEnumerator>> CreateEnumerator(
      const proto::Source& source, const SourceContext& context) const = 0;
  virtual absl::StatusOr<std::unique_ptr<SourceReader>> CreateReader(
      const proto::Source& source, const SourceContext& context) const = 0;
};

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_SOURCE_H_
