#include "common/columnar/owned_values.h"

#include <cstring>
#include <memory>

#include "common/columnar/text_view.h"

namespace millrace {
namespace {

// Copies the bytes that cells point to into one block that the column owns. NULL cells are zero, so
// they point to nothing.
void OwnText(Column* column) {
  auto* values = column->mutable_values<TextView>();
  size_t bytes = 0;
  for (size_t i = 0; i < column->size(); ++i) {
    bytes += values[i].is_inline() ? 0 : values[i].size();
  }
  char* copy = bytes == 0 ? nullptr : column->AllocateText(bytes);
  for (size_t i = 0; bytes != 0 && i < column->size(); ++i) {
    if (!values[i].is_inline()) {
      const size_t size = values[i].size();
      std::memcpy(copy, values[i].bytes(), size);
      values[i] = TextView(copy, size);
      copy += size;
    }
  }
}

void OwnDigits(Column* column) {
  auto* values = column->mutable_values<Numeric>();
  size_t bytes = 0;
  for (size_t i = 0; i < column->size(); ++i) {
    bytes += values[i].digit_bytes();
  }
  char* copy = bytes == 0 ? nullptr : column->AllocateText(bytes);
  for (size_t i = 0; bytes != 0 && i < column->size(); ++i) {
    if (const std::string_view digits = values[i].digits(); !digits.empty()) {
      std::memcpy(copy, digits.data(), digits.size());
      values[i] = values[i].WithDigitsAt(copy);
      copy += digits.size();
    }
  }
}

}  // namespace

void SetNumeric(const Numeric& value, Column* column, size_t row) {
  column->mutable_values<Numeric>()[row] = value;
  if (const std::string_view digits = value.digits(); !digits.empty()) {
    char* copy = column->AllocateText(digits.size());
    std::memcpy(copy, digits.data(), digits.size());
    MoveOutside(copy, column, row);
  }
}

std::string_view OutsideOf(const Column& column, size_t row) {
  if (column.IsNull(row)) {
    return {};
  }
  if (column.type().IsText()) {
    const auto& text = column.value<TextView>(row);
    return text.is_inline() ? std::string_view() : text.view();
  }
  return column.type().id == TypeId::kNumeric ? column.value<Numeric>(row).digits()
                                              : std::string_view();
}

void MoveOutside(const char* copy, Column* column, size_t row) {
  if (column->type().IsText()) {
    auto& text = column->mutable_values<TextView>()[row];
    text = TextView(copy, text.size());
  } else if (column->type().id == TypeId::kNumeric) {
    auto& number = column->mutable_values<Numeric>()[row];
    number = number.WithDigitsAt(copy);
  }
}

ColumnPtr TakeOwned(const Column& column, const uint32_t* rows, size_t count) {
  const ColumnPtr taken = Take(column, rows, count);
  if (!column.type().IsText() && column.type().id != TypeId::kNumeric) {
    return taken;
  }
  auto out = std::make_shared<Column>(column.type(), count);
  std::memcpy(out->mutable_values<uint8_t>(), taken->values<uint8_t>(),
              count * static_cast<size_t>(column.type().ByteWidth()));
  for (size_t i = 0; taken->has_nulls() && i < count; ++i) {
    if (taken->IsNull(i)) {
      out->SetNull(i);
    }
  }
  if (column.type().IsText()) {
    OwnText(out.get());
  } else {
    OwnDigits(out.get());
  }
  return out;
}

}  // namespace millrace
