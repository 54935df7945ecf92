#include "executor/shuffle/exchange_writer.h"

#include <memory>
#include <utility>

#include "common/base/check.h"
#include "common/columnar/row_hash.h"
#include "executor/shuffle/owned_rows.h"

namespace millrace::executor {

ExchangeWriter::ExchangeWriter(uint32_t exchange, uint32_t key_groups, uint32_t shards)
    : exchange_(exchange), key_groups_(key_groups), shards_(shards) {}

void ExchangeWriter::Write(const Batch& rows, std::span<const OutputRun> runs,
                           ShardTarget* target) {
  MILLRACE_CHECK(rows.hashes() != nullptr)
      << "rows for exchange " << exchange_ << " without hashes";
  Split(rows, runs);
  for (const uint32_t index : touched_) {
    Shard& shard = shards_[index];
    if (shard.rows.size() < kLargeRows) {
      Keep(rows, &shard);
      if (shard.pending_rows >= kLargeRows) {
        SendPending(index, target);
      }
    } else {
      // Earlier rows go first, so that runs of one origin stay in order of position.
      SendPending(index, target);
      Batch selected = rows;
      selected.set_selection(std::make_shared<std::vector<uint32_t>>(std::move(shard.rows)));
      target->SendToShard(exchange_, index, selected, /*owned=*/false, std::move(shard.runs));
    }
    shard.rows.clear();
    shard.runs.clear();
  }
  touched_.clear();
}

void ExchangeWriter::Split(const Batch& rows, std::span<const OutputRun> runs) {
  const RowSet set = rows.rows();
  const std::vector<uint64_t>& hashes = *rows.hashes();
  size_t i = 0;
  for (const OutputRun& run : runs) {
    for (const size_t end = i + run.rows; i < end; ++i) {
      const uint32_t row = set[i];
      const uint32_t group = KeyGroupOf(hashes[row], key_groups_);
      const uint32_t index =
          ShardOfKeyGroup(group, key_groups_, static_cast<uint32_t>(shards_.size()));
      if (shards_[index].rows.empty()) {
        touched_.push_back(index);
      }
      AddRow(row, run.ordinal, &shards_[index]);
    }
  }
  MILLRACE_CHECK(i == set.count) << "runs cover " << i << " of " << set.count
                                 << " rows for exchange " << exchange_;
}

void ExchangeWriter::AddRow(uint32_t row, uint32_t ordinal, Shard* shard) {
  if (ordinal != shard->ordinal) {
    shard->ordinal = ordinal;
    shard->position = 0;
  }
  if (!shard->runs.empty() && shard->runs.back().ordinal == ordinal) {
    ++shard->runs.back().rows;
  } else {
    shard->runs.push_back({.ordinal = ordinal, .position = shard->position, .rows = 1});
  }
  shard->rows.push_back(row);
  ++shard->position;
}

void ExchangeWriter::Keep(const Batch& rows, Shard* shard) {
  shard->pending.push_back(GatherOwned(rows, shard->rows.data(), shard->rows.size()));
  shard->pending_rows += shard->rows.size();
  for (const InputRun& run : shard->runs) {
    const bool continues =
        !shard->pending_runs.empty() && shard->pending_runs.back().ordinal == run.ordinal;
    if (continues) {
      shard->pending_runs.back().rows += run.rows;
    } else {
      shard->pending_runs.push_back(run);
    }
  }
}

void ExchangeWriter::SendPending(uint32_t index, ShardTarget* target) {
  Shard& shard = shards_[index];
  if (shard.pending.empty()) {
    return;
  }
  target->SendToShard(exchange_, index, ConcatenateOwned(shard.pending), /*owned=*/true,
                      std::move(shard.pending_runs));
  shard.pending.clear();
  shard.pending_runs.clear();
  shard.pending_rows = 0;
}

void ExchangeWriter::Finish(ShardTarget* target) {
  for (uint32_t index = 0; index < shards_.size(); ++index) {
    SendPending(index, target);
    shards_[index].ordinal = 0;
    shards_[index].position = 0;
  }
}

}  // namespace millrace::executor
