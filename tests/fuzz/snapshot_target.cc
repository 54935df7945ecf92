// Snapshot files. Their checksums are put right first, as somebody would who wants the file read:
// they are against accidents.
#include <xxhash.h>

#include <cstring>
#include <memory>

#include "common/base/check.h"
#include "common/base/little_endian.h"
#include "common/columnar/row_hash.h"
#include "executor/state/snapshot/snapshot_file.h"
#include "tests/fuzz/sample_rows.h"
#include "tests/fuzz/targets.h"

namespace millrace {
namespace {

constexpr uint32_t kKeyGroups = 16;
constexpr char kOperator[] = "counts";
constexpr size_t kHeaderAt = 16;      // behind magic, version and length
constexpr size_t kTrailerBytes = 32;  // offset, length and checksum of the index, magic

uint64_t Checksum(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

void Store(uint64_t value, size_t at, std::string* bytes) {
  std::memcpy(bytes->data() + at, &value, sizeof(value));
}

// Where the parts lie is the input's to say; where that makes no sense it stays as it is.
std::string WithChecksums(std::string bytes) {
  if (bytes.size() < kHeaderAt + sizeof(uint64_t) + kTrailerBytes) {
    return bytes;
  }
  const size_t header_end = kHeaderAt + ReadLittleEndian<uint32_t>(bytes, 12);
  if (header_end <= bytes.size() - sizeof(uint64_t) - kTrailerBytes) {
    Store(Checksum(std::string_view(bytes).substr(0, header_end)), header_end, &bytes);
  }
  const size_t trailer = bytes.size() - kTrailerBytes;
  const auto offset = ReadLittleEndian<uint64_t>(bytes, trailer);
  proto::SnapshotIndex index;
  if (offset > trailer ||
      !index.ParseFromArray(bytes.data() + offset, static_cast<int>(trailer - offset))) {
    return bytes;
  }
  for (proto::SnapshotIndex::Section& section : *index.mutable_sections()) {
    if (section.offset() <= offset && section.bytes() <= offset - section.offset()) {
      section.set_checksum(
          Checksum(std::string_view(bytes).substr(section.offset(), section.bytes())));
    }
  }
  const std::string index_bytes = index.SerializeAsString();
  const std::string magic = bytes.substr(bytes.size() - 8);
  bytes.resize(offset);
  bytes.append(index_bytes);
  AppendLittleEndian<uint64_t>(offset, &bytes);
  AppendLittleEndian<uint64_t>(index_bytes.size(), &bytes);
  AppendLittleEndian<uint64_t>(Checksum(index_bytes), &bytes);
  return bytes + magic;
}

}  // namespace

void FuzzSnapshot(std::string_view bytes) {
  std::string whole = WithChecksums(std::string(bytes));
  proto::SnapshotFile file;
  file.set_name("incarnation/e1-b1-x.state");
  file.set_bytes(whole.size());
  file.set_checksum(Checksum(whole));
  file.set_format_version(executor::kSnapshotFormatVersion);
  const executor::SnapshotFileOrigin origin{
      .incarnation = "incarnation", .epoch = 1, .batch = 1, .key_groups = kKeyGroups};
  const absl::StatusOr<executor::SnapshotFileReader> reader =
      executor::SnapshotFileReader::Parse(std::move(whole), file, origin);
  if (!reader.ok()) {
    return;
  }
  proto::StateIdentity identity;
  identity.set_name(kOperator);
  for (const executor::KeyGroups wanted :
       {executor::KeyGroups{0, kKeyGroups}, executor::KeyGroups{3, 5}}) {
    reader
        ->Read(identity, wanted,
               [&](const executor::StateBlock& block) {
                 for (const uint64_t hash : *block.rows.hashes()) {
                   const uint32_t group = KeyGroupOf(hash, kKeyGroups);
                   MILLRACE_CHECK(wanted.begin <= group && group < wanted.end)
                       << "an entry of key group " << group;
                 }
                 UseRows(block.rows);
                 return absl::OkStatus();
               })
        .IgnoreError();
  }
}

std::vector<std::string> SnapshotSeeds() {
  proto::SnapshotHeader header;
  header.set_incarnation("incarnation");
  header.set_epoch(1);
  header.set_batch(1);
  header.set_key_groups(kKeyGroups);
  header.set_key_hash_version(kRowHashVersion);
  header.add_operators()->set_name(kOperator);
  const Batch sample = SampleRows();
  std::vector<std::string> seeds;
  Batch small({sample.column(7), sample.column(3)}, sample.physical_rows());
  small.set_hashes(sample.hashes());
  for (const Batch& rows : {sample, small}) {
    executor::SnapshotFileBuilder builder(header);
    const absl::Status added = builder.Add({{.operator_name = kOperator, .rows = rows}});
    MILLRACE_CHECK(added.ok()) << added;
    proto::SnapshotFile file;
    seeds.push_back(builder.Finish("name", {{0, kKeyGroups}}, &file));
  }
  return seeds;
}

}  // namespace millrace
