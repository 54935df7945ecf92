#include "executor/shuffle/owned_rows.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "common/base/check.h"
#include "common/columnar/owned_values.h"

namespace millrace::executor {
namespace {

ColumnPtr WeightsOf(const Batch& batch) {
  if (batch.weight_column() != nullptr) {
    return batch.weight_column();
  }
  auto ones = std::make_shared<Column>(MakeType(TypeId::kInt64), batch.physical_rows());
  std::fill_n(ones->mutable_values<int64_t>(), batch.physical_rows(), 1);
  return ones;
}

}  // namespace

Batch GatherOwned(const Batch& batch, const uint32_t* rows, size_t count) {
  std::vector<ColumnPtr> columns;
  columns.reserve(batch.column_count());
  for (const ColumnPtr& column : batch.columns()) {
    MILLRACE_CHECK(column->type().id != TypeId::kArray) << "an array column in an exchange";
    columns.push_back(TakeOwned(*column, rows, count));
  }
  Batch gathered(std::move(columns), count);
  if (batch.weight_column() != nullptr) {
    gathered.set_weights(Take(*batch.weight_column(), rows, count));
  }
  if (batch.hashes() != nullptr) {
    auto hashes = std::make_shared<std::vector<uint64_t>>(count);
    for (size_t i = 0; i < count; ++i) {
      (*hashes)[i] = (*batch.hashes())[rows[i]];
    }
    gathered.set_hashes(std::move(hashes));
  }
  return gathered;
}

Batch ConcatenateOwned(const std::vector<Batch>& batches) {
  if (batches.size() == 1) {
    return batches.front();
  }
  size_t rows = 0;
  bool weighted = false;
  for (const Batch& batch : batches) {
    rows += batch.physical_rows();
    weighted = weighted || batch.weight_column() != nullptr;
  }
  std::vector<ColumnPtr> columns;
  std::vector<ColumnPtr> pieces(batches.size());
  for (size_t c = 0; c < batches.front().column_count(); ++c) {
    for (size_t b = 0; b < batches.size(); ++b) {
      pieces[b] = batches[b].column(c);
    }
    columns.push_back(Concatenate(pieces));
  }
  Batch all(std::move(columns), rows);
  if (weighted) {
    for (size_t b = 0; b < batches.size(); ++b) {
      pieces[b] = WeightsOf(batches[b]);
    }
    all.set_weights(Concatenate(pieces));
  }
  if (batches.front().hashes() != nullptr) {
    auto hashes = std::make_shared<std::vector<uint64_t>>();
    hashes->reserve(rows);
    for (const Batch& batch : batches) {
      hashes->insert(hashes->end(), batch.hashes()->begin(), batch.hashes()->end());
    }
    all.set_hashes(std::move(hashes));
  }
  return all;
}

int64_t OwnedBytes(const Batch& batch) {
  size_t bytes = batch.weight_column() == nullptr ? 0 : batch.weight_column()->ByteSize();
  for (const ColumnPtr& column : batch.columns()) {
    bytes += column->ByteSize();
  }
  if (batch.hashes() != nullptr) {
    bytes += batch.hashes()->size() * sizeof(uint64_t);
  }
  return static_cast<int64_t>(bytes);
}

}  // namespace millrace::executor
