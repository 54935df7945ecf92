#include "executor/operators/output/exchange_write.h"

#include <memory>
#include <utility>

#include "common/columnar/row_hash.h"
#include "executor/operators/stage_context.h"

namespace millrace::executor {

ExchangeWrite::ExchangeWrite(const proto::Operator& plan, StageContext* context,
                             const std::optional<std::vector<uint32_t>>& input_hashed)
    : Operator(plan.id(), context),
      exchange_(plan.exchange_write().exchange()),
      keys_(plan.exchange_write().keys().begin(), plan.exchange_write().keys().end()),
      reuse_hashes_(input_hashed == keys_) {}

absl::Status ExchangeWrite::Process(const Batch& input) {
  Batch batch = input;
  if (!reuse_hashes_) {
    std::vector<ColumnPtr> columns;
    columns.reserve(keys_.size());
    for (uint32_t key : keys_) {
      columns.push_back(batch.column(key));
    }
    auto hashes = std::make_shared<std::vector<uint64_t>>(batch.physical_rows());
    HashRows(columns, batch.rows(), hashes->data());
    batch.set_hashes(std::move(hashes));
  }
  FindRuns(batch);
  return context().outputs().ExchangeRows(exchange_, batch, runs_);
}

void ExchangeWrite::FindRuns(const Batch& batch) {
  runs_.clear();
  if (context().has_single_ordinal()) {
    runs_.push_back({context().single_ordinal(), static_cast<uint32_t>(batch.row_count())});
    return;
  }
  batch.rows().ForEach([&](uint32_t row) {
    uint32_t ordinal = context().OrdinalOf(batch, row);
    if (runs_.empty() || runs_.back().ordinal != ordinal) {
      runs_.push_back({ordinal, 0});
    }
    ++runs_.back().rows;
  });
}

}  // namespace millrace::executor
