#include "common/expr/column_merge.h"

#include <cstring>

namespace millrace {
namespace {

template <size_t kWidth>
struct Bytes {
  char bytes[kWidth];
};

// Calls fn with a value of a type of the column's width, so that copies are moves of known size.
template <typename Fn>
void WithWidth(int32_t width, Fn&& fn) {
  switch (width) {
    case 1:
      return fn(Bytes<1>());
    case 2:
      return fn(Bytes<2>());
    case 4:
      return fn(Bytes<4>());
    case 8:
      return fn(Bytes<8>());
    case 16:
      return fn(Bytes<16>());
    default:
      return fn(Bytes<32>());
  }
}

}  // namespace

void CopyValue(const Column& from, size_t from_row, Column* to, size_t to_row) {
  if (from.IsNull(from_row)) {
    to->SetNull(to_row);
    return;
  }
  WithWidth(from.type().ByteWidth(), [&](auto unit) {
    using Unit = decltype(unit);
    to->mutable_values<Unit>()[to_row] = from.value<Unit>(from_row);
  });
}

ColumnPtr RepeatValue(const Column& one_row, size_t rows) {
  if (one_row.IsNull(0)) {
    return Column::Nulls(one_row.type(), rows);
  }
  auto out = std::make_shared<Column>(one_row.type(), rows);
  WithWidth(one_row.type().ByteWidth(), [&](auto unit) {
    using Unit = decltype(unit);
    const Unit value = one_row.value<Unit>(0);
    Unit* values = out->mutable_values<Unit>();
    for (size_t i = 0; i < rows; ++i) {
      values[i] = value;
    }
  });
  out->ShareOwners(one_row);
  out->set_child(one_row.child());
  return out;
}

ColumnMerge::ColumnMerge(const SqlType& type, size_t physical_rows)
    : out_(std::make_shared<Column>(type, physical_rows)) {}

void ColumnMerge::Add(const FunctionArg& from, RowSet rows) {
  if (rows.count == 0) {
    return;
  }
  if (out_->type().id == TypeId::kArray) {
    AddArrays(from, rows);
    return;
  }
  const Column& column = *from.column;
  if (column.has_nulls()) {
    rows.ForEach([&](uint32_t row) { CopyValue(column, from.index(row), out_.get(), row); });
  } else {
    WithWidth(column.type().ByteWidth(), [&](auto unit) {
      using Unit = decltype(unit);
      const Unit* in = column.values<Unit>();
      Unit* out = out_->mutable_values<Unit>();
      rows.ForEach([&](uint32_t row) { out[row] = in[from.index(row)]; });
    });
  }
  out_->ShareOwners(column);
}

void ColumnMerge::AddArrays(const FunctionArg& from, RowSet rows) {
  const Column& column = *from.column;
  rows.ForEach([&](uint32_t row) {
    size_t index = from.index(row);
    if (column.IsNull(index)) {
      out_->SetNull(row);
      return;
    }
    ListView list = column.value<ListView>(index);
    list.begin += static_cast<uint32_t>(child_rows_);
    out_->mutable_values<ListView>()[row] = list;
  });
  if (column.child() != nullptr) {
    children_.push_back(column.child());
    child_rows_ += column.child()->size();
  }
}

ColumnPtr ColumnMerge::Finish() {
  if (out_->type().id == TypeId::kArray) {
    out_->set_child(children_.empty() ? std::make_shared<Column>(MakeType(out_->type().element), 0)
                                      : Concatenate(children_));
  }
  return std::move(out_);
}

}  // namespace millrace
