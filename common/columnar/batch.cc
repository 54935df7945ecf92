#include "common/columnar/batch.h"

#include <utility>

namespace millrace {
namespace {

template <typename T>
std::shared_ptr<const std::vector<T>> TakeVector(const std::shared_ptr<const std::vector<T>>& from,
                                                 const uint32_t* rows, size_t count) {
  if (from == nullptr) {
    return nullptr;
  }
  auto out = std::make_shared<std::vector<T>>(count);
  for (size_t i = 0; i < count; ++i) {
    (*out)[i] = (*from)[rows[i]];
  }
  return out;
}

}  // namespace

Batch Batch::WithColumns(std::vector<ColumnPtr> columns) const {
  Batch out = *this;
  out.columns_ = std::move(columns);
  return out;
}

Batch Batch::TakeRows(const uint32_t* rows, size_t count) const {
  Batch out;
  out.physical_rows_ = count;
  out.columns_.reserve(columns_.size());
  for (const ColumnPtr& column : columns_) {
    out.columns_.push_back(Take(*column, rows, count));
  }
  if (weights_ != nullptr) {
    out.weights_ = Take(*weights_, rows, count);
  }
  // An absent origin means "row i came from record i". That is no longer true after gathering, so
  // it becomes explicit.
  out.origin_ = origin_ != nullptr
                    ? TakeVector(origin_, rows, count)
                    : std::make_shared<const std::vector<uint32_t>>(rows, rows + count);
  out.hashes_ = TakeVector(hashes_, rows, count);
  return out;
}

Batch Batch::Compact() const {
  return selection_ == nullptr ? *this : TakeRows(selection_->data(), selection_->size());
}

}  // namespace millrace
