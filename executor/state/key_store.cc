#include "executor/state/key_store.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace millrace {

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
  } else {
    auto width = static_cast<size_t>(types_[column].ByteWidth());
    std::memcpy(stored.mutable_values<uint8_t>() + group * width,
                key.values<uint8_t>() + row * width, width);
  }
}

void KeyStore::Replace(uint32_t group, const std::vector<ColumnPtr>& keys, uint32_t row) {
  for (size_t i = 0; i < columns_.size(); ++i) {
    const bool is_text = types_[i].IsText() && !columns_[i]->IsNull(group) && !keys[i]->IsNull(row);
    if (is_text) {
      const TextView& text = columns_[i]->value<TextView>(group);
      if (text == keys[i]->value<TextView>(row)) {
        continue;
      }
      released_ += text.is_inline() ? 0 : text.size();
    }
    StoreValue(i, group, *keys[i], row);
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
  const Column& from = *columns_[column];
  if (!types_[column].IsText()) {
    return Take(from, groups, count);
  }
  auto out = std::make_shared<Column>(types_[column], count);
  for (size_t i = 0; i < count; ++i) {
    if (from.IsNull(groups[i])) {
      out->SetNull(i);
      continue;
    }
    const auto& text = from.value<TextView>(groups[i]);
    if (text.is_inline()) {
      out->mutable_values<TextView>()[i] = text;
    } else {
      out->SetTextCopy(i, text.view());
    }
  }
  return out;
}

void KeyStore::Release(uint32_t group) {
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (types_[i].IsText() && !columns_[i]->IsNull(group) &&
        !columns_[i]->value<TextView>(group).is_inline()) {
      released_ += columns_[i]->value<TextView>(group).size();
    }
  }
}

void KeyStore::Compact(const std::vector<uint32_t>& groups) {
  ByteArena old = std::exchange(arena_, ByteArena());
  released_ = 0;
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (!types_[i].IsText()) {
      continue;
    }
    for (uint32_t group : groups) {
      if (!columns_[i]->IsNull(group)) {
        auto& text = columns_[i]->mutable_values<TextView>()[group];
        text = Copy(text);
      }
    }
  }
}

void KeyStore::Clear() {
  arena_.Clear();
  released_ = 0;
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (columns_[i]->has_nulls()) {
      // The fast loops ask whether there is any NULL: the next batch may have none.
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

}  // namespace millrace
