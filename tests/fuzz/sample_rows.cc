#include "tests/fuzz/sample_rows.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/columnar/batch_codec.h"
#include "common/columnar/row_hash.h"
#include "common/types/text_format.h"

namespace millrace {
namespace {

constexpr size_t kRows = 3;

// The value's text form in each row, the last one NULL.
ColumnPtr ColumnOf(TypeId id, const std::string& text) {
  auto column = std::make_shared<Column>(MakeType(id), kRows);
  for (size_t row = 0; row + 1 < kRows; ++row) {
    const absl::Status parsed = ParseValue(text, column.get(), row);
    MILLRACE_CHECK(parsed.ok()) << parsed;
  }
  column->SetNull(kRows - 1);
  return column;
}

}  // namespace

Batch SampleRows() {
  std::vector<ColumnPtr> columns;
  for (const auto& [id, text] : std::vector<std::pair<TypeId, const char*>>{
           {TypeId::kBool, "true"},
           {TypeId::kInt16, "-7"},
           {TypeId::kInt32, "70000"},
           {TypeId::kInt64, "5000000000"},
           {TypeId::kFloat32, "1.5"},
           {TypeId::kFloat64, "-0.25"},
           {TypeId::kNumeric, "12.50"},
           {TypeId::kText, "a text of more than twelve bytes"},
           {TypeId::kBytea, "\\x00ff"},
           {TypeId::kDate, "2025-03-01"},
           {TypeId::kTimestamp, "2025-03-01 12:00:00"},
           {TypeId::kTimestampTz, "2025-03-01 12:00:00+00"},
           {TypeId::kInterval, "1 day 02:00:00"},
           {TypeId::kJsonb, "{\"a\": [1, null, \"x\"]}"}}) {
    columns.push_back(ColumnOf(id, text));
  }
  auto lists =
      std::make_shared<Column>(SqlType{.id = TypeId::kArray, .element = TypeId::kInt32}, kRows);
  auto elements = std::make_shared<Column>(MakeType(TypeId::kInt32), kRows);
  for (uint32_t i = 0; i < kRows; ++i) {
    lists->mutable_values<ListView>()[i] = {i, 1};
    elements->mutable_values<int32_t>()[i] = static_cast<int32_t>(i);
  }
  lists->set_child(std::move(elements));
  columns.push_back(std::move(lists));
  Batch batch(columns, kRows);
  auto weights = std::make_shared<Column>(MakeType(TypeId::kInt64), kRows);
  for (size_t i = 0; i < kRows; ++i) {
    weights->mutable_values<int64_t>()[i] = i == 1 ? -1 : 1;
  }
  batch.set_weights(std::move(weights));
  auto hashes = std::make_shared<std::vector<uint64_t>>(kRows);
  HashRows({columns[0], columns[7]}, batch.rows(), hashes->data());
  batch.set_hashes(std::move(hashes));
  return batch;
}

void UseRows(const Batch& batch) {
  const size_t rows = batch.physical_rows();
  std::vector<uint32_t> backwards(rows);
  for (size_t i = 0; i < rows; ++i) {
    backwards[i] = static_cast<uint32_t>(rows - 1 - i);
  }
  for (const ColumnPtr& column : batch.columns()) {
    if (column->type().id != TypeId::kUnknown && column->type().id != TypeId::kArray) {
      std::vector<uint64_t> hashes(rows);
      HashRows({column}, RowSet{nullptr, rows}, hashes.data());
    }
    for (size_t row = 0; row < rows; ++row) {
      MILLRACE_CHECK(ValuesEqual(*column, row, *column, row)) << "a value is not itself";
      CompareValues(*column, row, *column, rows - 1 - row);
      if (column->type().id != TypeId::kUnknown) {
        ValueToString(*column, row);
      }
    }
    Concatenate({column, Take(*column, backwards.data(), rows)});
  }
  std::string bytes;
  EncodeBatch(batch, &bytes);
  const absl::StatusOr<Batch> again = DecodeBatch(bytes);
  MILLRACE_CHECK(again.ok()) << again.status();
  MILLRACE_CHECK(again->physical_rows() == rows) << "rows are lost on the way";
  for (size_t c = 0; c < batch.column_count(); ++c) {
    for (size_t row = 0; row < rows; ++row) {
      MILLRACE_CHECK(ValuesEqual(*batch.column(c), row, *again->column(c), row))
          << "a value is another one once it has been encoded";
    }
  }
}

}  // namespace millrace
