#include "executor/state/snapshot/held_rows.h"

#include <cstring>
#include <memory>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/excerpt.h"
#include "common/columnar/owned_values.h"
#include "common/types/interval.h"
#include "common/types/numeric.h"
#include "common/types/text_format.h"

namespace millrace::executor {
namespace {

constexpr size_t kMaxValueBytes = 120;

ColumnPtr ConcatenateWeights(const std::vector<Batch>& batches, size_t rows) {
  auto weights = std::make_shared<Column>(MakeType(TypeId::kInt64), rows);
  size_t row = 0;
  for (const Batch& batch : batches) {
    for (size_t i = 0; i < batch.physical_rows(); ++i, ++row) {
      weights->mutable_values<int64_t>()[row] = batch.weight(i);
    }
  }
  return weights;
}

}  // namespace

std::string DescribeKey(const std::vector<std::string>& names,
                        const std::vector<ColumnPtr>& columns, size_t row) {
  std::string out = "key (";
  for (size_t i = 0; i < columns.size(); ++i) {
    const std::string value = Excerpt(ValueToString(*columns[i], row), kMaxValueBytes);
    absl::StrAppend(&out, i == 0 ? "" : ", ",
                    i < names.size() ? names[i] : absl::StrCat("column ", i + 1), " = ", value);
  }
  return out + ")";
}

bool SameValue(const Column& a, size_t row_a, const Column& b, size_t row_b) {
  if (a.IsNull(row_a) || b.IsNull(row_b)) {
    return a.IsNull(row_a) == b.IsNull(row_b);
  }
  if (a.type().IsText()) {
    return a.value<TextView>(row_a) == b.value<TextView>(row_b);
  }
  if (a.type().id == TypeId::kNumeric) {  // its bytes have padding, so they cannot be compared
    const auto& left = a.value<Numeric>(row_a);
    const auto& right = b.value<Numeric>(row_b);
    return left.kind == right.kind && left.scale == right.scale &&
           (left.IsWide() ? left.exponent() == right.exponent() && left.digits() == right.digits()
                          : left.unscaled == right.unscaled);
  }
  auto width = static_cast<size_t>(a.type().ByteWidth());
  return std::memcmp(a.values<uint8_t>() + row_a * width, b.values<uint8_t>() + row_b * width,
                     width) == 0;
}

Batch CopyRows(const Batch& batch) {
  Batch dense = batch.Compact();
  std::vector<uint32_t> all(dense.physical_rows());
  std::iota(all.begin(), all.end(), 0);
  std::vector<ColumnPtr> columns;
  for (const ColumnPtr& column : dense.columns()) {
    const bool points = column->type().IsText() || column->type().id == TypeId::kNumeric;
    columns.push_back(points ? TakeOwned(*column, all.data(), all.size()) : column);
  }
  return dense.WithColumns(std::move(columns));
}

Batch ConcatenateBatches(const std::vector<Batch>& batches) {
  std::vector<ColumnPtr> columns;
  for (size_t column = 0; column < batches[0].column_count(); ++column) {
    std::vector<ColumnPtr> pieces;
    pieces.reserve(batches.size());
    for (const Batch& batch : batches) {
      pieces.push_back(batch.column(column));
    }
    columns.push_back(Concatenate(pieces));
  }
  size_t rows = 0;
  bool weighted = false;
  for (const Batch& batch : batches) {
    rows += batch.physical_rows();
    weighted |= batch.weights() != nullptr;
  }
  Batch out(std::move(columns), rows);
  if (weighted) {
    out.set_weights(ConcatenateWeights(batches, rows));
  }
  if (batches[0].hashes() != nullptr) {
    auto hashes = std::make_shared<std::vector<uint64_t>>();
    for (const Batch& batch : batches) {
      hashes->insert(hashes->end(), batch.hashes()->begin(), batch.hashes()->end());
    }
    out.set_hashes(std::move(hashes));
  }
  return out;
}

}  // namespace millrace::executor
