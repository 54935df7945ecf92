#include "executor/shuffle/block_check.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/columnar/row_hash.h"

namespace millrace::executor {
namespace {

absl::Status CheckRuns(const std::vector<InputRun>& runs, size_t rows) {
  uint64_t covered = 0;
  for (const InputRun& run : runs) {
    if (run.rows == 0) {
      return absl::DataLossError("a run without rows");
    }
    covered += run.rows;
  }
  return covered == rows
             ? absl::OkStatus()
             : absl::DataLossError(absl::StrCat("runs of ", covered, " rows over ", rows));
}

// Refuses rows of another shard: their keys would then have state in both.
absl::Status CheckOwner(const Batch& rows, const BlockShape& shape) {
  for (const uint64_t hash : *rows.hashes()) {
    const uint32_t group = KeyGroupOf(hash, shape.key_groups);
    const uint32_t owner = ShardOfKeyGroup(group, shape.key_groups, shape.shards);
    if (owner != shape.shard) {
      return absl::DataLossError(absl::StrCat("a row of shard ", owner));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Batch> DecodeRows(const ShuffleBlock& block, const BlockShape& shape) {
  ASSIGN_OR_RETURN(Batch rows, DecodeBatch(block.encoded, shape.rows));
  RETURN_IF_ERROR(CheckRuns(block.runs, rows.row_count()));
  RETURN_IF_ERROR(CheckOwner(rows, shape));
  return rows;
}

}  // namespace

absl::StatusOr<BlockShape> BlockShape::Of(const proto::JobPlan& plan, uint32_t exchange,
                                          uint32_t shard, uint32_t shards) {
  if (exchange >= static_cast<uint32_t>(plan.exchanges_size()) || plan.key_groups() == 0 ||
      shards == 0) {
    return absl::InternalError(absl::StrCat("the plan has no exchange ", exchange, " over ",
                                            plan.key_groups(), " key groups and ", shards,
                                            " shards"));
  }
  const proto::Exchange& planned = plan.exchanges(static_cast<int>(exchange));
  BlockShape shape{.key_groups = plan.key_groups(), .shards = shards, .shard = shard};
  shape.rows.hashes = true;
  shape.rows.weights = planned.retracts();
  for (const proto::Field& field : planned.columns()) {
    shape.rows.columns.push_back(TypeFromProto(field.type()));
  }
  return shape;
}

absl::StatusOr<Batch> DecodeBlock(const ShuffleBlock& block, const BlockShape& shape) {
  absl::StatusOr<Batch> rows = DecodeRows(block, shape);
  if (!rows.ok()) {
    // The error is not DATA_LOSS: nothing durable is damaged, and the batch is run again.
    return absl::AbortedError(absl::StrCat("rows for exchange ", block.exchange, " and shard ",
                                           block.shard, " from executor ", block.sender_id,
                                           " do not fit the plan: ", rows.status().message()));
  }
  return rows;
}

}  // namespace millrace::executor
