// Frames of the shuffle: the message, its blocks against the exchange's shape, and what passes
// through a keyed aggregation as operators see it.
#include <memory>
#include <utility>

#include "common/base/check.h"
#include "common/columnar/batch_codec.h"
#include "common/columnar/row_hash.h"
#include "executor/shuffle/block_check.h"
#include "proto/shuffle.pb.h"
#include "tests/fuzz/sample_rows.h"
#include "tests/fuzz/targets.h"

namespace millrace {
namespace {

// Of an exchange of (text, int64), everything to one shard.
const executor::BlockShape& Shape() {
  static const executor::BlockShape& shape = *new executor::BlockShape{
      .rows = {.columns = {MakeType(TypeId::kText), MakeType(TypeId::kInt64)},
               .hashes = true,
               .weights = true},
      .key_groups = 16,
      .shards = 1,
      .shard = 0};
  return shape;
}

void UseBlock(const Batch& rows, const std::vector<executor::InputRun>& runs) {
  size_t next = 0;
  for (const executor::InputRun& run : runs) {
    for (uint32_t i = 0; i < run.rows; ++i, ++next) {
      MILLRACE_CHECK(next < rows.physical_rows()) << "runs go beyond the rows";
      MILLRACE_CHECK(KeyGroupOf((*rows.hashes())[next], Shape().key_groups) < 16) << "no group";
    }
  }
  MILLRACE_CHECK(next == rows.physical_rows()) << "runs end before the rows";
  MILLRACE_CHECK(rows.column(0)->type().id == TypeId::kText) << "another type";
  UseRows(rows);
}

}  // namespace

void FuzzBlock(std::string_view bytes) {
  proto::ShuffleFrame frame;
  if (!frame.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return;
  }
  for (proto::ShuffleFrame::Block& sent : *frame.mutable_blocks()) {
    executor::ShuffleBlock block{.exchange = sent.exchange(), .shard = sent.shard()};
    for (const proto::ShuffleFrame::Run& run : sent.runs()) {
      block.runs.push_back(
          {.ordinal = run.ordinal(), .position = run.position(), .rows = run.rows()});
    }
    block.encoded = std::move(*sent.mutable_rows());
    const absl::StatusOr<Batch> rows = executor::DecodeBlock(block, Shape());
    if (rows.ok()) {
      UseBlock(*rows, block.runs);
    }
  }
}

std::vector<std::string> BlockSeeds() {
  const Batch sample = SampleRows();
  Batch rows({sample.column(7), sample.column(3)}, sample.physical_rows());
  rows.set_hashes(sample.hashes());
  rows.set_weights(sample.weight_column());
  proto::ShuffleFrame frame;
  frame.set_job_id("job");
  frame.set_epoch(1);
  frame.set_batch(1);
  proto::ShuffleFrame::Block* block = frame.add_blocks();
  EncodeBatch(rows, block->mutable_rows());
  for (const uint32_t count : {1, 2}) {
    proto::ShuffleFrame::Run* run = block->add_runs();
    run->set_ordinal(count);
    run->set_rows(count);
  }
  frame.add_ends()->set_blocks(1);
  return {frame.SerializeAsString()};
}

}  // namespace millrace
