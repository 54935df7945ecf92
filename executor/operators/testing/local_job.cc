#include "executor/operators/testing/local_job.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status.h"
#include "common/columnar/batch_codec.h"
#include "common/columnar/row_hash.h"
#include "common/types/text_format.h"
#include "gtest/gtest.h"

namespace millrace::executor {

Batch MakeRows(const std::vector<SqlType>& types, const std::vector<std::string>& rows) {
  std::vector<std::shared_ptr<Column>> columns;
  columns.reserve(types.size());
  for (const SqlType& type : types) {
    columns.push_back(std::make_shared<Column>(type, rows.size()));
  }
  for (size_t row = 0; row < rows.size(); ++row) {
    std::vector<std::string> values = absl::StrSplit(rows[row], '|');
    EXPECT_EQ(values.size(), types.size()) << rows[row];
    for (size_t i = 0; i < types.size(); ++i) {
      if (values[i] == "NULL") {
        columns[i]->SetNull(row);
      } else {
        absl::Status status = ParseValue(values[i], columns[i].get(), row);
        EXPECT_TRUE(status.ok()) << status;
      }
    }
  }
  return Batch({columns.begin(), columns.end()}, rows.size());
}

std::vector<std::string> PrintRows(const Batch& batch) {
  std::vector<std::string> out;
  batch.rows().ForEach([&](uint32_t row) {
    std::string line = absl::StrCat(batch.weight(row) < 0 ? "" : "+", batch.weight(row), " ");
    for (size_t i = 0; i < batch.column_count(); ++i) {
      absl::StrAppend(&line, i == 0 ? "" : "|", ValueToString(*batch.column(i), row));
    }
    out.push_back(std::move(line));
  });
  return out;
}

absl::Status RecordedOutputs::ExchangeRows(uint32_t exchange, const Batch& rows,
                                           std::span<const OutputRun> runs) {
  size_t covered = 0;
  for (const OutputRun& run : runs) {
    covered += run.rows;
  }
  EXPECT_EQ(covered, rows.row_count());
  blocks.push_back({exchange, rows, {runs.begin(), runs.end()}});
  return absl::OkStatus();
}

absl::Status RecordedOutputs::SinkRows(uint32_t sink, uint32_t shard, const Batch& rows,
                                       RowErrors* refused) {
  std::vector<std::string> lines = PrintRows(rows);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (refuses.contains(lines[i])) {
      refused->Add(rows.rows()[i], absl::InvalidArgumentError("the sink takes no such row"));
    }
  }
  if (!refused->empty()) {
    return absl::OkStatus();
  }
  auto& kept = sinks[{sink, shard}];
  kept.insert(kept.end(), lines.begin(), lines.end());
  for (const std::string& line : lines) {
    absl::StrAppend(&sink_text[sink], line, "\n");
  }
  return absl::OkStatus();
}

LocalJob::LocalJob(proto::JobPlan plan, Variation variation, int64_t next_batch)
    : plan_(std::move(plan)),
      variation_(variation),
      random_(variation.seed),
      next_batch_(next_batch) {
  for (const proto::Stage& stage : plan_.stages()) {
    if (stage.has_source()) {
      auto pipeline = SourcePipeline::Create(plan_, stage.id(), TestRegistry());
      EXPECT_TRUE(pipeline.ok()) << pipeline.status();
      sources_[stage.id()] = *std::move(pipeline);
      continue;
    }
    for (uint32_t shard = 0; shard < plan_.parallelism(); ++shard) {
      auto pipeline =
          KeyedPipeline::Create(plan_, stage.id(), shard, TestRegistry(), variation_.backend);
      EXPECT_TRUE(pipeline.ok()) << pipeline.status();
      keyed_[{stage.id(), shard}] = *std::move(pipeline);
    }
  }
}

absl::StatusOr<std::map<std::pair<uint32_t, uint32_t>, std::vector<std::string>>>
LocalJob::RunBatch(const std::vector<Split>& splits) {
  batch_ = next_batch_++;
  RecordedOutputs outputs;
  outputs.refuses = refused_;
  std::vector<Split> order = splits;
  if (variation_.shuffle) {
    std::shuffle(order.begin(), order.end(), random_);
  }
  for (const Split& split : order) {
    RETURN_IF_ERROR(RunSplit(split, &outputs));
  }
  for (const proto::Stage& stage : plan_.stages()) {
    if (stage.has_exchange()) {
      RETURN_IF_ERROR(RunKeyedStage(stage.id(), &outputs));
    }
  }
  sink_text_ = std::move(outputs.sink_text);
  return outputs.sinks;
}

