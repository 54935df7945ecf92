#include "executor/state/entries/key_store.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/columnar/owned_values.h"
namespace millrace::executor {

KeyStore::KeyStore(std::vector<SqlType> types) : types_(std::move(types)) {
  for (const SqlType& type : types_) {
    row_bytes_ += static_cast<size_t>(type.ByteWidth());
    has_equal_forms_ |= type.IsFloat() || type.id == TypeId::kNumeric ||
                        type.id == TypeId::kInterval || type.id == TypeId::kJsonb;
  }
  Grow(kMinCapacity);
}

void KeyStore::Grow(size_t capacity) {
  std::vector<std::shared_ptr<Column>> grown;
  for (size_t i = 0; i < types_.size(); ++i) {
    auto column = std::make_shared<Column>(types_[i], capacity);
    if (capacity_ != 0) {
      std::memcpy(column->mutable_values<uint8_t>(), columns_[i]->values<uint8_t>(),
                  capacity_ * static_cast<size_t>(types_[i].ByteWidth()));
      for (size_t row = 0; columns_[i]->has_nulls() && row < capacity_; ++row) {
        if (columns_[i]->IsNull(row)) {
          column->SetNull(row);
        }
      }
    }
    grown.push_back(std::move(column));
  }
  columns_ = std::move(grown);
  capacity_ = capacity;
}

TextView KeyStore::Copy(const TextView& text) {
  if (text.is_inline()) {
    return text;
  }
  char* bytes = arena_.Allocate(text.size());
  std::memcpy(bytes, text.bytes(), text.size());
  return TextView(bytes, text.size());
}

void KeyStore::Store(uint32_t group, const std::vector<ColumnPtr>& keys, uint32_t row) {
  if (group >= capacity_) {
    Grow(std::max<size_t>(capacity_ * 2, group + 1));
  }
  for (size_t i = 0; i < columns_.size(); ++i) {
    StoreValue(i, group, *keys[i], row);
  }
}

void KeyStore::StoreValue(size_t column, uint32_t group, const Column& key, uint32_t row) {
  Column& stored = *columns_[column];
  if (key.IsNull(row)) {
    stored.SetNull(group);
    return;
  }
  stored.SetValid(group);
  if (types_[column].IsText()) {
    stored.mutable_values<TextView>()[group] = Copy(key.value<TextView>(row));
    return;
  }
  auto width = static_cast<size_t>(types_[column].ByteWidth());
  std::memcpy(stored.mutable_values<uint8_t>() + group * width, key.values<uint8_t>() + row * width,
              width);
  if (types_[column].id == TypeId::kNumeric) {
    CopyOutside(&stored, group);
  }
}

void KeyStore::CopyOutside(Column* column, uint32_t group) {
  if (const std::string_view outside = OutsideOf(*column, group); !outside.empty()) {
    char* bytes = arena_.Allocate(outside.size());
    std::memcpy(bytes, outside.data(), outside.size());
    MoveOutside(bytes, column, group);
  }
}

void KeyStore::Replace(uint32_t group, const std::vector<ColumnPtr>& keys, uint32_t row) {
  for (size_t i = 0; i < columns_.size(); ++i) {
    const bool same_text = types_[i].IsText() && !columns_[i]->IsNull(group) &&
                           !keys[i]->IsNull(row) &&
                           columns_[i]->value<TextView>(group) == keys[i]->value<TextView>(row);
    if (!same_text) {
      released_ += OutsideOf(*columns_[i], group).size();
      StoreValue(i, group, *keys[i], row);
    }
  }
}

bool KeyStore::Equals(uint32_t group, const std::vector<ColumnPtr>& keys, uint32_t row) const {
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (!ValuesEqual(*columns_[i], group, *keys[i], row)) {
      return false;
    }
  }
  return true;
}

bool KeyStore::HasBytes(uint32_t group, const std::vector<ColumnPtr>& keys, uint32_t row) const {
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (types_[i].IsText() && !columns_[i]->IsNull(group) && !keys[i]->IsNull(row) &&
        !(columns_[i]->value<TextView>(group) == keys[i]->value<TextView>(row))) {
      return false;
    }
  }
  return true;
}

ColumnPtr KeyStore::Gather(size_t column, const uint32_t* groups, size_t count) const {
  return TakeOwned(*columns_[column], groups, count);
}

void KeyStore::Release(uint32_t group) {
  for (const auto& column : columns_) {
    released_ += OutsideOf(*column, group).size();
  }
}

void KeyStore::Compact(const std::vector<uint32_t>& groups) {
  ByteArena old = std::exchange(arena_, ByteArena());
  released_ = 0;
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (types_[i].IsText() || types_[i].id == TypeId::kNumeric) {
      for (uint32_t group : groups) {
        CopyOutside(columns_[i].get(), group);
      }
    }
  }
}

void KeyStore::Clear() {
  arena_.Clear();
  released_ = 0;
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (columns_[i]->has_nulls()) {
      // A new column, since the fast loops check whether a column has any NULL, and the next batch
      // may have none.
      columns_[i] = std::make_shared<Column>(types_[i], capacity_);
    }
  }
}

size_t KeyStore::Bytes() const {
  size_t bytes = arena_.block_bytes();
  for (const auto& column : columns_) {
    bytes += column->ByteSize();
  }
  return bytes;
}

}  // namespace millrace::executor
