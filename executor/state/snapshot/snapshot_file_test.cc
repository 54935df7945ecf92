// What is read is what was written, with any number of shards; damage anywhere is noticed.
#include "executor/state/snapshot/snapshot_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/columnar/row_hash.h"
#include "common/columnar/text_view.h"
#include "common/storage/memory_file_system.h"

namespace millrace::executor {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint32_t kKeyGroups = 64;
constexpr char kName[] = "incarnation-1/e3-b7-executor.state";

// Entries (text key, count), some of them gone.
StateBlock Block(const std::string& operator_name, int first, int count, bool weights) {
  auto keys = std::make_shared<Column>(MakeType(TypeId::kText), count);
  auto counts = std::make_shared<Column>(MakeType(TypeId::kInt64), count);
  auto weight = std::make_shared<Column>(MakeType(TypeId::kInt64), count);
  for (int i = 0; i < count; ++i) {
    const int entry = first + i;
    keys->SetTextCopy(i, absl::StrCat(entry % 2 == 0 ? "k" : "a-key-of-some-length-", entry));
    counts->mutable_values<int64_t>()[i] = entry * 3;
    weight->mutable_values<int64_t>()[i] = entry % 5 == 0 ? -1 : 1;
  }
  auto hashes = std::make_shared<std::vector<uint64_t>>(count);
  HashRows({keys}, RowSet{nullptr, static_cast<size_t>(count)}, hashes->data());
  StateBlock block{.operator_name = operator_name,
                   .rows = Batch({keys, counts}, static_cast<size_t>(count))};
  block.rows.set_hashes(std::move(hashes));
  if (weights) {
    block.rows.set_weights(std::move(weight));
  }
  return block;
}

void AppendAsText(const StateBlock& block, std::vector<std::string>* out) {
  block.rows.rows().ForEach([&](uint32_t row) {
    out->push_back(absl::StrCat(block.operator_name, "|",
                                std::string(block.rows.column(0)->value<TextView>(row).view()), "|",
                                block.rows.column(1)->value<int64_t>(row), "|",
                                block.rows.weight(row), "|", (*block.rows.hashes())[row]));
  });
}

std::vector<std::string> AsText(const std::vector<StateBlock>& blocks) {
  std::vector<std::string> text;
  for (const StateBlock& block : blocks) {
    AppendAsText(block, &text);
  }
  std::sort(text.begin(), text.end());
  return text;
}

proto::SnapshotHeader Header() {
  proto::SnapshotHeader header;
  header.set_engine_version("0.1.0");
  header.set_incarnation("incarnation-1");
  header.set_epoch(3);
  header.set_batch(7);
  header.set_key_groups(kKeyGroups);
  header.set_key_hash_version(kRowHashVersion);
  for (const char* name : {"counts", "sums"}) {
    header.add_operators()->set_name(name);
  }
  return header;
}

const SnapshotFileOrigin kOrigin{
    .incarnation = "incarnation-1", .epoch = 3, .batch = 7, .key_groups = kKeyGroups};

struct Written {
  std::string bytes;
  proto::SnapshotFile file;
};

Written Write(const std::vector<StateBlock>& blocks, size_t section_rows,
              const proto::SnapshotHeader& header = Header()) {
  SnapshotFileBuilder builder(header, section_rows);
  EXPECT_TRUE(builder.Add(blocks).ok());
  Written written;
  written.bytes = builder.Finish(kName, {{0, kKeyGroups}}, &written.file);
  EXPECT_EQ(written.file.bytes(), written.bytes.size());
  return written;
}

proto::StateIdentity Named(const std::string& name) {
  proto::StateIdentity identity;
  identity.set_name(name);
  return identity;
}

absl::Status ReadAll(const SnapshotFileReader& reader, KeyGroups key_groups,
                     std::vector<std::string>* out) {
  for (const char* name : {"counts", "sums"}) {
    const absl::Status status = reader.Read(Named(name), key_groups, [&](const StateBlock& block) {
      AppendAsText(block, out);
      return absl::OkStatus();
    });
    if (!status.ok()) {
      return status;
    }
  }
  std::sort(out->begin(), out->end());
  return absl::OkStatus();
}

const std::vector<StateBlock>& Blocks() {
  static const auto* const blocks = new std::vector<StateBlock>{
      Block("counts", 0, 500, true), Block("sums", 0, 30, false), Block("counts", 500, 300, false)};
  return *blocks;
}

TEST(SnapshotFileTest, EveryShardGetsItsEntriesHoweverManyThereAre) {
  const Written written = Write(Blocks(), /*section_rows=*/50);
  const auto reader = SnapshotFileReader::Parse(written.bytes, written.file, kOrigin);
  ASSERT_TRUE(reader.ok()) << reader.status();
  const std::vector<std::string> expected = AsText(Blocks());
  for (const uint32_t shards : {1u, 2u, 3u, 7u, 64u}) {
    std::vector<std::string> all;
    for (uint32_t shard = 0; shard < shards; ++shard) {
      const KeyGroups range = KeyGroupsOfShard(shard, kKeyGroups, shards);
      for (uint32_t group = range.begin; group < range.end; ++group) {
        EXPECT_EQ(ShardOfKeyGroup(group, kKeyGroups, shards), shard);
      }
      std::vector<std::string> of_shard;
      ASSERT_TRUE(ReadAll(*reader, range, &of_shard).ok());
      EXPECT_LT(shards == 1 ? 0 : of_shard.size(), expected.size());
      all.insert(all.end(), of_shard.begin(), of_shard.end());
    }
    std::sort(all.begin(), all.end());
    EXPECT_EQ(all, expected) << shards << " shards";
  }
}

TEST(SnapshotFileTest, EntriesOfTheSelectionOnly) {
  std::vector<StateBlock> blocks = {Block("sums", 0, 10, true)};
  blocks[0].rows.set_selection(
      std::make_shared<const std::vector<uint32_t>>(std::vector<uint32_t>{1, 4, 9}));
  const Written written = Write(blocks, 2);
  const auto reader = SnapshotFileReader::Parse(written.bytes, written.file, kOrigin);
  ASSERT_TRUE(reader.ok()) << reader.status();
  std::vector<std::string> read;
  ASSERT_TRUE(ReadAll(*reader, {0, kKeyGroups}, &read).ok());
  EXPECT_EQ(read, AsText(blocks));
  EXPECT_EQ(read.size(), 3u);
}

TEST(SnapshotFileTest, FileWithoutEntries) {
  const Written written = Write({}, 10);
  const auto reader = SnapshotFileReader::Parse(written.bytes, written.file, kOrigin);
  ASSERT_TRUE(reader.ok()) << reader.status();
  std::vector<std::string> read;
  EXPECT_TRUE(ReadAll(*reader, {0, kKeyGroups}, &read).ok());
  EXPECT_THAT(read, IsEmpty());
}

TEST(SnapshotFileTest, StateOfAnUnknownOperatorIsNotWritten) {
  SnapshotFileBuilder builder(Header());
  const absl::Status status = builder.Add({Block("nobody", 0, 1, false)});
  EXPECT_TRUE(absl::IsInternal(status)) << status;
}

// Parses and reads everything. `list_as_written`: the journal's length and checksum match the
// damaged bytes, so that only checks inside the file can notice the damage.
void ExpectDataLoss(const std::string& bytes, proto::SnapshotFile file, bool list_as_written,
                    const std::string& what) {
  if (list_as_written) {
    file.set_bytes(bytes.size());
    file.set_checksum(XXH3_64bits(bytes.data(), bytes.size()));
  }
  const auto reader = SnapshotFileReader::Parse(bytes, file, kOrigin);
  std::vector<std::string> read;
  const absl::Status status =
      reader.ok() ? ReadAll(*reader, {0, kKeyGroups}, &read) : reader.status();
  ASSERT_TRUE(absl::IsDataLoss(status)) << what << ": " << status;
  ASSERT_THAT(std::string(status.message()), HasSubstr(kName)) << what;
}

TEST(SnapshotFileTest, TornAnywhereIsDataLoss) {
  const Written written = Write({Block("counts", 0, 20, true), Block("sums", 0, 3, false)}, 5);
  for (size_t length = 0; length < written.bytes.size(); ++length) {
    for (const bool list_as_written : {false, true}) {
      ExpectDataLoss(written.bytes.substr(0, length), written.file, list_as_written,
                     absl::StrCat("torn at ", length));
    }
  }
  ExpectDataLoss(written.bytes + "x", written.file, true, "one byte more");
}

TEST(SnapshotFileTest, AnyByteFlippedIsDataLoss) {
  const Written written = Write({Block("counts", 0, 20, true), Block("sums", 0, 3, false)}, 5);
  for (size_t at = 0; at < written.bytes.size(); ++at) {
    for (const char bits : {'\x01', '\x80', '\xff'}) {
      std::string bytes = written.bytes;
      bytes[at] = static_cast<char>(bytes[at] ^ bits);
      for (const bool list_as_written : {false, true}) {
        ExpectDataLoss(bytes, written.file, list_as_written, absl::StrCat("flipped at ", at));
      }
    }
  }
}

// The file with another index and correct checksums: checksums only protect against accidents.
Written WithIndex(Written written, const std::function<void(proto::SnapshotIndex*)>& change) {
  std::string& bytes = written.bytes;
  const size_t trailer = bytes.size() - 3 * sizeof(uint64_t) - 8;
  uint64_t offset = 0;
  std::memcpy(&offset, bytes.data() + trailer, sizeof(offset));
  proto::SnapshotIndex index;
  EXPECT_TRUE(index.ParseFromArray(bytes.data() + offset, static_cast<int>(trailer - offset)));
  change(&index);
  const std::string changed = index.SerializeAsString();
  const std::string magic = bytes.substr(bytes.size() - 8);
  bytes.resize(offset);
  bytes += changed;
  for (const uint64_t number :
       {offset, uint64_t{changed.size()}, uint64_t{XXH3_64bits(changed.data(), changed.size())}}) {
    bytes.append(reinterpret_cast<const char*>(&number), sizeof(number));
  }
  bytes += magic;
  written.file.set_bytes(bytes.size());
  written.file.set_checksum(XXH3_64bits(bytes.data(), bytes.size()));
  return written;
}

absl::Status ReadBack(const Written& written) {
  const auto reader = SnapshotFileReader::Parse(written.bytes, written.file, kOrigin);
  if (!reader.ok()) {
    return reader.status();
  }
  std::vector<std::string> rows;
  return ReadAll(*reader, {0, kKeyGroups}, &rows);
}

TEST(SnapshotFileTest, EntriesOfOtherKeyGroupsThanTheSectionSaysAreDataLoss) {
  const Written written = Write({Block("counts", 0, 100, false)}, 1 << 20);
  EXPECT_TRUE(ReadBack(WithIndex(written, [](proto::SnapshotIndex*) {})).ok());
  const absl::Status status = ReadBack(WithIndex(written, [](proto::SnapshotIndex* index) {
    index->mutable_sections(0)->mutable_key_groups()->set_end(1);
  }));
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
}

TEST(SnapshotFileTest, SectionThatPromisesMoreThanItHoldsTakesNoMemory) {
  constexpr uint64_t kPromised = uint64_t{1} << 40;
  const Written written = Write({Block("counts", 0, 100, false)}, 1 << 20);
  EXPECT_TRUE(absl::IsDataLoss(ReadBack(WithIndex(
      written,
      [](proto::SnapshotIndex* index) { index->mutable_sections(0)->set_raw_bytes(kPromised); }))))
      << "the index alone promises it";
  // A zstd frame that says the same: magic, a header with the size in eight bytes, an empty block.
  std::string frame("\x28\xb5\x2f\xfd\xc0\x00", 6);
  frame.append(reinterpret_cast<const char*>(&kPromised), sizeof(kPromised));
  frame.append("\x01\x00\x00", 3);
  Written forged = written;
  WithIndex(written, [&](proto::SnapshotIndex* index) {
    ASSERT_GE(index->sections(0).bytes(), frame.size());
    forged.bytes.replace(index->sections(0).offset(), frame.size(), frame);
  });
  forged = WithIndex(forged, [&](proto::SnapshotIndex* index) {
    proto::SnapshotIndex::Section* section = index->mutable_sections(0);
    section->set_raw_bytes(kPromised);
    section->set_checksum(XXH3_64bits(forged.bytes.data() + section->offset(),
                                      static_cast<size_t>(section->bytes())));
  });
  const absl::Status status = ReadBack(forged);
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("cannot be decompressed"));
}

