#include "common/expr/special_forms.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/expr/column_merge.h"

namespace millrace {
namespace {

using Form = proto::Expr::SpecialForm;

constexpr SqlType kBoolType = MakeType(TypeId::kBool);

// A form over its arguments; it fails only where they do.
class FormNode : public ExprNode {
 public:
  FormNode(SqlType type, std::vector<ExprNodePtr> args) : ExprNode(type), args_(std::move(args)) {
    infallible_ = std::all_of(args_.begin(), args_.end(),
                              [](const ExprNodePtr& arg) { return arg->infallible(); });
  }
  bool infallible() const override { return infallible_; }

 protected:
  std::vector<ExprNodePtr> args_;

 private:
  bool infallible_;
};

bool IsTrue(const FunctionArg& arg, uint32_t row) {
  return !arg.IsNull(row) && arg.value<uint8_t>(row) != 0;
}
bool IsFalse(const FunctionArg& arg, uint32_t row) {
  return !arg.IsNull(row) && arg.value<uint8_t>(row) == 0;
}

// A boolean column from a predicate on rows.
template <typename Predicate>
FunctionArg BoolColumn(const Batch& batch, RowSet rows, Predicate&& predicate) {
  auto out = std::make_shared<Column>(kBoolType, batch.physical_rows());
  auto* values = out->mutable_values<uint8_t>();
  rows.ForEach([&](uint32_t row) { values[row] = predicate(row) ? 1 : 0; });
  return {std::move(out), false};
}

// AND and OR, n-ary: a row is decided by the first argument that is false (AND) or true (OR); later
// arguments are not evaluated for it.
class LogicNode : public FormNode {
 public:
  LogicNode(bool is_and, std::vector<ExprNodePtr> args)
      : FormNode(kBoolType, std::move(args)), is_and_(is_and) {}

  FunctionArg Evaluate(const Batch& batch, RowSet rows, const EvalContext& context) override {
    const uint8_t decisive = is_and_ ? 0 : 1;
    auto out = std::make_shared<Column>(kBoolType, batch.physical_rows());
    auto* values = out->mutable_values<uint8_t>();
    rows.ForEach([&](uint32_t row) { values[row] = 1 - decisive; });
    ShrinkingRows open(rows);
    for (const ExprNodePtr& node : args_) {
      if (open.empty()) {
        break;
      }
      FunctionArg arg = node->Evaluate(batch, open.rows(), context);
      if (!arg.constant && !arg.column->has_nulls()) {
        const auto* in = arg.column->values<uint8_t>();
        if (&node == &args_.back() && !out->has_nulls()) {
          open.rows().ForEach([&](uint32_t row) { values[row] = in[row]; });
          break;
        }
      }
      open.Filter([&](uint32_t row) { return Step(arg, row, decisive, out.get()); });
    }
    return {std::move(out), false};
  }

 private:
  // Combines one argument's value with the row's result; returns whether the row is still
  // undecided.
  static bool Step(const FunctionArg& arg, uint32_t row, uint8_t decisive, Column* out) {
    if (arg.IsNull(row)) {
      out->SetNull(row);
      return true;
    }
    if (arg.value<uint8_t>(row) != decisive) {
      return true;
    }
    if (out->IsNull(row)) {
      out->SetValid(row);
    }
    out->mutable_values<uint8_t>()[row] = decisive;
    return false;
  }

  bool is_and_;
};

class NotNode : public FormNode {
 public:
  explicit NotNode(std::vector<ExprNodePtr> args) : FormNode(kBoolType, std::move(args)) {}

  FunctionArg Evaluate(const Batch& batch, RowSet rows, const EvalContext& context) override {
    FunctionArg arg = args_[0]->Evaluate(batch, rows, context);
    auto out = std::make_shared<Column>(kBoolType, batch.physical_rows());
    auto* values = out->mutable_values<uint8_t>();
    rows.ForEach([&](uint32_t row) {
      if (arg.IsNull(row)) {
        out->SetNull(row);
      } else {
        values[row] = arg.value<uint8_t>(row) ^ 1;
      }
    });
    return {std::move(out), false};
  }
};

// IS [NOT] NULL, IS TRUE, IS FALSE: a test of one argument that is never NULL itself. (IS NOT TRUE
// is NOT of it.)
class TestNode : public FormNode {
 public:
  TestNode(Form::Kind kind, std::vector<ExprNodePtr> args)
      : FormNode(kBoolType, std::move(args)), kind_(kind) {}

  FunctionArg Evaluate(const Batch& batch, RowSet rows, const EvalContext& context) override {
    FunctionArg arg = args_[0]->Evaluate(batch, rows, context);
    switch (kind_) {
      case Form::IS_NULL:
        return BoolColumn(batch, rows, [&](uint32_t row) { return arg.IsNull(row); });
      case Form::IS_NOT_NULL:
        return BoolColumn(batch, rows, [&](uint32_t row) { return !arg.IsNull(row); });
      case Form::IS_TRUE:
        return BoolColumn(batch, rows, [&](uint32_t row) { return IsTrue(arg, row); });
      default:
        return BoolColumn(batch, rows, [&](uint32_t row) { return IsFalse(arg, row); });
    }
  }

