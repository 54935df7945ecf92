#include "executor/state/snapshot/snapshot_file.h"

#include <xxhash.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/little_endian.h"
#include "common/base/status.h"
#include "common/columnar/batch_codec.h"
#include "common/columnar/row_hash.h"

namespace millrace::executor {
namespace {

constexpr std::string_view kMagic = "MRSTATE\n";
constexpr size_t kTrailerBytes = 3 * sizeof(uint64_t) + kMagic.size();
constexpr int kCompressionLevel = 1;
// The format that introduced key hash version 2, and the oldest hash version whose keys we can hash
// anew.
constexpr uint32_t kHashVersion2Format = 2;
constexpr uint32_t kOldestHashVersion = 1;

uint64_t Checksum(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

absl::Status DataLoss(std::string_view name, std::string_view how) {
  return absl::DataLossError(absl::StrCat("snapshot file ", ToAbsl(name), " ", ToAbsl(how)));
}

absl::Status CheckOrigin(const std::string& name, const proto::SnapshotHeader& header,
                         const SnapshotFileOrigin& origin) {
  if (header.incarnation() != origin.incarnation || header.epoch() != origin.epoch ||
      header.batch() != origin.batch) {
    return DataLoss(
        name, absl::StrCat("is another one: it holds batch ", header.batch(), " of epoch ",
                           header.epoch(), " of incarnation ", header.incarnation(), ", not batch ",
                           origin.batch, " of epoch ", origin.epoch, " of incarnation ",
                           origin.incarnation));
  }
  const uint32_t hash_version = header.key_hash_version();
  if (header.key_groups() != origin.key_groups || hash_version > kRowHashVersion ||
      hash_version < kOldestHashVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        "snapshot file ", name, " has ", header.key_groups(), " key groups by key hash version ",
        hash_version, "; the job has ", origin.key_groups, " by version ", kRowHashVersion,
        ": its state can only be rebuilt from the source"));
  }
  return absl::OkStatus();
}

// Ranges of key groups with enough rows each.
struct Sections {
  std::vector<KeyGroups> ranges;
  std::vector<size_t> rows;
  std::vector<uint32_t> of_key_group;
};

Sections CutSections(const std::vector<const Batch*>& batches, uint32_t key_groups,
                     size_t enough_rows) {
  std::vector<size_t> rows_of(key_groups);
  for (const Batch* batch : batches) {
    const std::vector<uint64_t>& hashes = *batch->hashes();
    batch->rows().ForEach([&](uint32_t row) { ++rows_of[KeyGroupOf(hashes[row], key_groups)]; });
  }
  Sections sections;
  sections.of_key_group.resize(key_groups);
  for (uint32_t group = 0; group < key_groups; ++group) {
    if (rows_of[group] == 0) {
      continue;
    }
    if (sections.ranges.empty() || sections.rows.back() >= enough_rows) {
      sections.ranges.push_back({group, group});
      sections.rows.push_back(0);
    }
    sections.ranges.back().end = group + 1;
    sections.rows.back() += rows_of[group];
    sections.of_key_group[group] = static_cast<uint32_t>(sections.ranges.size() - 1);
  }
  return sections;
}

// Pieces are much smaller than their length field allows, so that reading one back needs little
// memory.
constexpr size_t kMaxPieceBytes = 64 << 20;

absl::Status AppendPiece(const Batch& batch, std::vector<uint32_t> rows, std::string* out) {
  if (rows.empty()) {
    return absl::OkStatus();
  }
  Batch piece = batch;
  piece.set_selection(std::make_shared<const std::vector<uint32_t>>(rows));
  const size_t length_at = out->size();
  AppendLittleEndian<uint32_t>(0, out);
  EncodeBatch(piece, out);
  const size_t length = out->size() - length_at - sizeof(uint32_t);
  if (length > kMaxPieceBytes && rows.size() > 1) {
    out->resize(length_at);
    const auto middle = rows.begin() + static_cast<ptrdiff_t>(rows.size() / 2);
    RETURN_IF_ERROR(AppendPiece(batch, {rows.begin(), middle}, out));
    return AppendPiece(batch, {middle, rows.end()}, out);
  }
  if (length > std::numeric_limits<uint32_t>::max()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("an entry of ", length, " bytes is too large for a snapshot"));
  }
  const auto stored = static_cast<uint32_t>(length);
  std::memcpy(out->data() + length_at, &stored, sizeof(stored));
  return absl::OkStatus();
}

