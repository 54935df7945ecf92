// Builds array columns of text views row by row. Not thread-safe.
#ifndef MILLRACE_COMMON_EXPR_FUNCTIONS_LIST_BUILDER_H_
#define MILLRACE_COMMON_EXPR_FUNCTIONS_LIST_BUILDER_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "common/columnar/column.h"

namespace millrace {

class TextListBuilder {
 public:
  // `out` is an array column of text (or jsonb); it must outlive the builder.
  explicit TextListBuilder(Column* out) : out_(out) {}

  // Adds an element to the present list. Its memory must not move until Finish's owners hold it.
  void Add(std::string_view text) { elements_.emplace_back(text); }
  void AddNull() {
    nulls_.push_back(static_cast<uint32_t>(elements_.size()));
    elements_.emplace_back();
  }
  // The elements since the last call are the list of `row`.
  void EndList(uint32_t row) {
    auto end = static_cast<uint32_t>(elements_.size());
    out_->mutable_values<ListView>()[row] = {.begin = begin_, .size = end - begin_};
    begin_ = end;
  }
  // Forgets the elements since the last EndList: the row failed half-way.
  void DropList() {
    elements_.resize(begin_);
    while (!nulls_.empty() && nulls_.back() >= begin_) {
      nulls_.pop_back();
    }
  }
  void AddNullList(uint32_t row) { out_->SetNull(row); }

  // Moves the elements to the column; `sources` own the text that they view.
  void Finish(const std::vector<ColumnPtr>& sources) {
    auto child = std::make_shared<Column>(MakeType(out_->type().element), elements_.size());
    std::copy(elements_.begin(), elements_.end(), child->mutable_values<TextView>());
    for (uint32_t null : nulls_) {
      child->SetNull(null);
    }
    for (const ColumnPtr& source : sources) {
      child->ShareOwners(*source);
    }
    out_->set_child(std::move(child));
  }

 private:
  Column* out_;
  std::vector<TextView> elements_;
  std::vector<uint32_t> nulls_;
  uint32_t begin_ = 0;
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_FUNCTIONS_LIST_BUILDER_H_