 private:
  Form::Kind kind_;
};

class CaseNode : public FormNode {
 public:
  CaseNode(SqlType type, std::vector<ExprNodePtr> args) : FormNode(type, std::move(args)) {}

  FunctionArg Evaluate(const Batch& batch, RowSet rows, const EvalContext& context) override {
    ColumnMerge merge(type(), batch.physical_rows());
    ShrinkingRows open(rows);
    for (size_t i = 0; i + 1 < args_.size() && !open.empty(); i += 2) {
      FunctionArg when = args_[i]->Evaluate(batch, open.rows(), context);
      ShrinkingRows taken(open.rows());
      taken.Filter([&](uint32_t row) { return IsTrue(when, row); });
      if (!taken.empty()) {
        merge.Add(args_[i + 1]->Evaluate(batch, taken.rows(), context), taken.rows());
        // Done last: `taken` may still be the same list as `open`.
        open.Filter([&](uint32_t row) { return !IsTrue(when, row); });
      }
    }
    if (args_.size() % 2 == 1 && !open.empty()) {
      merge.Add(args_.back()->Evaluate(batch, open.rows(), context), open.rows());
    } else {
      open.rows().ForEach([&](uint32_t row) { merge.SetNull(row); });
    }
    return {merge.Finish(), false};
  }
};

class CoalesceNode : public FormNode {
 public:
  CoalesceNode(SqlType type, std::vector<ExprNodePtr> args) : FormNode(type, std::move(args)) {}

  FunctionArg Evaluate(const Batch& batch, RowSet rows, const EvalContext& context) override {
    ColumnMerge merge(type(), batch.physical_rows());
    ShrinkingRows open(rows);
    for (const ExprNodePtr& node : args_) {
      if (open.empty()) {
        break;
      }
      FunctionArg arg = node->Evaluate(batch, open.rows(), context);
      if (&node == &args_.front() && !arg.column->has_nulls()) {
        return arg;
      }
      ShrinkingRows taken(open.rows());
      taken.Filter([&](uint32_t row) { return !arg.IsNull(row); });
      merge.Add(arg, taken.rows());
      open.Filter([&](uint32_t row) { return arg.IsNull(row); });
    }
    open.rows().ForEach([&](uint32_t row) { merge.SetNull(row); });
    return {merge.Finish(), false};
  }
};

// (a, b, a = b): NULL where the bound equality is true, else a.
class NullIfNode : public FormNode {
 public:
  NullIfNode(SqlType type, std::vector<ExprNodePtr> args) : FormNode(type, std::move(args)) {}

  FunctionArg Evaluate(const Batch& batch, RowSet rows, const EvalContext& context) override {
    FunctionArg value = args_[0]->Evaluate(batch, rows, context);
    FunctionArg equal = args_[2]->Evaluate(batch, rows, context);
    ColumnMerge merge(type(), batch.physical_rows());
    ShrinkingRows kept(rows);
    kept.Filter([&](uint32_t row) {
      bool drop = IsTrue(equal, row);
      if (drop) {
        merge.SetNull(row);
      }
      return !drop;
    });
    merge.Add(value, kept.rows());
    return {merge.Finish(), false};
  }
};

class BatchTimeNode : public ExprNode {
 public:
  explicit BatchTimeNode(SqlType type) : ExprNode(type) {}

  FunctionArg Evaluate(const Batch&, RowSet, const EvalContext& context) override {
    auto out = std::make_shared<Column>(type(), 1);
    out->mutable_values<int64_t>()[0] = context.batch_time_us;
    return {std::move(out), true};
  }
  bool infallible() const override { return true; }
};

class IsDistinctNode : public FormNode {
 public:
  explicit IsDistinctNode(std::vector<ExprNodePtr> args) : FormNode(kBoolType, std::move(args)) {}

  FunctionArg Evaluate(const Batch& batch, RowSet rows, const EvalContext& context) override {
    FunctionArg a = args_[0]->Evaluate(batch, rows, context);
    FunctionArg b = args_[1]->Evaluate(batch, rows, context);
    return BoolColumn(batch, rows, [&](uint32_t row) {
      bool a_null = a.IsNull(row);
      bool b_null = b.IsNull(row);
      return a_null || b_null ? a_null != b_null
                              : !ValuesEqual(*a.column, a.index(row), *b.column, b.index(row));
    });
  }
};

// ARRAY[a, b, …]: each row's list holds its value of every argument.
class ArrayNode : public FormNode {
 public:
  ArrayNode(SqlType type, std::vector<ExprNodePtr> args) : FormNode(type, std::move(args)) {}