TEST(SnapshotFileTest, AnotherFileUnderTheNameIsDataLoss) {
  const Written written = Write(Blocks(), 100);
  proto::SnapshotHeader other = Header();
  other.set_batch(8);
  const Written of_other_batch = Write(Blocks(), 100, other);
  ExpectDataLoss(of_other_batch.bytes, written.file, false, "as the journal lists it");
  ExpectDataLoss(of_other_batch.bytes, written.file, true, "another batch");
  other = Header();
  other.set_incarnation("incarnation-2");
  ExpectDataLoss(Write(Blocks(), 100, other).bytes, written.file, true, "another incarnation");
  other = Header();
  other.set_epoch(4);
  ExpectDataLoss(Write(Blocks(), 100, other).bytes, written.file, true, "another epoch");
}

TEST(SnapshotFileTest, NewerVersionIsRefusedByName) {
  Written written = Write(Blocks(), 100);
  MemoryFileSystem files;
  const auto store = *CheckpointStore::Open("/s", &files);
  ASSERT_TRUE(store->Write(kName, written.bytes).ok());
  written.file.set_format_version(kSnapshotFormatVersion + 1);
  const auto reader = SnapshotFileReader::Open(store.get(), written.file, kOrigin);
  EXPECT_TRUE(absl::IsFailedPrecondition(reader.status())) << reader.status();
  EXPECT_THAT(std::string(reader.status().message()),
              HasSubstr(absl::StrCat(kName, " has format version 3, this executor reads up to 2")));
}

