#include "common/columnar/column.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "common/base/check.h"
#include "common/types/interval.h"
#include "common/types/jsonb_order.h"
#include "common/types/numeric.h"

namespace millrace {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kTextBlockBytes = 4096;

size_t BitmapBytes(size_t rows) { return (rows + 7) / 8; }

template <typename T>
int Compare(const T& a, const T& b) {
  return a < b ? -1 : (b < a ? 1 : 0);
}

// PostgreSQL's order: NaN equals itself and is the largest.
template <typename T>
int CompareFloats(T a, T b) {
  bool a_nan = std::isnan(a);
  bool b_nan = std::isnan(b);
  if (a_nan || b_nan) {
    return static_cast<int>(a_nan) - static_cast<int>(b_nan);
  }
  return Compare(a, b);
}

int CompareLists(const Column& a, size_t row_a, const Column& b, size_t row_b) {
  const ListView& left = a.value<ListView>(row_a);
  const ListView& right = b.value<ListView>(row_b);
  for (uint32_t i = 0; i < std::min(left.size, right.size); ++i) {
    int order = CompareValues(*a.child(), left.begin + i, *b.child(), right.begin + i);
    if (order != 0) {
      return order;
    }
  }
  return Compare(left.size, right.size);
}

int CompareNonNull(const Column& a, size_t row_a, const Column& b, size_t row_b) {
  switch (a.type().id) {
    case TypeId::kUnknown:
      return 0;
    case TypeId::kBool:
      return Compare(a.value<uint8_t>(row_a), b.value<uint8_t>(row_b));
    case TypeId::kInt16:
      return Compare(a.value<int16_t>(row_a), b.value<int16_t>(row_b));
    case TypeId::kInt32:
    case TypeId::kDate:
      return Compare(a.value<int32_t>(row_a), b.value<int32_t>(row_b));
    case TypeId::kInt64:
    case TypeId::kTimestamp:
    case TypeId::kTimestampTz:
      return Compare(a.value<int64_t>(row_a), b.value<int64_t>(row_b));
    case TypeId::kFloat32:
      return CompareFloats(a.value<float>(row_a), b.value<float>(row_b));
    case TypeId::kFloat64:
      return CompareFloats(a.value<double>(row_a), b.value<double>(row_b));
    case TypeId::kNumeric: {
      auto order = Numeric::Compare(a.value<Numeric>(row_a), b.value<Numeric>(row_b));
      return order < 0 ? -1 : (order > 0 ? 1 : 0);
    }
    case TypeId::kJsonb:
      return CompareJsonb(a.value<TextView>(row_a).view(), b.value<TextView>(row_b).view());
    case TypeId::kText:
    case TypeId::kBytea: {
      int order = a.value<TextView>(row_a).view().compare(b.value<TextView>(row_b).view());
      return order < 0 ? -1 : (order > 0 ? 1 : 0);
    }
    case TypeId::kInterval:
      return Compare(a.value<Interval>(row_a).SortKey(), b.value<Interval>(row_b).SortKey());
    case TypeId::kArray:
      return CompareLists(a, row_a, b, row_b);
  }
  return 0;
}

template <size_t kWidth>
void Gather(const uint8_t* from, const uint32_t* rows, size_t count, uint8_t* to) {
  for (size_t i = 0; i < count; ++i) {
    std::memcpy(to + i * kWidth, from + rows[i] * kWidth, kWidth);
  }
}

void GatherValues(int32_t width, const uint8_t* from, const uint32_t* rows, size_t count,
                  uint8_t* to) {
  switch (width) {
    case 1:
      return Gather<1>(from, rows, count, to);
    case 2:
      return Gather<2>(from, rows, count, to);
    case 4:
      return Gather<4>(from, rows, count, to);
    case 8:
      return Gather<8>(from, rows, count, to);
    case 16:
      return Gather<16>(from, rows, count, to);
    case 32:
      return Gather<32>(from, rows, count, to);
    default:
      MILLRACE_CHECK(false) << "no gather for values of " << width << " bytes";
  }
}

// Joins the array rows of several columns, and their elements into one child.
void ConcatenateLists(const std::vector<ColumnPtr>& columns, Column* out) {
  std::vector<ColumnPtr> children;
  uint32_t shift = 0;
  size_t row = 0;
  for (const ColumnPtr& column : columns) {
    for (size_t i = 0; i < column->size(); ++i, ++row) {
      ListView list = column->IsNull(i) ? ListView{} : column->value<ListView>(i);
      list.begin += shift;
      out->mutable_values<ListView>()[row] = list;
    }
    shift += static_cast<uint32_t>(column->child()->size());
    children.push_back(column->child());
  }
  out->set_child(Concatenate(children));
}

}  // namespace

Buffer::Buffer(size_t bytes)
    : bytes_(static_cast<uint8_t*>(std::aligned_alloc(
          kAlignment, std::max(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment)))),
      size_(bytes) {
  MILLRACE_CHECK(bytes_ != nullptr) << "out of memory for a buffer of " << bytes << " bytes";
}

Buffer::~Buffer() { std::free(bytes_); }

Column::Column(SqlType type, size_t rows)
    : type_(type),
      size_(rows),
      values_(std::make_shared<Buffer>(rows * static_cast<size_t>(type.ByteWidth()))) {}