// Decompresses `stored`; nothing unless that gives exactly `promised` bytes. Memory is allocated
// only as bytes come.
std::optional<std::string> DecompressAll(std::string_view stored, uint64_t promised) {
  constexpr size_t kStep = 1 << 20;
  const std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(),
                                                                   &ZSTD_freeDCtx);
  std::string raw;
  ZSTD_inBuffer in{stored.data(), stored.size(), 0};
  ZSTD_outBuffer out{nullptr, 0, 0};
  size_t left = 1;
  while (left != 0) {
    if (out.pos == out.size) {
      raw.resize(std::min<uint64_t>(promised + 1, std::max(kStep, 2 * raw.size())));
      out.dst = raw.data();
      out.size = raw.size();
    }
    const size_t had = in.pos;
    const size_t wrote = out.pos;
    left = ZSTD_decompressStream(context.get(), &out, &in);
    const bool stuck = in.pos == had && out.pos == wrote;
    if (ZSTD_isError(left) != 0 || out.pos > promised || (left != 0 && stuck)) {
      return std::nullopt;
    }
  }
  raw.resize(out.pos);
  return in.pos == in.size && raw.size() == promised ? std::optional(std::move(raw)) : std::nullopt;
}

// Whether every row belongs to a key group of the section: other rows would get into a wrong shard.
bool AllIn(const Batch& batch, const proto::KeyGroupRange& range, uint32_t key_groups) {
  return std::all_of(batch.hashes()->begin(), batch.hashes()->end(), [&](uint64_t hash) {
    const uint32_t group = KeyGroupOf(hash, key_groups);
    return range.begin() <= group && group < range.end();
  });
}

// The batch with new hashes of its first `key_columns` columns.
Batch HashAnew(Batch batch, uint32_t key_columns) {
  const auto end = batch.columns().begin() + static_cast<std::ptrdiff_t>(key_columns);
  const std::vector<ColumnPtr> keys(batch.columns().begin(), end);
  auto hashes = std::make_shared<std::vector<uint64_t>>(batch.physical_rows());
  HashRows(keys, batch.rows(), hashes->data());
  batch.set_hashes(std::move(hashes));
  return batch;
}

Batch RowsIn(const Batch& batch, KeyGroups wanted, uint32_t key_groups) {
  std::vector<uint32_t> rows;
  for (uint32_t row = 0; row < batch.physical_rows(); ++row) {
    const uint32_t group = KeyGroupOf((*batch.hashes())[row], key_groups);
    if (wanted.begin <= group && group < wanted.end) {
      rows.push_back(row);
    }
  }
  return batch.TakeRows(rows.data(), rows.size());
}

}  // namespace

bool IsHashedAnew(const proto::SnapshotFile& file, const proto::StateIdentity& identity) {
  return file.format_version() < kHashVersion2Format && identity.jsonb_key_columns() != 0;
}

KeyGroups KeyGroupsOfShard(uint32_t shard, uint32_t key_groups, uint32_t shards) {
  // The least key group k with k · shards / key_groups ≥ shard.
  const auto first = [&](uint64_t of) {
    return static_cast<uint32_t>((of * key_groups + shards - 1) / shards);
  };
  return {first(shard), first(uint64_t{shard} + 1)};
}

SnapshotFileBuilder::SnapshotFileBuilder(proto::SnapshotHeader header, size_t section_rows)
    : header_(std::move(header)), section_rows_(section_rows) {
  for (int i = 0; i < header_.operators_size(); ++i) {
    operators_[header_.operators(i).name()] = static_cast<uint32_t>(i);
  }
  const std::string header_bytes = header_.SerializeAsString();
  bytes_.append(kMagic);
  AppendLittleEndian<uint32_t>(kSnapshotFormatVersion, &bytes_);
  AppendLittleEndian<uint32_t>(static_cast<uint32_t>(header_bytes.size()), &bytes_);
  bytes_.append(header_bytes);
  AppendLittleEndian<uint64_t>(Checksum(bytes_), &bytes_);
}

