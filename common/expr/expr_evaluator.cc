#include "common/expr/expr_evaluator.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/expr/column_merge.h"
#include "common/expr/expr_node.h"
#include "common/expr/special_forms.h"
#include "common/types/text_format.h"
#include "proto/plan.pb.h"

namespace millrace {
namespace {

class ColumnNode : public ExprNode {
 public:
  ColumnNode(SqlType type, uint32_t index) : ExprNode(type), index_(index) {}

  FunctionArg Evaluate(const Batch& batch, RowSet, const EvalContext&) override {
    MILLRACE_CHECK(index_ < batch.column_count())
        << "column " << index_ << " of " << batch.column_count();
    return {batch.column(index_), false};
  }
  bool infallible() const override { return true; }

 private:
  uint32_t index_;
};

class CallNode : public ExprNode {
 public:
  CallNode(SqlType type, const ScalarFunction* function, std::shared_ptr<const FunctionState> state,
           std::vector<ExprNodePtr> args)
      : ExprNode(type), function_(function), state_(std::move(state)), args_(std::move(args)) {
    infallible_ = function_->infallible &&
                  std::all_of(args_.begin(), args_.end(),
                              [](const ExprNodePtr& arg) { return arg->infallible(); });
  }

  FunctionArg Evaluate(const Batch& batch, RowSet rows, const EvalContext& context) override;
  bool infallible() const override { return infallible_; }

 private:
  FunctionArg EvaluateOnce(const std::vector<FunctionArg>& args, RowSet rows,
                           const EvalContext& context) const;
  ColumnPtr Run(const std::vector<FunctionArg>& args, RowSet rows, size_t physical_rows,
                const EvalContext& context) const;

  const ScalarFunction* function_;
  std::shared_ptr<const FunctionState> state_;
  std::vector<ExprNodePtr> args_;
  bool infallible_;
};

FunctionArg CallNode::Evaluate(const Batch& batch, RowSet rows, const EvalContext& context) {
  std::vector<FunctionArg> args;
  args.reserve(args_.size());
  bool all_constant = function_->stable;
  for (const ExprNodePtr& arg : args_) {
    args.push_back(arg->Evaluate(batch, rows, context));
    all_constant = all_constant && args.back().constant;
    if (function_->strict && args.back().constant && args.back().column->IsNull(0)) {
      return {Column::Nulls(type(), 1), true};
    }
  }
  if (all_constant) {
    return EvaluateOnce(args, rows, context);
  }
  return {Run(args, rows, batch.physical_rows(), context), false};
}

// All arguments are the same for every row, and so is the result, or the error.
FunctionArg CallNode::EvaluateOnce(const std::vector<FunctionArg>& args, RowSet rows,
                                   const EvalContext& context) const {
  if (rows.count == 0) {
    return {Column::Nulls(type(), 1), true};
  }
  RowErrors errors;
  EvalContext once = context;
  once.errors = &errors;
  ColumnPtr value = Run(args, RowSet{.count = 1}, 1, once);
  if (!errors.empty()) {
    rows.ForEach([&](uint32_t row) { context.errors->Add(row, errors.errors().front().status); });
  }
  return {std::move(value), true};
}

ColumnPtr CallNode::Run(const std::vector<FunctionArg>& args, RowSet rows, size_t physical_rows,
                        const EvalContext& context) const {
  auto out = std::make_shared<Column>(type(), physical_rows);
  ShrinkingRows live(rows);
  if (function_->strict) {
    for (const FunctionArg& arg : args) {
      if (arg.column->has_nulls()) {
        live.Filter([&](uint32_t row) {
          bool null = arg.IsNull(row);
          if (null) {
            out->SetNull(row);
          }
          return !null;
        });
      }
    }
  }
  size_t errors_before = context.errors->errors().size();
  if (!live.empty()) {
    function_->kernel(args,
                      FunctionCallContext{.rows = live.rows(),
                                          .state = state_.get(),
                                          .batch_time_us = context.batch_time_us,
                                          .errors = context.errors},
                      out.get());
  }
  const std::vector<RowError>& errors = context.errors->errors();
  for (size_t i = errors_before; i < errors.size(); ++i) {
    out->SetNull(errors[i].row);
  }
  if (type().IsText()) {
    for (const FunctionArg& arg : args) {
      out->ShareOwners(*arg.column);
    }
  }
  return out;
}

std::string CallSignature(const proto::Expr::Call& call, const std::vector<SqlType>& types) {
  std::string text = absl::StrCat(call.function(), "(");
  for (size_t i = 0; i < types.size(); ++i) {
    absl::StrAppend(&text, i == 0 ? "" : ", ", types[i].ToString());
  }
  return text + ")";
}

// Replaces a node whose arguments are all constant by its value. If evaluating it fails, the node
// stays, and the error belongs to the rows that need it.
ExprNodePtr FoldIfConstant(ExprNodePtr node) {
  RowErrors errors;
  EvalContext context{.errors = &errors};
  FunctionArg value = node->Evaluate(Batch({}, 1), RowSet{.count = 1}, context);
  if (!errors.empty() || !value.constant) {
    return node;
  }
  return std::make_unique<ConstantNode>(value.column);
}

absl::StatusOr<ExprNodePtr> CompileCall(const proto::Expr& expr, const FunctionRegistry& registry) {
  std::vector<ExprNodePtr> args;
  std::vector<SqlType> types;
  std::vector<ColumnPtr> constants;
  std::vector<const Column*> constant_pointers;
  bool all_constant = true;
  for (const proto::Expr& arg : expr.call().args()) {
    ASSIGN_OR_RETURN(ExprNodePtr node, CompileNode(arg, registry));
    types.push_back(node->type());
    constants.push_back(node->constant());
    constant_pointers.push_back(constants.back().get());
    all_constant = all_constant && constants.back() != nullptr;
    args.push_back(std::move(node));
  }
  SqlType type = TypeFromProto(expr.type());
  const ScalarFunction* function = registry.FindScalar(expr.call().function(), types, type);
  if (function == nullptr) {
    return absl::InternalError(absl::StrCat("the plan calls ", CallSignature(expr.call(), types),
                                            " returning ", type.ToString(),
                                            ", which this engine does not have"));
  }
  std::shared_ptr<const FunctionState> state;
  if (function->bind) {
    ASSIGN_OR_RETURN(state, function->bind(constant_pointers, type));
  }
  auto node = std::make_unique<CallNode>(type, function, std::move(state), std::move(args));
  if (all_constant && function->stable) {
    return FoldIfConstant(std::move(node));
  }
  return node;
}

absl::StatusOr<ExprNodePtr> CompileLiteral(const proto::Expr& expr) {
  SqlType type = TypeFromProto(expr.type());
  if (!expr.literal().has_text()) {
    return std::make_unique<ConstantNode>(Column::Nulls(type, 1));
  }
  auto value = std::make_shared<Column>(type, 1);
  if (type.id == TypeId::kBytea) {
    value->SetTextCopy(0, expr.literal().text());  // raw bytes, as plan.proto says
  } else {
    RETURN_IF_ERROR(ParseValue(expr.literal().text(), value.get(), 0));
  }
  return std::make_unique<ConstantNode>(std::move(value));
}

class CompiledExpr : public ExprEvaluator {
 public:
  explicit CompiledExpr(ExprNodePtr root) : root_(std::move(root)) {}