ColumnPtr Column::Nulls(SqlType type, size_t rows) {
  auto column = std::make_shared<Column>(type, rows);
  std::memset(column->values_->bytes(), 0, column->values_->size());
  column->validity_ = std::make_shared<Buffer>(BitmapBytes(rows));
  std::memset(column->validity_->bytes(), 0, column->validity_->size());
  if (type.id == TypeId::kArray) {
    column->child_ = std::make_shared<Column>(MakeType(type.element), 0);
  }
  return column;
}

void Column::SetNull(size_t row) {
  if (validity_ == nullptr) {
    validity_ = std::make_shared<Buffer>(BitmapBytes(size_));
    std::memset(validity_->bytes(), 0xFF, validity_->size());
  }
  validity_->bytes()[row >> 3] &= static_cast<uint8_t>(~(1u << (row & 7)));
  std::memset(values_->bytes() + row * static_cast<size_t>(type_.ByteWidth()), 0,
              static_cast<size_t>(type_.ByteWidth()));
}

void Column::SetValid(size_t row) {
  if (validity_ != nullptr) {
    validity_->bytes()[row >> 3] |= static_cast<uint8_t>(1u << (row & 7));
  }
}

void Column::SetTextCopy(size_t row, std::string_view text) {
  if (text.size() <= TextView::kInlineBytes) {
    mutable_values<TextView>()[row] = TextView(text);
    return;
  }
  char* bytes = AllocateText(text.size());
  std::memcpy(bytes, text.data(), text.size());
  mutable_values<TextView>()[row] = TextView(bytes, text.size());
}

char* Column::AllocateText(size_t bytes) {
  if (bytes > text_left_ || text_free_ == nullptr) {
    // Blocks double, so that a column of n bytes of text takes O(log n) allocations.
    size_t block = std::max({bytes, kTextBlockBytes, std::min<size_t>(text_bytes_, 1 << 20)});
    auto buffer = std::make_shared<Buffer>(block);
    text_free_ = reinterpret_cast<char*>(buffer->bytes());
    text_left_ = block;
    text_bytes_ += block;
    owners_.push_back(std::move(buffer));
  }
  char* result = text_free_;
  text_free_ += bytes;
  text_left_ -= bytes;
  return result;
}

void Column::ShareOwners(const Column& other) {
  for (const TextOwner& owner : other.owners_) {
    // Batches made from one chunk share few owners: a linear look-up beats a set.
    if (std::find(owners_.begin(), owners_.end(), owner) == owners_.end()) {
      owners_.push_back(owner);
    }
  }
}

size_t Column::ByteSize() const {
  return values_->size() + (validity_ == nullptr ? 0 : validity_->size()) + text_bytes_ +
         (child_ == nullptr ? 0 : child_->ByteSize());
}

ColumnPtr Take(const Column& column, const uint32_t* rows, size_t count) {
  auto out = std::make_shared<Column>(column.type(), count);
  GatherValues(column.type().ByteWidth(), column.values<uint8_t>(), rows, count,
               out->mutable_values<uint8_t>());
  if (column.has_nulls()) {
    for (size_t i = 0; i < count; ++i) {
      if (column.IsNull(rows[i])) {
        out->SetNull(i);
      }
    }
  }
  out->ShareOwners(column);
  out->set_child(column.child());
  return out;
}

ColumnPtr Concatenate(const std::vector<ColumnPtr>& columns) {
  MILLRACE_CHECK(!columns.empty());
  if (columns.size() == 1) {
    return columns[0];
  }
  size_t rows = 0;
  for (const ColumnPtr& column : columns) {
    rows += column->size();
  }
  auto out = std::make_shared<Column>(columns[0]->type(), rows);
  auto width = static_cast<size_t>(out->type().ByteWidth());
  size_t row = 0;
  for (const ColumnPtr& column : columns) {
    std::memcpy(out->mutable_values<uint8_t>() + row * width, column->values<uint8_t>(),
                column->size() * width);
    row += column->size();
    out->ShareOwners(*column);
  }
  if (out->type().id == TypeId::kArray) {
    ConcatenateLists(columns, out.get());
  }
  row = 0;
  for (const ColumnPtr& column : columns) {
    for (size_t i = 0; column->has_nulls() && i < column->size(); ++i) {
      if (column->IsNull(i)) {
        out->SetNull(row + i);
      }
    }
    row += column->size();
  }
  return out;
}

bool ValuesEqual(const Column& a, size_t row_a, const Column& b, size_t row_b) {
  bool a_null = a.IsNull(row_a);
  bool b_null = b.IsNull(row_b);
  if (a_null || b_null) {
    return a_null == b_null;
  }
  if (a.type().id == TypeId::kJsonb) {
    return JsonbEqual(a.value<TextView>(row_a).view(), b.value<TextView>(row_b).view());
  }
  if (a.type().IsText()) {
    return a.value<TextView>(row_a) == b.value<TextView>(row_b);
  }
  return CompareNonNull(a, row_a, b, row_b) == 0;
}

int CompareValues(const Column& a, size_t row_a, const Column& b, size_t row_b) {
  bool a_null = a.IsNull(row_a);
  bool b_null = b.IsNull(row_b);
  if (a_null || b_null) {
    return static_cast<int>(a_null) - static_cast<int>(b_null);
  }
  return CompareNonNull(a, row_a, b, row_b);
}

}  // namespace millrace