TEST(SnapshotFileTest, KeysHashedInAnotherWayAreRefused) {
  proto::SnapshotHeader other = Header();
  other.set_key_hash_version(kRowHashVersion + 1);
  const Written written = Write(Blocks(), 100, other);
  const auto reader = SnapshotFileReader::Parse(written.bytes, written.file, kOrigin);
  EXPECT_TRUE(absl::IsFailedPrecondition(reader.status())) << reader.status();
  EXPECT_THAT(std::string(reader.status().message()), HasSubstr("key hash version 3"));
}

TEST(SnapshotFileTest, WhatCannotBeReadIsDataLossWhateverTheReason) {
  const Written written = Write(Blocks(), 100);
  MemoryFileSystem files;
  const auto store = *CheckpointStore::Open("/s", &files);
  const auto gone = SnapshotFileReader::Open(store.get(), written.file, kOrigin);
  EXPECT_TRUE(absl::IsDataLoss(gone.status())) << gone.status();
  EXPECT_THAT(std::string(gone.status().message()), HasSubstr(kName));
  ASSERT_TRUE(store->Write(kName, written.bytes).ok());
  EXPECT_TRUE(SnapshotFileReader::Open(store.get(), written.file, kOrigin).ok());
  absl::Status error = absl::InternalError("input/output error reading f");
  files.SetFault([&](auto, const std::string&) { return error; });
  EXPECT_TRUE(
      absl::IsDataLoss(SnapshotFileReader::Open(store.get(), written.file, kOrigin).status()));
  error = absl::PermissionDeniedError("not permitted reading f");
  EXPECT_TRUE(
      absl::IsDataLoss(SnapshotFileReader::Open(store.get(), written.file, kOrigin).status()));
}