  ColumnPtr Evaluate(const Batch& batch, RowSet rows, const EvalContext& context) override {
    FunctionArg value = root_->Evaluate(batch, rows, context);
    return value.constant ? RepeatValue(*value.column, batch.physical_rows())
                          : std::move(value.column);
  }
  const SqlType& type() const override { return root_->type(); }
  bool infallible() const override { return root_->infallible(); }

 private:
  ExprNodePtr root_;
};

}  // namespace

absl::StatusOr<ExprNodePtr> CompileNode(const proto::Expr& expr, const FunctionRegistry& registry) {
  switch (expr.node_case()) {
    case proto::Expr::kColumn:
      return std::make_unique<ColumnNode>(TypeFromProto(expr.type()), expr.column());
    case proto::Expr::kLiteral:
      return CompileLiteral(expr);
    case proto::Expr::kCall:
      return CompileCall(expr, registry);
    case proto::Expr::kForm: {
      std::vector<ExprNodePtr> args;
      for (const proto::Expr& arg : expr.form().args()) {
        ASSIGN_OR_RETURN(ExprNodePtr node, CompileNode(arg, registry));
        args.push_back(std::move(node));
      }
      return MakeSpecialForm(expr.form().kind(), TypeFromProto(expr.type()), std::move(args));
    }
    case proto::Expr::NODE_NOT_SET:
      break;
  }
  return absl::InternalError("the plan holds an expression without content");
}

absl::StatusOr<std::unique_ptr<ExprEvaluator>> ExprEvaluator::Compile(
    const proto::Expr& expr, const FunctionRegistry& registry) {
  ASSIGN_OR_RETURN(ExprNodePtr root, CompileNode(expr, registry));
  return std::make_unique<CompiledExpr>(std::move(root));
}

bool IsConstant(const proto::Expr& expr) {
  auto all_constant = [](const auto& args) {
    return std::all_of(args.begin(), args.end(), IsConstant);
  };
  switch (expr.node_case()) {
    case proto::Expr::kLiteral:
      return true;
    case proto::Expr::kCall:
      return all_constant(expr.call().args());
    case proto::Expr::kForm:
      return expr.form().kind() != proto::Expr::SpecialForm::BATCH_TIME &&
             all_constant(expr.form().args());
    case proto::Expr::kColumn:
    case proto::Expr::NODE_NOT_SET:
      break;
  }
  return false;
}

absl::StatusOr<ColumnPtr> EvaluateConstant(const proto::Expr& expr,
                                           const FunctionRegistry& registry) {
  ASSIGN_OR_RETURN(std::unique_ptr<ExprEvaluator> evaluator,
                   ExprEvaluator::Compile(expr, registry));
  RowErrors errors;
  EvalContext context{.errors = &errors};
  ColumnPtr value = evaluator->Evaluate(Batch({}, 1), RowSet{.count = 1}, context);
  if (!errors.empty()) {
    return errors.errors().front().status;
  }
  return value;
}

}  // namespace millrace
