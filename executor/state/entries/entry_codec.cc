#include "executor/state/entries/entry_codec.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>

#include "common/base/check.h"
#include "common/base/status.h"
#include "common/columnar/owned_values.h"
#include "common/columnar/text_view.h"
#include "common/types/interval.h"
#include "common/types/jsonb_order.h"
#include "common/types/numeric.h"

namespace millrace::executor {
namespace {

// The byte in front of every value.
constexpr char kNull = 0;
constexpr char kValue = 1;

template <typename T>
void Append(const T& value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void AppendText(std::string_view text, std::string* out) {
  Append(static_cast<uint32_t>(text.size()), out);
  out->append(text);
}

void AppendDouble(double value, std::string* out) {
  if (std::isnan(value)) {
    value = std::numeric_limits<double>::quiet_NaN();
  } else if (value == 0) {
    value = 0;  // −0 equals 0
  }
  Append(value, out);
}

void AppendFixed(const Column& column, uint32_t row, std::string* out) {
  const auto width = static_cast<size_t>(column.type().ByteWidth());
  out->append(reinterpret_cast<const char*>(column.values<uint8_t>()) + row * width, width);
}

void AppendCanonical(const Column& column, uint32_t row, std::string* out) {
  if (column.IsNull(row) || column.type().id == TypeId::kUnknown) {
    out->push_back(kNull);
    return;
  }
  out->push_back(kValue);
  switch (column.type().id) {
    case TypeId::kFloat32:
      return AppendDouble(column.value<float>(row), out);
    case TypeId::kFloat64:
      return AppendDouble(column.value<double>(row), out);
    case TypeId::kNumeric:
      return AppendText(column.value<Numeric>(row).Canonical().ToString(), out);
    case TypeId::kInterval:
      return Append(column.value<Interval>(row).SortKey(), out);
    case TypeId::kJsonb: {
      std::string storage;
      return AppendText(JsonbKey(column.value<TextView>(row).view(), &storage), out);
    }
    case TypeId::kText:
    case TypeId::kBytea:
      return AppendText(column.value<TextView>(row).view(), out);
    case TypeId::kArray:
      MILLRACE_CHECK(false) << "arrays are never keys";
    default:
      return AppendFixed(column, row, out);
  }
}

void AppendValue(const Column& column, uint32_t row, std::string* out) {
  if (column.IsNull(row)) {
    out->push_back(kNull);
    return;
  }
  out->push_back(kValue);
  if (column.type().IsText()) {
    AppendText(column.value<TextView>(row).view(), out);
  } else if (column.type().id == TypeId::kArray) {
    const auto& list = column.value<ListView>(row);
    Append(list.size, out);
    for (uint32_t i = 0; i < list.size; ++i) {
      AppendValue(*column.child(), list.begin + i, out);
    }
  } else if (column.type().id == TypeId::kNumeric) {
    column.value<Numeric>(row).AppendBytes(out);
  } else {
    AppendFixed(column, row, out);
  }
}

absl::Status Damaged() {
  return absl::InternalError("an entry of the state store is not what was written");
}

// Takes bytes off the front of rows.
absl::StatusOr<std::string_view> Cut(size_t bytes, std::string_view* row) {
  if (row->size() < bytes) {
    return Damaged();
  }
  std::string_view front = row->substr(0, bytes);
  row->remove_prefix(bytes);
  return front;
}

template <typename T>
absl::StatusOr<T> Cut(std::string_view* row) {
  ASSIGN_OR_RETURN(const std::string_view bytes, Cut(sizeof(T), row));
  T value;
  std::memcpy(&value, bytes.data(), sizeof(value));
  return value;
}

// Reads a value that is no array.
absl::Status DecodeValue(std::string_view* row, Column* column, uint32_t at) {
  ASSIGN_OR_RETURN(const char kind, Cut<char>(row));
  if (kind == kNull) {
    column->SetNull(at);
    return absl::OkStatus();
  }
  if (column->type().IsText()) {
    ASSIGN_OR_RETURN(const uint32_t size, Cut<uint32_t>(row));
    ASSIGN_OR_RETURN(const std::string_view text, Cut(size, row));
    column->SetTextCopy(at, text);
    return absl::OkStatus();
  }
  if (column->type().id == TypeId::kNumeric) {
    ASSIGN_OR_RETURN(const Numeric number, Numeric::CutBytes(row));
    SetNumeric(number, column, at);
    return absl::OkStatus();
  }
  const auto width = static_cast<size_t>(column->type().ByteWidth());
  ASSIGN_OR_RETURN(const std::string_view value, Cut(width, row));
  std::memcpy(column->mutable_values<uint8_t>() + at * width, value.data(), width);
  return absl::OkStatus();
}

absl::StatusOr<ColumnPtr> DecodeArrays(const SqlType& type, std::span<std::string_view> rows) {
  auto column = std::make_shared<Column>(type, rows.size());
  uint32_t elements = 0;
  for (uint32_t i = 0; i < rows.size(); ++i) {
    std::string_view row =
        rows[i];  // a copy: this pass only checks sizes, the elements are decoded later
    ASSIGN_OR_RETURN(const char kind, Cut<char>(&row));
    uint32_t size = 0;
    if (kind == kNull) {
      column->SetNull(i);
    } else {
      ASSIGN_OR_RETURN(size, Cut<uint32_t>(&row));
      if (size > row.size()) {  // each element takes at least a byte
        return Damaged();
      }
    }
    column->mutable_values<ListView>()[i] = {elements, size};
    elements += size;
  }
  auto child = std::make_shared<Column>(MakeType(type.element), elements);
  for (uint32_t i = 0; i < rows.size(); ++i) {
    const ListView list = column->value<ListView>(i);
    rows[i].remove_prefix(column->IsNull(i) ? sizeof(kNull) : sizeof(kValue) + sizeof(list.size));
    for (uint32_t element = 0; element < list.size; ++element) {
      RETURN_IF_ERROR(DecodeValue(&rows[i], child.get(), list.begin + element));
    }
  }
  column->set_child(std::move(child));
  return column;
}

}  // namespace

std::string EncodeKey(std::span<const ColumnPtr> keys, uint64_t hash, uint32_t row) {
  std::string key;
  for (int shift = 56; shift >= 0; shift -= 8) {
    key.push_back(static_cast<char>(hash >> shift));
  }
  for (const ColumnPtr& column : keys) {
    AppendCanonical(*column, row, &key);
  }
  return key;
}

uint64_t HashOfKey(std::string_view key) {
  uint64_t hash = 0;
  for (size_t i = 0; i < sizeof(hash) && i < key.size(); ++i) {
    hash = hash << 8 | static_cast<uint8_t>(key[i]);
  }
  return hash;
}

std::string EncodeRow(std::span<const ColumnPtr> columns, uint32_t row) {
  std::string out;
  for (const ColumnPtr& column : columns) {
    AppendValue(*column, row, &out);
  }
  return out;
}

std::string EncodeEntry(std::span<const ColumnPtr> columns, size_t key_count, uint32_t row) {
  const std::string key = EncodeRow(columns.subspan(0, key_count), row);
  std::string entry;
  AppendText(key, &entry);
  for (const ColumnPtr& column : columns.subspan(key_count)) {
    AppendValue(*column, row, &entry);
  }
  return entry;
}

std::string_view RowOfEntry(std::string_view entry) {
  return entry.size() < sizeof(uint32_t) ? std::string_view() : entry.substr(sizeof(uint32_t));
}

std::string_view KeyRowOfEntry(std::string_view entry) {
  uint32_t key_bytes = 0;
  if (entry.size() < sizeof(key_bytes)) {
    return {};
  }
  std::memcpy(&key_bytes, entry.data(), sizeof(key_bytes));
  return entry.substr(sizeof(key_bytes), key_bytes);
}

int64_t TouchedAtOfEntry(std::string_view entry) {
  int64_t touched = 0;
  if (entry.size() < sizeof(touched)) {
    return 0;
  }
  std::memcpy(&touched, entry.data() + entry.size() - sizeof(touched), sizeof(touched));
  return touched;
}

absl::StatusOr<std::vector<ColumnPtr>> DecodeRows(std::span<const SqlType> types,
                                                  std::vector<std::string_view> rows) {
  std::vector<ColumnPtr> columns;
  columns.reserve(types.size());
  for (const SqlType& type : types) {
    if (type.id == TypeId::kArray) {
      ASSIGN_OR_RETURN(ColumnPtr arrays, DecodeArrays(type, rows));
      columns.push_back(std::move(arrays));
      continue;
    }
    auto column = std::make_shared<Column>(type, rows.size());
    for (uint32_t i = 0; i < rows.size(); ++i) {
      RETURN_IF_ERROR(DecodeValue(&rows[i], column.get(), i));
    }
    columns.push_back(std::move(column));
  }
  return columns;
}

}  // namespace millrace::executor