absl::Status SnapshotFileBuilder::Add(const std::vector<StateBlock>& blocks) {
  std::map<uint32_t, std::vector<const Batch*>> by_operator;
  for (const StateBlock& block : blocks) {
    const auto found = operators_.find(block.operator_name);
    if (found == operators_.end()) {
      return absl::InternalError(
          absl::StrCat("operator ", block.operator_name, " has state, but no identity"));
    }
    if (!block.rows.empty()) {
      MILLRACE_CHECK(block.rows.hashes() != nullptr) << "state without hashes";
      by_operator[found->second].push_back(&block.rows);
    }
  }
  for (const auto& [operator_index, batches] : by_operator) {
    RETURN_IF_ERROR(AddSections(operator_index, batches));
  }
  return absl::OkStatus();
}

absl::Status SnapshotFileBuilder::AddSections(uint32_t operator_index,
                                              const std::vector<const Batch*>& batches) {
  const Sections sections = CutSections(batches, header_.key_groups(), section_rows_);
  std::vector<std::string> raw(sections.ranges.size());
  for (const Batch* batch : batches) {
    std::vector<std::vector<uint32_t>> rows(raw.size());
    const std::vector<uint64_t>& hashes = *batch->hashes();
    batch->rows().ForEach([&](uint32_t row) {
      rows[sections.of_key_group[KeyGroupOf(hashes[row], header_.key_groups())]].push_back(row);
    });
    for (size_t i = 0; i < rows.size(); ++i) {
      RETURN_IF_ERROR(AppendPiece(*batch, std::move(rows[i]), &raw[i]));
    }
  }
  for (size_t i = 0; i < raw.size(); ++i) {
    AddSection(operator_index, sections.ranges[i], sections.rows[i], raw[i]);
  }
  return absl::OkStatus();
}

void SnapshotFileBuilder::AddSection(uint32_t operator_index, KeyGroups key_groups, size_t rows,
                                     std::string_view raw) {
  const size_t offset = bytes_.size();
  bytes_.resize(offset + ZSTD_compressBound(raw.size()));
  const size_t bytes = ZSTD_compress(bytes_.data() + offset, bytes_.size() - offset, raw.data(),
                                     raw.size(), kCompressionLevel);
  MILLRACE_CHECK(ZSTD_isError(bytes) == 0) << ZSTD_getErrorName(bytes);
  bytes_.resize(offset + bytes);
  proto::SnapshotIndex::Section* section = index_.add_sections();
  section->set_operator_index(operator_index);
  section->mutable_key_groups()->set_begin(key_groups.begin);
  section->mutable_key_groups()->set_end(key_groups.end);
  section->set_offset(offset);
  section->set_bytes(bytes);
  section->set_raw_bytes(raw.size());
  section->set_rows(rows);
  section->set_checksum(Checksum(std::string_view(bytes_).substr(offset)));
  rows_ += static_cast<int64_t>(rows);
}

std::string SnapshotFileBuilder::Finish(const std::string& name,
                                        const std::vector<KeyGroups>& key_groups,
                                        proto::SnapshotFile* file) {
  const std::string index = index_.SerializeAsString();
  const uint64_t offset = bytes_.size();
  bytes_.append(index);
  AppendLittleEndian<uint64_t>(offset, &bytes_);
  AppendLittleEndian<uint64_t>(index.size(), &bytes_);
  AppendLittleEndian<uint64_t>(Checksum(index), &bytes_);
  bytes_.append(kMagic);
  file->set_name(name);
  file->set_bytes(bytes_.size());
  file->set_checksum(Checksum(bytes_));
  file->set_format_version(kSnapshotFormatVersion);
  for (const KeyGroups& range : key_groups) {
    proto::KeyGroupRange* listed = file->add_key_groups();
    listed->set_begin(range.begin);
    listed->set_end(range.end);
  }
  return std::move(bytes_);
}

