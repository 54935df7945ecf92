#include "driver/coordinator/testing/simulated_world.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace millrace::driver {
namespace {

constexpr char kFormer[] = "former";

int64_t Number(const std::string& text) {
  int64_t number = -1;
  EXPECT_TRUE(absl::SimpleAtoi(text, &number)) << text;
  return number;
}

std::string Text(const SimulatedWriter& writer) {
  return writer.place.has_value() ? absl::StrCat(writer.epoch, "/", Text(*writer.place)) : kFormer;
}

SimulatedWriter ParseWriter(const std::string& text) {
  if (text == kFormer) {
    return {};
  }
  const std::vector<std::string> parts = absl::StrSplit(text, '/');
  EXPECT_EQ(parts.size(), 3u) << text;
  return {.epoch = Number(parts.at(0)),
          .place = SimulatedPlace{static_cast<uint32_t>(Number(parts.at(1))),
                                  static_cast<uint32_t>(Number(parts.at(2)))}};
}

std::string ClaimKeys(SimulatedPlace place) { return absl::StrCat(Text(place), "/claim/"); }
std::string OutKey(SimulatedPlace place) { return absl::StrCat(Text(place), "/out"); }

SimulatedMark ParseMark(const std::string& text) {
  const std::pair<std::string, std::string> parts = absl::StrSplit(text, absl::MaxSplits(':', 1));
  return {Number(parts.first), Number(parts.second)};
}

}  // namespace

std::string SimulatedStepName(SimulatedStep step) {
  static constexpr const char* kNames[] = {
      "FormerInitialized", "FormerMarkerRead",
      "FormerClaimSent",   "FormerClaimInDoubt",
      "FormerClaimed",     "Initialized",
      "ClaimSent",         "ClaimInDoubt",
      "Claimed",           "LogAwaited",
      "LogRead",           "OrphanClaimed",
      "Restored",          "BatchRun",
      "RowsLeft",          "CommitTold",
      "Produced",          "MarkSent",
      "CommitInDoubt",     "DoubtResolved",
      "Committed",         "SnapshotCut",
      "SnapshotWritten",   "BeforeEpochStarted",
      "EpochStarted",      "BeforeEpochOpened",
      "EpochOpened",       "BeforeBatchPlanned",
      "BatchPlanned",      "BeforeBatchCommitted",
      "BatchCommitted",    "BeforeSnapshotCompleted",
      "SnapshotCompleted", "BeforeSnapshotDropped",
      "SnapshotDropped",   "BeforeBatchesAbandoned",
      "BatchesAbandoned",  "BeforeJobEnded",
      "JobEnded",
  };
  static_assert(std::size(kNames) == kSimulatedSteps);
  return kNames[static_cast<size_t>(step)];
}

std::string TopicOf(SimulatedShard shard) {
  return absl::StrCat(shard.sink == kKeyedSink ? "counts-" : "lines-", shard.shard);
}

std::string Text(SimulatedPlace place) { return absl::StrCat(place.group, "/", place.slot); }

TransactionalLog::Record RecordOf(const SimulatedRow& row, const SimulatedWriter& writer) {
  return {.key = Text(writer), .value = row.text};
}

std::string MarkTopic(int32_t partition) { return absl::StrCat("marks-", partition); }

TransactionalLog::Record ClaimRecord(SimulatedPlace place, int64_t epoch) {
  return {.key = absl::StrCat(ClaimKeys(place), epoch), .value = absl::StrCat(epoch)};
}

TransactionalLog::Record OutRecord(SimulatedPlace place, const SimulatedMark& mark) {
  return {.key = OutKey(place), .value = absl::StrCat(mark.written, ":", mark.batch)};
}

FoundMarks FindMarks(const std::vector<TransactionalLog::PlacedRecord>& records,
                     SimulatedPlace place) {
  FoundMarks found;
  for (const auto& [offset, record] : records) {
    if (record.key == OutKey(place)) {
      found.out = ParseMark(record.value);
      found.out_offset = offset;
    } else if (absl::StartsWith(record.key.value_or(""), ClaimKeys(place))) {
      found.claim = std::max(found.claim, Number(record.value));
    }
  }
  return found;
}

std::string SimulatedTerms(int64_t epoch, uint32_t sink) {
  return absl::StrCat("terms of epoch ", epoch, " for sink ", sink);
}

std::vector<SimulatedShard> SimulatedWorld::Shards() const {
  std::vector<SimulatedShard> shards;
  for (uint32_t shard = 0; shard < kShards; ++shard) {
    shards.push_back({kKeyedSink, shard});
  }
  for (const auto& [partition, ordinal] : ordinals) {
    shards.push_back({kPartitionSink, ordinal});
  }
  return shards;
}

bool SimulatedWorld::HasRow(SimulatedShard shard, const SimulatedRanges& ranges) const {
  return std::any_of(ranges.begin(), ranges.end(), [&](const auto& entry) {
    const std::string& partition = entry.first;
    return shard.shard ==
           (shard.sink == kKeyedSink ? SimulatedShardOf(partition) : ordinals.at(partition));
  });
}

std::map<int64_t, SimulatedWriter> SimulatedWorld::WritersOf(SimulatedShard shard,
                                                             int64_t first) const {
  std::map<int64_t, SimulatedWriter> writers;
  for (const auto& [offset, record] : kafka.AllCommitted(TopicOf(shard))) {
    const int64_t batch = Number(record.value.substr(0, record.value.find(' ')));
    if (batch >= first) {
      writers.emplace(batch, ParseWriter(record.key.value_or("")));
    }
  }
  return writers;
}

