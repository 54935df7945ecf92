// `x IN (a, b, …)`. A list of constants is looked up in a hash set for integers, dates, times and
// text; other types and lists with columns in them are compared one by one.
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "common/base/status.h"
#include "common/expr/special_forms.h"

namespace millrace {
namespace {

constexpr SqlType kBoolType = MakeType(TypeId::kBool);

// Calls fn with a null pointer to the C++ integer type of `type`, if it has one; returns whether it
// has.
template <typename Fn>
bool WithIntegerType(TypeId type, Fn&& fn) {
  switch (type) {
    case TypeId::kBool:
      fn(static_cast<const uint8_t*>(nullptr));
      return true;
    case TypeId::kInt16:
      fn(static_cast<const int16_t*>(nullptr));
      return true;
    case TypeId::kInt32:
    case TypeId::kDate:
      fn(static_cast<const int32_t*>(nullptr));
      return true;
    case TypeId::kInt64:
    case TypeId::kTimestamp:
    case TypeId::kTimestampTz:
      fn(static_cast<const int64_t*>(nullptr));
      return true;
    default:
      return false;
  }
}

class InListNode : public ExprNode {
 public:
  explicit InListNode(std::vector<ExprNodePtr> args) : ExprNode(kBoolType), args_(std::move(args)) {
    for (size_t i = 0; i < args_.size(); ++i) {
      infallible_ = infallible_ && args_[i]->infallible();
      constant_list_ = constant_list_ && (i == 0 || args_[i]->constant() != nullptr);
    }
    if (constant_list_) {
      PrepareConstants();
    }
  }

  bool infallible() const override { return infallible_; }

  FunctionArg Evaluate(const Batch& batch, RowSet rows, const EvalContext& context) override {
    FunctionArg needle = args_[0]->Evaluate(batch, rows, context);
    auto out = std::make_shared<Column>(kBoolType, batch.physical_rows());
    ShrinkingRows open(rows);
    if (needle.column->has_nulls()) {
      open.Filter([&](uint32_t row) {
        bool null = needle.IsNull(row);
        if (null) {
          out->SetNull(row);
        }
        return !null;
      });
    }
    if (constant_list_) {
      EvaluateConstantList(needle, open.rows(), out.get());
    } else {
      EvaluateColumns(batch, needle, &open, context, out.get());
    }
    return {std::move(out), false};
  }

 private:
  void PrepareConstants() {
    TypeId id = args_[0]->type().id;
    bool text = id == TypeId::kText || id == TypeId::kBytea;
    for (size_t i = 1; i < args_.size(); ++i) {
      ColumnPtr value = args_[i]->constant();
      if (value->IsNull(0)) {
        list_has_null_ = true;
        continue;
      }
      bool integer = WithIntegerType(id, [&](const auto* tag) {
        integers_.insert(value->value<std::remove_cvref_t<decltype(*tag)>>(0));
      });
      if (text) {
        texts_.insert(ToAbsl(value->value<TextView>(0).view()));
      }
      hashed_ = integer || text;
      constants_.push_back(std::move(value));  // also keeps the text of texts_ alive
    }
  }

  template <typename Contains>
  void Mark(RowSet rows, Column* out, Contains&& contains) const {
    auto* values = out->mutable_values<uint8_t>();
    rows.ForEach([&](uint32_t row) {
      bool found = contains(row);
      values[row] = found ? 1 : 0;
      if (!found && list_has_null_) {
        out->SetNull(row);
      }
    });
  }

  void EvaluateConstantList(const FunctionArg& needle, RowSet rows, Column* out) const {
    TypeId id = needle.column->type().id;
    if (hashed_ && needle.column->type().IsText()) {
      Mark(rows, out, [&](uint32_t row) {
        return texts_.contains(ToAbsl(needle.value<TextView>(row).view()));
      });
    } else if (hashed_) {
      WithIntegerType(id, [&](const auto* tag) {
        using T = std::remove_cvref_t<decltype(*tag)>;
        Mark(rows, out, [&](uint32_t row) { return integers_.contains(needle.value<T>(row)); });
      });
    } else {
      Mark(rows, out, [&](uint32_t row) {
        for (const ColumnPtr& constant : constants_) {
          if (ValuesEqual(*needle.column, needle.index(row), *constant, 0)) {
            return true;
          }
        }
        return false;
      });
    }
  }

  // Like needle = a OR needle = b …: later values are evaluated only for rows not found yet.
  void EvaluateColumns(const Batch& batch, const FunctionArg& needle, ShrinkingRows* open,
                       const EvalContext& context, Column* out) const {
    auto* values = out->mutable_values<uint8_t>();
    open->rows().ForEach([&](uint32_t row) { values[row] = 0; });
    for (size_t i = 1; i < args_.size() && !open->empty(); ++i) {
      FunctionArg value = args_[i]->Evaluate(batch, open->rows(), context);
      open->Filter([&](uint32_t row) {
        if (value.IsNull(row)) {
          out->SetNull(row);
          return true;
        }
        if (!ValuesEqual(*needle.column, needle.index(row), *value.column, value.index(row))) {
          return true;
        }
        if (out->IsNull(row)) {
          out->SetValid(row);
        }
        values[row] = 1;
        return false;
      });
    }
  }

  std::vector<ExprNodePtr> args_;
  bool infallible_ = true;
  bool constant_list_ = true;
  bool list_has_null_ = false;
  bool hashed_ = false;
  std::vector<ColumnPtr> constants_;
  absl::flat_hash_set<int64_t> integers_;
  absl::flat_hash_set<absl::string_view> texts_;
};

}  // namespace

ExprNodePtr MakeInList(std::vector<ExprNodePtr> args) {
  return std::make_unique<InListNode>(std::move(args));
}

}  // namespace millrace
