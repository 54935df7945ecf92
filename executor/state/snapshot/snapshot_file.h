// The state of one executor's keyed shards in one file of a snapshot.
//
// Form, version 2, little-endian:
//   "MRSTATE\n", u32 format version, u32 bytes of the header, proto::SnapshotHeader,
//     u64 XXH3 of all the bytes before it
//   sections, each zstd of: (u32 bytes, EncodeBatch of some entries)…
//   proto::SnapshotIndex
//   u64 offset of the index, u64 bytes of the index, u64 XXH3 of the index, "MRSTATE\n"
// A section has the entries of one operator in a range of key groups, so that a restore with
// another number of shards decodes only what each shard needs.
//
// Version 1 had the same form, with keys hashed by version 1 (common/columnar/row_hash.h). The two
// hashes differ for jsonb alone: for an operator with such a key, all sections are read, and each
// entry goes to the shard to which its key belongs now.
//
// Every byte is covered by a checksum, and the journal lists length and checksum of the whole file.
// A file that is torn, damaged, swapped or gone gives DATA_LOSS with its name, never wrong entries.
#ifndef MILLRACE_EXECUTOR_STATE_SNAPSHOT_SNAPSHOT_FILE_H_
#define MILLRACE_EXECUTOR_STATE_SNAPSHOT_SNAPSHOT_FILE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/storage/checkpoint_store.h"
#include "executor/state/snapshot/state_block.h"
#include "proto/checkpoint.pb.h"

namespace millrace::executor {

inline constexpr uint32_t kSnapshotFormatVersion = 2;

// Key groups [begin, end).
struct KeyGroups {
  uint32_t begin = 0;
  uint32_t end = 0;

  bool Overlaps(const proto::KeyGroupRange& range) const {
    return begin < range.end() && range.begin() < end;
  }
};

// Whether entries of the operator may be in another key group than their keys now belong to, so
// that any shard may find entries of its own anywhere in the file.
bool IsHashedAnew(const proto::SnapshotFile& file, const proto::StateIdentity& identity);

// The key groups of a keyed shard (common/columnar/row_hash.h).
KeyGroups KeyGroupsOfShard(uint32_t shard, uint32_t key_groups, uint32_t shards);

// Thread-compatible.
class SnapshotFileBuilder {
 public:
  // Entries of an operator in a range of key groups are cut into sections of about this many rows.
  static constexpr size_t kSectionRows = 64 << 10;

  explicit SnapshotFileBuilder(proto::SnapshotHeader header, size_t section_rows = kSectionRows);

  // Adds entries of a shard. INTERNAL: the header does not list their operator. RESOURCE_EXHAUSTED:
  // an entry of 4 GiB.
  absl::Status Add(const std::vector<StateBlock>& blocks);

  int64_t rows() const { return rows_; }

  // Returns the file's bytes, and fills in what the journal must know of it; `key_groups` and
  // `name` are passed on. Call once, last.
  std::string Finish(const std::string& name, const std::vector<KeyGroups>& key_groups,
                     proto::SnapshotFile* file);

 private:
  absl::Status AddSections(uint32_t operator_index, const std::vector<const Batch*>& batches);
  void AddSection(uint32_t operator_index, KeyGroups key_groups, size_t rows, std::string_view raw);

  const proto::SnapshotHeader header_;
  const size_t section_rows_;
  std::map<std::string, uint32_t> operators_;  // index by name
  proto::SnapshotIndex index_;
  int64_t rows_ = 0;
  std::string bytes_;
};

// What the header of a file must state, beyond what the journal lists of the file.
struct SnapshotFileOrigin {
  std::string incarnation;
  int64_t epoch = 0;
  int64_t batch = 0;
  uint32_t key_groups = 0;  // of the job
};

// A file that has been read and verified. Thread-safe.
class SnapshotFileReader {
 public:
  // Reads all of `file` once. DATA_LOSS: it cannot be read here, or is not what was written.
  // FAILED_PRECONDITION says that a newer engine has written it, or that its keys are hashed in
  // another way.
  static absl::StatusOr<SnapshotFileReader> Open(CheckpointStore* store,
                                                 const proto::SnapshotFile& file,
                                                 const SnapshotFileOrigin& origin);
  static absl::StatusOr<SnapshotFileReader> Parse(std::string bytes,
                                                  const proto::SnapshotFile& file,
                                                  const SnapshotFileOrigin& origin);

  const std::string& name() const { return name_; }
  const proto::SnapshotHeader& header() const { return header_; }

  // Calls `take` with all entries of an operator in a range of key groups, some at a time. An error
  // of `take` ends the call, and is returned with the file's name. `identity` is the operator's in
  // the plan.
  absl::Status Read(const proto::StateIdentity& identity, KeyGroups key_groups,
                    absl::FunctionRef<absl::Status(const StateBlock&)> take) const;

 private:
  SnapshotFileReader(std::string name, std::string bytes)
      : name_(std::move(name)), bytes_(std::move(bytes)) {}

  absl::Status ParseHeader(uint32_t format_version, size_t* end);
  absl::Status ParseIndex(size_t header_end);
  absl::StatusOr<std::string> Decompress(const proto::SnapshotIndex::Section& section) const;
  // `hash_anew`: the number of key columns to hash again; 0 if the stored hashes are valid.
  absl::Status ReadSection(const proto::SnapshotIndex::Section& section, KeyGroups key_groups,
                           uint32_t hash_anew,
                           absl::FunctionRef<absl::Status(const StateBlock&)> take) const;
  absl::Status Damaged(std::string_view how) const;

  std::string name_;
  std::string bytes_;
  proto::SnapshotHeader header_;
  proto::SnapshotIndex index_;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_STATE_SNAPSHOT_SNAPSHOT_FILE_H_
