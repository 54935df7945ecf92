// The compiled form of an expression: a tree of nodes, each evaluated for a set of rows. Internal
// to the evaluator. Thread-compatible.
#ifndef MILLRACE_COMMON_EXPR_EXPR_NODE_H_
#define MILLRACE_COMMON_EXPR_EXPR_NODE_H_

#include <memory>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/columnar/batch.h"
#include "common/expr/expr_evaluator.h"
#include "common/expr/function.h"
#include "proto/plan.pb.h"

namespace millrace {

class ExprNode {
 public:
  explicit ExprNode(SqlType type) : type_(type) {}
  ExprNode(const ExprNode&) = delete;
  ExprNode& operator=(const ExprNode&) = delete;
  virtual ~ExprNode() = default;

  // The value for each of `rows`: a column of batch.physical_rows() values, or a constant. A row
  // for which an error is added is NULL, so that further computation with it is well defined.
  virtual FunctionArg Evaluate(const Batch& batch, RowSet rows, const EvalContext& context) = 0;
  virtual bool infallible() const = 0;
  // The value when it is known at compile time, else null.
  virtual ColumnPtr constant() const { return nullptr; }

  const SqlType& type() const { return type_; }

 private:
  SqlType type_;
};

using ExprNodePtr = std::unique_ptr<ExprNode>;

// A value known at compile time: a column of one row.
class ConstantNode : public ExprNode {
 public:
  explicit ConstantNode(ColumnPtr value) : ExprNode(value->type()), value_(std::move(value)) {}

  FunctionArg Evaluate(const Batch&, RowSet, const EvalContext&) override { return {value_, true}; }
  bool infallible() const override { return true; }
  ColumnPtr constant() const override { return value_; }

 private:
  ColumnPtr value_;
};

// A set of rows that shrinks step by step: at first the given rows, then a list of its own.
class ShrinkingRows {
 public:
  explicit ShrinkingRows(RowSet rows) : rows_(rows) {}
  ShrinkingRows(const ShrinkingRows&) = delete;
  ShrinkingRows& operator=(const ShrinkingRows&) = delete;

  RowSet rows() const { return rows_; }
  bool empty() const { return rows_.count == 0; }

  // Keeps the rows for which keep(row) holds.
  template <typename Keep>
  void Filter(Keep&& keep) {
    std::vector<uint32_t> kept;
    kept.reserve(rows_.count);
    rows_.ForEach([&](uint32_t row) {
      if (keep(row)) {
        kept.push_back(row);
      }
    });
    if (kept.size() == rows_.count) {
      return;
    }
    storage_ = std::move(kept);
    rows_ = RowSet{.rows = storage_.data(), .count = storage_.size()};
  }

 private:
  std::vector<uint32_t> storage_;
  RowSet rows_;
};

// Compiles an expression; recursive.
absl::StatusOr<ExprNodePtr> CompileNode(const proto::Expr& expr, const FunctionRegistry& registry);

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_EXPR_NODE_H_