// A file of format 1: hash version 1, jsonb keys hashed by their text.
Written WriteVersionOne(const std::vector<std::string>& values) {
  auto keys = std::make_shared<Column>(MakeType(TypeId::kJsonb), values.size());
  auto texts = std::make_shared<Column>(MakeType(TypeId::kText), values.size());
  auto counts = std::make_shared<Column>(MakeType(TypeId::kInt64), values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    keys->SetTextCopy(i, values[i]);
    texts->SetTextCopy(i, values[i]);
    counts->mutable_values<int64_t>()[i] = static_cast<int64_t>(i);
  }
  auto hashes = std::make_shared<std::vector<uint64_t>>(values.size());
  HashRows({texts}, RowSet{nullptr, values.size()}, hashes->data());
  StateBlock block{.operator_name = "counts", .rows = Batch({keys, counts}, values.size())};
  block.rows.set_hashes(std::move(hashes));
  proto::SnapshotHeader header = Header();
  header.set_key_hash_version(1);
  Written written = Write({block}, 4, header);
  // Changes the format's number, and the checksum of the header.
  written.bytes[8] = 1;
  const size_t checksum_at = 16 + static_cast<uint8_t>(written.bytes[12]);
  const uint64_t header_checksum = XXH3_64bits(written.bytes.data(), checksum_at);
  std::memcpy(written.bytes.data() + checksum_at, &header_checksum, sizeof(header_checksum));
  written.file.set_format_version(1);
  written.file.set_checksum(XXH3_64bits(written.bytes.data(), written.bytes.size()));
  return written;
}