absl::StatusOr<SnapshotFileReader> SnapshotFileReader::Open(CheckpointStore* store,
                                                            const proto::SnapshotFile& file,
                                                            const SnapshotFileOrigin& origin) {
  if (file.format_version() > kSnapshotFormatVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("snapshot file ", file.name(), " has format version ", file.format_version(),
                     ", this executor reads up to ", kSnapshotFormatVersion,
                     ": run the version of the engine that wrote it, or a newer one"));
  }
  absl::StatusOr<std::string> bytes = store->Read(file.name());
  // The driver finds out whether the file is lost, or only cannot be read on this machine.
  if (!bytes.ok()) {
    return DataLoss(file.name(), absl::StrCat("cannot be read: ", bytes.status().message()));
  }
  return Parse(*std::move(bytes), file, origin);
}

absl::StatusOr<SnapshotFileReader> SnapshotFileReader::Parse(std::string bytes,
                                                             const proto::SnapshotFile& file,
                                                             const SnapshotFileOrigin& origin) {
  SnapshotFileReader reader(file.name(), std::move(bytes));
  if (reader.bytes_.size() != file.bytes()) {
    return reader.Damaged(
        absl::StrCat("it has ", reader.bytes_.size(), " bytes instead of ", file.bytes()));
  }
  if (Checksum(reader.bytes_) != file.checksum()) {
    return reader.Damaged("its checksum is not the one in the journal");
  }
  size_t header_end = 0;
  RETURN_IF_ERROR(reader.ParseHeader(file.format_version(), &header_end));
  RETURN_IF_ERROR(reader.ParseIndex(header_end));
  RETURN_IF_ERROR(CheckOrigin(file.name(), reader.header_, origin));
  return reader;
}

absl::Status SnapshotFileReader::Damaged(std::string_view how) const {
  return DataLoss(name_, absl::StrCat("is damaged: ", ToAbsl(how)));
}

absl::Status SnapshotFileReader::ParseHeader(uint32_t format_version, size_t* end) {
  constexpr size_t kFixed = kMagic.size() + 2 * sizeof(uint32_t);
  const std::string_view bytes = bytes_;
  if (bytes.size() < kFixed + sizeof(uint64_t) + kTrailerBytes || !bytes.starts_with(kMagic)) {
    return Damaged("it does not begin as a snapshot file does");
  }
  const size_t header_bytes = ReadLittleEndian<uint32_t>(bytes, kMagic.size() + sizeof(uint32_t));
  if (header_bytes > bytes.size() - kFixed - sizeof(uint64_t) - kTrailerBytes) {
    return Damaged("its header does not fit in it");
  }
  const size_t checksum_at = kFixed + header_bytes;
  if (Checksum(bytes.substr(0, checksum_at)) != ReadLittleEndian<uint64_t>(bytes, checksum_at) ||
      ReadLittleEndian<uint32_t>(bytes, kMagic.size()) != format_version ||
      !header_.ParseFromArray(bytes.data() + kFixed, static_cast<int>(header_bytes))) {
    return Damaged("its header does not match its checksum");
  }
  *end = checksum_at + sizeof(uint64_t);
  return absl::OkStatus();
}

absl::Status SnapshotFileReader::ParseIndex(size_t header_end) {
  const std::string_view bytes = bytes_;
  const size_t trailer = bytes.size() - kTrailerBytes;
  const auto offset = ReadLittleEndian<uint64_t>(bytes, trailer);
  const auto length = ReadLittleEndian<uint64_t>(bytes, trailer + sizeof(uint64_t));
  if (!bytes.ends_with(kMagic) || offset < header_end || offset > trailer ||
      length != trailer - offset) {
    return Damaged("it does not end as a snapshot file does");
  }
  const std::string_view index = bytes.substr(offset, length);
  if (Checksum(index) != ReadLittleEndian<uint64_t>(bytes, trailer + 2 * sizeof(uint64_t)) ||
      !index_.ParseFromArray(index.data(), static_cast<int>(index.size()))) {
    return Damaged("its index does not match its checksum");
  }
  uint64_t end = header_end;
  for (const proto::SnapshotIndex::Section& section : index_.sections()) {
    if (section.offset() != end || section.bytes() > offset - end ||
        section.operator_index() >= static_cast<uint32_t>(header_.operators_size())) {
      return Damaged("its index does not fit its sections");
    }
    end += section.bytes();
  }
  return end == offset ? absl::OkStatus() : Damaged("its index does not fit its sections");
}