absl::Status LocalJob::RunSplit(const Split& split, RecordedOutputs* outputs) {
  SourcePipeline& pipeline = *sources_.at(split.stage);
  std::vector<SqlType> types;
  const proto::Stage& stage = plan_.stages(static_cast<int>(split.stage));
  for (const proto::SourceColumn& column :
       plan_.sources(static_cast<int>(stage.source())).columns()) {
    types.push_back(TypeFromProto(column.type()));
  }
  pipeline.BeginSplit(split.ordinal, BatchId(batch_), batch_ * 1000000, outputs);
  for (size_t begin = 0; begin < split.rows.size(); begin += variation_.chunk_rows) {
    size_t count = std::min(variation_.chunk_rows, split.rows.size() - begin);
    std::vector<std::string> rows(split.rows.begin() + static_cast<ptrdiff_t>(begin),
                                  split.rows.begin() + static_cast<ptrdiff_t>(begin + count));
    RETURN_IF_ERROR(pipeline.Push(MakeRows(types, rows), split.decode_errors, [&](uint32_t row) {
      return absl::StrCat("p", split.ordinal, "@", begin + row);
    }));
  }
  ASSIGN_OR_RETURN(SkipReport report, pipeline.EndSplit());
  Count(report);
  return absl::OkStatus();
}

// The blocks of the exchange for one shard, one per block that was written. Positions are counted
// per (ordinal, shard).
std::vector<LocalJob::ShardBlock> LocalJob::TakeBlocks(uint32_t exchange, uint32_t shard,
                                                       const RecordedOutputs& outputs) {
  std::vector<ShardBlock> out;
  std::map<uint32_t, uint64_t> positions;
  for (const RecordedOutputs::Block& block : outputs.blocks) {
    if (block.exchange != exchange) {
      continue;
    }
    std::vector<uint32_t> taken;
    ShardBlock cut;
    size_t next = 0;
    for (const OutputRun& run : block.runs) {
      InputRun part{run.ordinal, positions[run.ordinal], 0};
      for (uint32_t i = 0; i < run.rows; ++i) {
        uint32_t row = block.rows.rows()[next++];
        uint32_t key_group = KeyGroupOf((*block.rows.hashes())[row], plan_.key_groups());
        if (ShardOfKeyGroup(key_group, plan_.key_groups(), plan_.parallelism()) == shard) {
          taken.push_back(row);
          ++part.rows;
        }
      }
      if (part.rows != 0) {
        positions[run.ordinal] += part.rows;
        cut.runs.push_back(part);
      }
    }
    if (!taken.empty()) {
      cut.rows = block.rows.TakeRows(taken.data(), taken.size());
      cut.rows.set_origin(nullptr);
      out.push_back(std::move(cut));
    }
  }
  return out;
}

absl::Status LocalJob::RunKeyedStage(uint32_t stage, RecordedOutputs* outputs) {
  uint32_t exchange = plan_.stages(static_cast<int>(stage)).exchange();
  for (uint32_t shard = 0; shard < plan_.parallelism(); ++shard) {
    KeyedPipeline& pipeline = *keyed_.at({stage, shard});
    std::vector<ShardBlock> blocks = TakeBlocks(exchange, shard, *outputs);
    if (variation_.shuffle) {
      std::shuffle(blocks.begin(), blocks.end(), random_);
    }
    pipeline.BeginBatch(BatchId(batch_), batch_ * 1000000, outputs);
    for (size_t i = 0; i < blocks.size(); ++i) {
      RETURN_IF_ERROR(pipeline.Apply(blocks[i].rows, blocks[i].runs));
      if (snapshot_step_ != 0) {
        RETURN_IF_ERROR(pipeline.ContinueSnapshot(snapshot_step_).status());
      }
      uint32_t done = UINT32_MAX;  // all rows of origins below this have come
      for (size_t later = i + 1; later < blocks.size(); ++later) {
        for (const InputRun& run : blocks[later].runs) {
          done = std::min(done, run.ordinal);
        }
      }
      RETURN_IF_ERROR(pipeline.OriginsDone(done));
    }
    ASSIGN_OR_RETURN(SkipReport report, pipeline.EndBatch());
    EXPECT_EQ(pipeline.HeldBytes(), 0);
    Count(report);
  }
  return absl::OkStatus();
}

