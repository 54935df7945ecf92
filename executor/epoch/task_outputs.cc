#include "executor/epoch/task_outputs.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "executor/shuffle/owned_rows.h"
#include "executor/shuffle/wire_rows.h"

namespace millrace::executor {
namespace {

Batch Owned(const Batch& rows) {
  const RowSet set = rows.rows();
  std::vector<uint32_t> all(set.count);
  for (size_t i = 0; i < set.count; ++i) {
    all[i] = set[i];
  }
  return GatherOwned(rows, all.data(), all.size());
}

}  // namespace

void OutputRouter::SendToShard(BatchRun* run, uint32_t exchange, uint32_t shard, const Batch& rows,
                               bool owned, std::vector<InputRun> runs) {
  const uint32_t owner = layout_.shard_owner[shard];
  if (owner == layout_.self) {
    ShuffleBlock block{.exchange = exchange, .shard = shard, .runs = std::move(runs)};
    block.rows = owned ? rows : Owned(rows);
    block.flow = FlowHold(gate_, OwnedBytes(block.rows));
    deliver_(std::move(block));
    return;
  }
  EncodeInPieces(rows, kMaxPieceBytes, [&](size_t first, size_t count, std::string bytes) {
    proto::ShuffleFrame::Block block;
    block.set_exchange(exchange);
    block.set_shard(shard);
    block.set_rows(std::move(bytes));
    for (const InputRun& part : SliceRuns(runs, first, count)) {
      proto::ShuffleFrame::Run* out = block.add_runs();
      out->set_ordinal(part.ordinal);
      out->set_position(part.position);
      out->set_rows(part.rows);
    }
    metrics_->shuffled_blocks.Increment();
    metrics_->shuffled_bytes.Increment(static_cast<double>(block.rows().size()));
    run->CountSent(exchange, owner);
    links_[owner]->SendBlock(layout_.job, layout_.epoch, run->batch(), std::move(block));
  });
}

void OutputRouter::EndExchange(const BatchRun& run, uint32_t exchange) {
  for (uint32_t member = 0; member < layout_.members.size(); ++member) {
    if (member != layout_.self) {
      links_[member]->SendEnd(layout_.job, layout_.epoch, run.batch(), exchange,
                              run.Sent(exchange, member));
    }
  }
}

absl::Status OutputRouter::WriteSink(BatchRun* run, uint32_t sink, uint32_t shard,
                                     const Batch& rows, RowErrors* refused) {
  const auto count = static_cast<int64_t>(rows.row_count());
  if (run->suppressed() || rows.empty()) {
    run->AddRowsOut(count);
    return absl::OkStatus();
  }
  if (sinks_.gathered(sink)) {
    run->AddRowsOut(count);
    absl::Status status;
    EncodeInPieces(rows, kMaxPieceBytes, [&](size_t, size_t, std::string bytes) {
      status.Update(run->AddResult(sink, shard, std::move(bytes), sinks_.memory()));
    });
    return status;
  }
  ShardWriter* writer = sinks_.Find({sink, shard});
  if (writer == nullptr) {
    return absl::InternalError(absl::StrCat("rows for shard ", shard, " of sink ",
                                            layout_.plan.sinks(static_cast<int>(sink)).table(),
                                            ", which has no writer here"));
  }
  const SinkBatch batch = run->ForShard({sink, shard});
  RETURN_IF_ERROR(writer->Write(batch, rows, refused));
  if (refused->empty()) {
    run->AddRowsOut(count);
  }
  // Rows that are visible already need no commit; a refusal does (SinkShard::TakeRefused).
  if (!batch.visible.has_value() || !refused->empty()) {
    run->AddSession(writer->session());
  }
  return absl::OkStatus();
}

TaskOutputs::TaskOutputs(OutputRouter* router)
    : router_(router), writers_(router->layout().exchanges.size()) {}

absl::Status TaskOutputs::ExchangeRows(uint32_t exchange, const Batch& rows,
                                       std::span<const OutputRun> runs) {
  bytes_ += OwnedBytes(rows);
  std::unique_ptr<ExchangeWriter>& writer = writers_[exchange];
  if (writer == nullptr) {
    const EpochLayout& layout = router_->layout();
    writer =
        std::make_unique<ExchangeWriter>(exchange, layout.plan.key_groups(), layout.shard_count());
  }
  writer->Write(rows, runs, this);
  return absl::OkStatus();
}

absl::Status TaskOutputs::SinkRows(uint32_t sink, uint32_t shard, const Batch& rows,
                                   RowErrors* refused) {
  bytes_ += OwnedBytes(rows);
  return router_->WriteSink(run_, sink, shard, rows, refused);
}

void TaskOutputs::SendToShard(uint32_t exchange, uint32_t shard, const Batch& rows, bool owned,
                              std::vector<InputRun> runs) {
  router_->SendToShard(run_, exchange, shard, rows, owned, std::move(runs));
}

void TaskOutputs::Finish() {
  for (std::unique_ptr<ExchangeWriter>& writer : writers_) {
    if (writer != nullptr) {
      writer->Finish(this);
    }
  }
}

}  // namespace millrace::executor