  FunctionArg Evaluate(const Batch& batch, RowSet rows, const EvalContext& context) override {
    auto out = std::make_shared<Column>(type(), batch.physical_rows());
    auto child = std::make_shared<Column>(MakeType(type().element), rows.count * args_.size());
    for (size_t i = 0; i < args_.size(); ++i) {
      FunctionArg arg = args_[i]->Evaluate(batch, rows, context);
      for (size_t j = 0; j < rows.count; ++j) {
        CopyValue(*arg.column, arg.index(rows[j]), child.get(), j * args_.size() + i);
      }
      child->ShareOwners(*arg.column);
    }
    auto* lists = out->mutable_values<ListView>();
    for (size_t j = 0; j < rows.count; ++j) {
      lists[rows[j]] = {.begin = static_cast<uint32_t>(j * args_.size()),
                        .size = static_cast<uint32_t>(args_.size())};
    }
    out->set_child(std::move(child));
    return {std::move(out), false};
  }
};

// GREATEST and LEAST: NULL only when all arguments are.
class ExtremeNode : public FormNode {
 public:
  ExtremeNode(bool greatest, SqlType type, std::vector<ExprNodePtr> args)
      : FormNode(type, std::move(args)), greatest_(greatest) {}

  FunctionArg Evaluate(const Batch& batch, RowSet rows, const EvalContext& context) override {
    std::vector<FunctionArg> args;
    for (const ExprNodePtr& node : args_) {
      args.push_back(node->Evaluate(batch, rows, context));
    }
    auto out = std::make_shared<Column>(type(), batch.physical_rows());
    rows.ForEach([&](uint32_t row) {
      const FunctionArg* best = Best(args, row);
      if (best == nullptr) {
        out->SetNull(row);
      } else {
        CopyValue(*best->column, best->index(row), out.get(), row);
      }
    });
    for (const FunctionArg& arg : args) {
      out->ShareOwners(*arg.column);
    }
    return {std::move(out), false};
  }

 private:
  const FunctionArg* Best(const std::vector<FunctionArg>& args, uint32_t row) const {
    const FunctionArg* best = nullptr;
    for (const FunctionArg& arg : args) {
      if (arg.IsNull(row)) {
        continue;
      }
      if (best == nullptr) {
        best = &arg;
        continue;
      }
      int order = CompareValues(*arg.column, arg.index(row), *best->column, best->index(row));
      if (greatest_ ? order > 0 : order < 0) {
        best = &arg;
      }
    }
    return best;
  }

  bool greatest_;
};

// The fewest and most arguments a form takes.
struct Arity {
  size_t least;
  size_t most;
};

Arity ArityOf(Form::Kind kind) {
  constexpr size_t kAny = 1 << 20;
  switch (kind) {
    case Form::BATCH_TIME:
      return {0, 0};
    case Form::NOT:
    case Form::IS_NULL:
    case Form::IS_NOT_NULL:
    case Form::IS_TRUE:
    case Form::IS_FALSE:
      return {1, 1};
    case Form::IS_DISTINCT_FROM:
      return {2, 2};
    case Form::NULLIF:
      return {3, 3};
    case Form::CASE:
    case Form::IN_LIST:
      return {2, kAny};
    case Form::ARRAY:
      return {0, kAny};
    default:
      return {1, kAny};
  }
}

}  // namespace

absl::StatusOr<ExprNodePtr> MakeSpecialForm(Form::Kind kind, const SqlType& type,
                                            std::vector<ExprNodePtr> args) {
  Arity arity = ArityOf(kind);
  if (args.size() < arity.least || args.size() > arity.most) {
    return absl::InternalError(
        absl::StrCat("the plan gives ", args.size(), " arguments to ", Form::Kind_Name(kind)));
  }
  switch (kind) {
    case Form::AND:
    case Form::OR:
      return std::make_unique<LogicNode>(kind == Form::AND, std::move(args));
    case Form::NOT:
      return std::make_unique<NotNode>(std::move(args));
    case Form::IS_NULL:
    case Form::IS_NOT_NULL:
    case Form::IS_TRUE:
    case Form::IS_FALSE:
      return std::make_unique<TestNode>(kind, std::move(args));
    case Form::CASE:
      return std::make_unique<CaseNode>(type, std::move(args));
    case Form::COALESCE:
      return std::make_unique<CoalesceNode>(type, std::move(args));
    case Form::NULLIF:
      return std::make_unique<NullIfNode>(type, std::move(args));
    case Form::IN_LIST:
      return MakeInList(std::move(args));
    case Form::BATCH_TIME:
      return std::make_unique<BatchTimeNode>(type);
    case Form::IS_DISTINCT_FROM:
      return std::make_unique<IsDistinctNode>(std::move(args));
    case Form::ARRAY:
      return std::make_unique<ArrayNode>(type, std::move(args));
    case Form::GREATEST:
    case Form::LEAST:
      return std::make_unique<ExtremeNode>(kind == Form::GREATEST, type, std::move(args));
    default:
      return absl::InternalError(
          absl::StrCat("the plan holds a form this engine does not have: ", kind));
  }
}

}  // namespace millrace