void LocalJob::BeginSnapshot(bool full) {
  for (const auto& [key, pipeline] : keyed_) {
    pipeline->BeginSnapshot(full);
  }
}

bool LocalJob::ContinueSnapshot(size_t max_entries) {
  bool done = true;
  for (const auto& [key, pipeline] : keyed_) {
    const absl::StatusOr<bool> all = pipeline->ContinueSnapshot(max_entries);
    EXPECT_TRUE(all.ok()) << all.status();
    done &= !all.ok() || *all;
  }
  return done;
}

LocalJob::StateLayer LocalJob::TakeSnapshot() {
  StateLayer layer;
  for (const auto& [key, pipeline] : keyed_) {
    for (StateBlock& block : pipeline->TakeSnapshot()) {
      layer[key.first].push_back(std::move(block));
    }
  }
  return layer;
}

absl::Status LocalJob::Restore(const StateLayer& layer) {
  for (const auto& [stage, blocks] : layer) {
    for (const StateBlock& block : blocks) {
      std::string bytes;
      EncodeBatch(block.rows, &bytes);
      ASSIGN_OR_RETURN(const Batch rows, DecodeBatch(bytes));
      for (uint32_t shard = 0; shard < plan_.parallelism(); ++shard) {
        StateBlock part{.operator_name = block.operator_name,
                        .rows = rows,
                        .equal_keys_apart = block.equal_keys_apart};
        part.rows.set_selection(
            std::make_shared<const std::vector<uint32_t>>(RowsOfShard(rows, shard)));
        RETURN_IF_ERROR(keyed_.at({stage, shard})->Restore(part));
      }
    }
  }
  return absl::OkStatus();
}

std::vector<uint32_t> LocalJob::RowsOfShard(const Batch& rows, uint32_t shard) const {
  std::vector<uint32_t> out;
  for (uint32_t row = 0; row < rows.physical_rows(); ++row) {
    uint32_t key_group = KeyGroupOf((*rows.hashes())[row], plan_.key_groups());
    if (ShardOfKeyGroup(key_group, plan_.key_groups(), plan_.parallelism()) == shard) {
      out.push_back(row);
    }
  }
  return out;
}

int64_t LocalJob::wake_at_us() const {
  int64_t earliest = 0;
  for (const auto& [key, pipeline] : keyed_) {
    int64_t wake = pipeline->wake_at_us();
    earliest = earliest == 0 || (wake != 0 && wake < earliest) ? wake : earliest;
  }
  return earliest;
}

void LocalJob::Count(const SkipReport& report) {
  skipped_.records += report.records;
  if (skipped_.first_error.empty()) {
    skipped_.first_error = report.first_error;
  }
}

int64_t LocalJob::state_rows() const {
  int64_t rows = 0;
  for (const auto& [key, pipeline] : keyed_) {
    rows += pipeline->StateRows();
  }
  return rows;
}

void ChangedTable::Apply(
    const std::map<std::pair<uint32_t, uint32_t>, std::vector<std::string>>& sinks) {
  for (const auto& [sink, lines] : sinks) {
    for (const std::string& line : lines) {
      std::pair<std::string, std::string> parts = absl::StrSplit(line, absl::MaxSplits(' ', 1));
      int64_t& count = rows_[parts.second];
      count += std::stoll(parts.first);
      EXPECT_GE(count, 0) << "taken back without being there: " << line;
      if (count == 0) {
        rows_.erase(parts.second);
      }
    }
  }
}

std::vector<std::string> ChangedTable::Rows() const {
  std::vector<std::string> out;
  for (const auto& [row, count] : rows_) {
    out.insert(out.end(), static_cast<size_t>(count), row);
  }
  return out;
}

}  // namespace millrace::executor