absl::Status SnapshotFileReader::Read(
    const proto::StateIdentity& identity, KeyGroups key_groups,
    absl::FunctionRef<absl::Status(const StateBlock&)> take) const {
  const uint32_t hash_anew =
      header_.key_hash_version() < kRowHashVersion ? identity.jsonb_key_columns() : 0;
  for (const proto::SnapshotIndex::Section& section : index_.sections()) {
    const int op = static_cast<int>(section.operator_index());
    if (header_.operators(op).name() == identity.name() &&
        (hash_anew != 0 || key_groups.Overlaps(section.key_groups()))) {
      RETURN_IF_ERROR(ReadSection(section, key_groups, hash_anew, take));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> SnapshotFileReader::Decompress(
    const proto::SnapshotIndex::Section& section) const {
  const std::string_view stored =
      std::string_view(bytes_).substr(section.offset(), section.bytes());
  if (Checksum(stored) != section.checksum() ||
      ZSTD_getFrameContentSize(stored.data(), stored.size()) != section.raw_bytes()) {
    return Damaged(
        absl::StrCat("the section at ", section.offset(), " does not match its checksum"));
  }
  std::optional<std::string> raw = DecompressAll(stored, section.raw_bytes());
  if (!raw.has_value()) {
    return Damaged(absl::StrCat("the section at ", section.offset(), " cannot be decompressed"));
  }
  return *std::move(raw);
}

absl::Status SnapshotFileReader::ReadSection(
    const proto::SnapshotIndex::Section& section, KeyGroups key_groups, uint32_t hash_anew,
    absl::FunctionRef<absl::Status(const StateBlock&)> take) const {
  const auto damaged = [&](std::string_view how) {
    return Damaged(absl::StrCat("the section at ", section.offset(), " ", ToAbsl(how)));
  };
  ASSIGN_OR_RETURN(const std::string raw, Decompress(section));
  const bool whole = hash_anew == 0 && key_groups.begin <= section.key_groups().begin() &&
                     section.key_groups().end() <= key_groups.end;
  StateBlock block;
  block.equal_keys_apart = hash_anew != 0;
  block.operator_name = header_.operators(static_cast<int>(section.operator_index())).name();
  uint64_t rows = 0;
  for (std::string_view left = raw; !left.empty();) {
    const size_t room = left.size() - std::min(left.size(), sizeof(uint32_t));
    const size_t length = room == 0 ? 1 : ReadLittleEndian<uint32_t>(left, 0);
    if (length > room) {
      return damaged("ends early");
    }
    absl::StatusOr<Batch> batch = DecodeBatch(left.substr(sizeof(uint32_t), length));
    left.remove_prefix(sizeof(uint32_t) + length);
    if (!batch.ok() || batch->hashes() == nullptr || batch->column_count() < hash_anew ||
        !AllIn(*batch, section.key_groups(), header_.key_groups())) {
      return damaged("cannot be decoded");
    }
    if (hash_anew != 0) {
      batch = HashAnew(*std::move(batch), hash_anew);
    }
    rows += batch->row_count();
    block.rows = whole ? *std::move(batch) : RowsIn(*batch, key_groups, header_.key_groups());
    if (!block.rows.empty()) {
      RETURN_IF_ERROR(Annotate(take(block), absl::StrCat("snapshot file ", name_)));
    }
  }
  return rows == section.rows() ? absl::OkStatus() : damaged("has not as many entries as it says");
}

}  // namespace millrace::executor
