#include "driver/results/result_rows.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/columnar/batch.h"
#include "common/columnar/batch_codec.h"

namespace millrace::driver {
namespace {

// Joins all pieces into one dense batch; it has weights only if a piece has some.
absl::StatusOr<Batch> Concatenated(const BatchShape& shape,
                                   const std::vector<std::string>& pieces) {
  std::vector<Batch> batches;
  size_t rows = 0;
  bool weighted = false;
  for (const std::string& piece : pieces) {
    ASSIGN_OR_RETURN(Batch batch, DecodeBatch(piece, shape));
    if (batch.empty()) {
      continue;
    }
    batch = batch.Compact();
    rows += batch.physical_rows();
    weighted = weighted || batch.weights() != nullptr;
    batches.push_back(std::move(batch));
  }
  if (batches.empty()) {
    return Batch();
  }
  std::vector<ColumnPtr> columns;
  for (size_t c = 0; c < batches.front().column_count(); ++c) {
    std::vector<ColumnPtr> parts;
    parts.reserve(batches.size());
    for (const Batch& batch : batches) {
      parts.push_back(batch.column(c));
    }
    columns.push_back(Concatenate(parts));
  }
  Batch all(std::move(columns), rows);
  if (weighted) {
    auto weights = std::make_shared<Column>(MakeType(TypeId::kInt64), rows);
    size_t at = 0;
    for (const Batch& batch : batches) {
      for (size_t row = 0; row < batch.physical_rows(); ++row) {
        weights->mutable_values<int64_t>()[at++] = batch.weight(row);
      }
    }
    all.set_weights(std::move(weights));
  }
  return all;
}

int CompareColumns(const Batch& batch, const std::vector<uint32_t>& columns, uint32_t a,
                   uint32_t b) {
  for (const uint32_t c : columns) {
    if (const int order = CompareValues(*batch.column(c), a, *batch.column(c), b); order != 0) {
      return order;
    }
  }
  return 0;
}

// Whether each of `rows`, which are sorted by key, is a removal whose key also has an addition.
std::vector<bool> FindReplaced(const Batch& batch, const std::vector<uint32_t>& keys,
                               const std::vector<uint32_t>& rows) {
  std::vector<bool> replaced(rows.size());
  for (size_t begin = 0; begin < rows.size();) {
    size_t end = begin + 1;
    while (end < rows.size() && CompareColumns(batch, keys, rows[begin], rows[end]) == 0) {
      ++end;
    }
    const bool added =
        std::any_of(rows.begin() + static_cast<long>(begin), rows.begin() + static_cast<long>(end),
                    [&](uint32_t row) { return batch.weight(row) > 0; });
    for (size_t i = begin; i < end; ++i) {
      replaced[i] = added && batch.weight(rows[i]) < 0;
    }
    begin = end;
  }
  return replaced;
}

// `batch` with one more column, which says for each row whether it is replaced.
Batch WithReplaced(const Batch& batch, const std::vector<bool>& replaced) {
  auto marks = std::make_shared<Column>(MakeType(TypeId::kBool), replaced.size());
  for (size_t i = 0; i < replaced.size(); ++i) {
    marks->mutable_values<uint8_t>()[i] = replaced[i] ? 1 : 0;
  }
  std::vector<ColumnPtr> columns;
  for (size_t c = 0; c < batch.column_count(); ++c) {
    columns.push_back(batch.column(c));
  }
  columns.push_back(std::move(marks));
  Batch marked(std::move(columns), replaced.size());
  marked.set_weights(batch.weight_column());
  return marked;
}

// Adds the weights of equal rows up in the first of them, and drops rows of weight zero. `rows` are
// sorted by all columns.
void DropCancelled(const std::vector<uint32_t>& columns, Batch* batch,
                   std::vector<uint32_t>* rows) {
  auto weights = std::make_shared<Column>(MakeType(TypeId::kInt64), batch->physical_rows());
  std::vector<uint32_t> kept;
  for (size_t begin = 0; begin < rows->size();) {
    size_t end = begin;
    int64_t sum = 0;
    while (end < rows->size() &&
           CompareColumns(*batch, columns, (*rows)[begin], (*rows)[end]) == 0) {
      sum += batch->weight((*rows)[end++]);
    }
    weights->mutable_values<int64_t>()[(*rows)[begin]] = sum;
    if (sum != 0) {
      kept.push_back((*rows)[begin]);
    }
    begin = end;
  }
  batch->set_weights(std::move(weights));
  *rows = std::move(kept);
}

}  // namespace

BatchShape ResultShape(const proto::Sink& sink) {
  BatchShape shape{.weights = true};
  for (const proto::Field& field : sink.columns()) {
    shape.columns.push_back(TypeFromProto(field.type()));
  }
  return shape;
}

absl::StatusOr<std::string> MergeResultRows(const BatchShape& shape,
                                            const std::vector<uint32_t>& keys,
                                            const std::vector<std::string>& pieces) {
  ASSIGN_OR_RETURN(Batch batch, Concatenated(shape, pieces));
  std::vector<uint32_t> order;
  if (batch.column_count() > 0) {
    order = keys;
  }
  std::vector<uint32_t> all_columns;
  for (uint32_t c = 0; c < batch.column_count(); ++c) {
    all_columns.push_back(c);
    order.push_back(c);
  }
  std::vector<uint32_t> rows(batch.physical_rows());
  for (uint32_t row = 0; row < rows.size(); ++row) {
    rows[row] = row;
  }
  std::stable_sort(rows.begin(), rows.end(), [&](uint32_t a, uint32_t b) {
    const int by_value = CompareColumns(batch, order, a, b);
    return by_value != 0 ? by_value < 0 : batch.weight(a) < batch.weight(b);
  });
  std::vector<bool> replaced;
  if (batch.weights() != nullptr) {
    DropCancelled(all_columns, &batch, &rows);
    if (!keys.empty()) {
      replaced = FindReplaced(batch, keys, rows);
    }
  }
  Batch kept = batch.TakeRows(rows.data(), rows.size());
  if (std::find(replaced.begin(), replaced.end(), true) != replaced.end()) {
    kept = WithReplaced(kept, replaced);
  }
  std::string merged;
  EncodeBatch(kept, &merged);
  return merged;
}

}  // namespace millrace::driver