std::optional<SimulatedWriter> SimulatedWorld::WriterOf(SimulatedShard shard, int64_t batch) const {
  const std::map<int64_t, SimulatedWriter> writers = WritersOf(shard, batch);
  const auto found = writers.find(batch);
  return found == writers.end() ? std::nullopt : std::make_optional(found->second);
}

std::string SimulatedWorld::TermsOf(SimulatedShard shard, const SimulatedWriter& writer) const {
  return writer.place.has_value() ? SimulatedTerms(writer.epoch, shard.sink)
                                  : former_markers.at(shard);
}

FoundMarks SimulatedWorld::MarksOf(SimulatedPlace place) const {
  FoundMarks all;
  for (int32_t partition = 0; partition < kMarkPartitions; ++partition) {
    const FoundMarks found = FindMarks(kafka.AllCommitted(MarkTopic(partition)), place);
    EXPECT_FALSE(all.claim > 0 && found.claim > 0) << "marks of a place in two partitions";
    all = found.claim > 0 ? found : all;
  }
  return all;
}

std::optional<SimulatedPlace> SimulatedWorld::PlaceOf(int64_t epoch, SimulatedShard shard) const {
  const auto sessions = opened.find(epoch);
  if (sessions == opened.end()) {
    return std::nullopt;
  }
  const proto::OpenedSessions& who = sessions->second;
  const auto group = std::find_if(who.groups().begin(), who.groups().end(), [&](const auto& one) {
    return std::count(one.sinks().begin(), one.sinks().end(), shard.sink) > 0;
  });
  const bool keyed = shard.sink == kKeyedSink;
  const auto& slots = keyed ? who.shard_slot() : who.partition_slot();
  const auto index = static_cast<int>(shard.shard);
  if (group == who.groups().end() || index >= slots.size() || (!keyed && slots[index] == 0)) {
    return std::nullopt;
  }
  return SimulatedPlace{group->sinks(0), keyed ? slots[index] : slots[index] - 1};
}

void SimulatedWorld::CheckOutput(bool running_state) {
  std::map<uint32_t, SimulatedState> states;
  std::map<SimulatedShard, std::vector<std::string>> expected;
  for (const auto& [batch, ranges] : planned) {
    if (!running_state) {
      states.clear();
    }
    std::set<uint32_t> counted;
    for (const auto& [partition, range] : ranges) {
      const uint32_t shard = SimulatedShardOf(partition);
      states[shard][partition] = range.second;
      counted.insert(shard);
      expected[{kPartitionSink, ordinals[partition]}].push_back(
          LinesText(batch, range.first, range.second));
    }
    for (const uint32_t shard : counted) {
      expected[{kKeyedSink, shard}].push_back(CountsText(batch, states[shard]));
    }
  }
  for (const SimulatedShard shard : Shards()) {
    const auto output = kafka.ReadCommitted(TopicOf(shard));
    ASSERT_TRUE(output.ok()) << output.status();
    ASSERT_EQ(*output, expected[shard]) << TopicOf(shard) << ": batches are lost, twice or wrong";
  }
}

void SimulatedWorld::CheckVisible(const proto::OpenedSessions& opened) const {
  std::map<SimulatedShard, std::map<int64_t, std::string>> told;  // terms by batch
  for (const proto::VisibleOutput& visible : opened.visible()) {
    told[{visible.sink(), visible.shard()}][visible.batch()] = visible.terms();
  }
  for (const SimulatedShard shard : Shards()) {
    const std::map<int64_t, SimulatedWriter> writers = WritersOf(shard, durable_commits + 1);
    for (auto batch = planned.upper_bound(durable_commits); batch != planned.end(); ++batch) {
      if (!HasRow(shard, batch->second)) {
        continue;
      }
      const auto row = writers.find(batch->first);
      const auto entry = told[shard].lower_bound(batch->first);
      ASSERT_EQ(row != writers.end(), entry != told[shard].end())
          << TopicOf(shard) << ": whether batch " << batch->first << " is out";
      if (row != writers.end()) {
        ASSERT_EQ(entry->second, TermsOf(shard, row->second))
            << TopicOf(shard) << ": the terms of batch " << batch->first;
      }
    }
  }
}

std::string CountsText(int64_t batch, const SimulatedState& state) {
  std::string text = absl::StrCat(batch);
  for (const auto& [partition, counted] : state) {
    absl::StrAppend(&text, " ", partition, "=", counted);
  }
  return text;
}

std::string LinesText(int64_t batch, int64_t begin, int64_t end) {
  return absl::StrCat(batch, " from ", begin, " to ", end);
}

uint32_t SimulatedShardOf(const std::string& partition) {
  return static_cast<uint32_t>(partition.back()) % SimulatedWorld::kShards;
}

uint64_t SimulatedHashOf(const std::string& partition, int64_t begin, int64_t end) {
  uint64_t hash = static_cast<uint64_t>(begin) * 0x9e3779b97f4a7c15ULL ^ static_cast<uint64_t>(end);
  for (const char c : partition) {
    hash = hash * 31 + static_cast<uint64_t>(c);
  }
  return hash;
}

}  // namespace millrace::driver