TEST(SnapshotFileTest, JsonbKeysOfVersionOneGoWhereTheyBelongNow) {
  std::vector<std::string> values;
  for (int i = 0; i < 200; ++i) {
    values.push_back(absl::StrCat(i, i % 2 == 0 ? ".0" : ""));
  }
  const Written written = WriteVersionOne(values);
  const auto reader = SnapshotFileReader::Parse(written.bytes, written.file, kOrigin);
  ASSERT_TRUE(reader.ok()) << reader.status();
  proto::StateIdentity identity = Named("counts");
  identity.set_jsonb_key_columns(1);
  EXPECT_TRUE(IsHashedAnew(written.file, identity));
  size_t found = 0;
  for (uint32_t group = 0; group < kKeyGroups; ++group) {
    const absl::Status status =
        reader->Read(identity, {group, group + 1}, [&](const StateBlock& block) {
          EXPECT_TRUE(block.equal_keys_apart);
          std::vector<uint64_t> now(block.rows.physical_rows());
          HashRows({block.rows.column(0)}, block.rows.rows(), now.data());
          block.rows.rows().ForEach([&](uint32_t row) {
            EXPECT_EQ((*block.rows.hashes())[row], now[row]);
            EXPECT_EQ(KeyGroupOf(now[row], kKeyGroups), group);
            ++found;
          });
          return absl::OkStatus();
        });
    EXPECT_TRUE(status.ok()) << status;
  }
  EXPECT_EQ(found, values.size());
}

TEST(SnapshotFileTest, ErrorsOfTheTakerCarryTheFilesName) {
  const Written written = Write(Blocks(), 100);
  const auto reader = SnapshotFileReader::Parse(written.bytes, written.file, kOrigin);
  ASSERT_TRUE(reader.ok());
  const absl::Status status = reader->Read(Named("sums"), {0, kKeyGroups}, [](const StateBlock&) {
    return absl::InvalidArgumentError("does not fit");
  });
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr(kName));
}

}  // namespace
}  // namespace millrace::executor
