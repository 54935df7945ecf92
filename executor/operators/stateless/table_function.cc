#include "executor/operators/stateless/table_function.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "executor/operators/stage_context.h"

namespace millrace::executor {
namespace {

// Output rows of a slice: enough to work a column at a time, few enough to stay in the cache for
// the next operators.
constexpr size_t kOutputRows = 8 << 10;
constexpr size_t kMinSliceRows = 16;
constexpr size_t kMaxSliceRows = 64 << 10;

// `column`'s rows in the order of `index`; NULL where the index is kNoRow.
constexpr uint32_t kNoRow = UINT32_MAX;
ColumnPtr TakeOrNull(const Column& column, const std::vector<uint32_t>& index) {
  if (column.size() == 0) {
    return Column::Nulls(column.type(), index.size());
  }
  std::vector<uint32_t> safe = index;
  std::replace(safe.begin(), safe.end(), kNoRow, uint32_t{0});
  auto out = std::const_pointer_cast<Column>(
      Take(column, safe.data(), safe.size()));  // the column has no other reader yet
  for (size_t i = 0; i < index.size(); ++i) {
    if (index[i] == kNoRow) {
      out->SetNull(i);
    }
  }
  return out;
}

// WITH ORDINALITY: numbers each parent's rows from 1.
ColumnPtr Ordinality(const std::vector<uint32_t>& parents) {
  auto numbers = std::make_shared<Column>(MakeType(TypeId::kInt64), parents.size());
  int64_t number = 0;
  for (size_t i = 0; i < parents.size(); ++i) {
    number = i > 0 && parents[i] == parents[i - 1] ? number + 1 : 1;
    numbers->mutable_values<int64_t>()[i] = number;
  }
  return numbers;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TableFunction>> TableFunction::Create(
    uint32_t id, StageContext* context, const proto::TableFunction& plan,
    const FunctionRegistry& registry) {
  std::unique_ptr<TableFunction> out(new TableFunction(id, context));
  std::vector<SqlType> types;
  std::vector<const Column*> constants;
  for (const proto::Expr& expr : plan.args()) {
    types.push_back(TypeFromProto(expr.type()));
    Arg arg;
    if (IsConstant(expr)) {
      ASSIGN_OR_RETURN(arg.constant, EvaluateConstant(expr, registry));
    } else {
      ASSIGN_OR_RETURN(arg.expr, ExprEvaluator::Compile(expr, registry));
    }
    constants.push_back(arg.constant.get());
    out->args_.push_back(std::move(arg));
  }
  out->function_ = registry.FindTable(plan.function(), types);
  if (out->function_ == nullptr) {
    return absl::InternalError(
        absl::StrCat("the plan calls table function ", plan.function(),
                     " with argument types that this executor does not have it for"));
  }
  if (out->function_->bind) {
    ASSIGN_OR_RETURN(out->state_, out->function_->bind(constants));
  }
  out->kept_.assign(plan.kept().begin(), plan.kept().end());
  for (size_t i = 0; i < out->function_->column_types.size(); ++i) {
    if (i >= static_cast<size_t>(plan.columns_size())) {
      return absl::InternalError(
          absl::StrCat("the plan lists too few columns of ", plan.function()));
    }
    out->column_types_.push_back(TypeFromProto(plan.columns(static_cast<int>(i)).type()));
  }
  out->with_ordinality_ = plan.with_ordinality();
  if (out->with_ordinality_) {
    out->column_types_.push_back(MakeType(TypeId::kInt64));
  }
  out->left_ = plan.left();
  return out;
}

absl::Status TableFunction::Process(const Batch& input) {
  Batch batch = input;
  std::vector<FunctionArg> args;
  RETURN_IF_ERROR(EvaluateArgs(&batch, &args));
  RowSet rows = batch.rows();
  for (size_t begin = 0; begin < rows.count;) {
    const size_t count = SliceLength(batch, begin);
    auto selection = std::make_shared<std::vector<uint32_t>>(count);
    for (size_t i = 0; i < count; ++i) {
      (*selection)[i] = rows[begin + i];
    }
    Batch slice = batch;
    slice.set_selection(std::move(selection));
    RETURN_IF_ERROR(ProcessSlice(batch, args, &slice));
    begin += count;
  }
  return absl::OkStatus();
}

// A slice ends between records: a record that fails in one of its rows, here or further on, is left
// out with all rows of its slice, and would leave those of another slice behind.
size_t TableFunction::SliceLength(const Batch& batch, size_t begin) const {
  const RowSet rows = batch.rows();
  size_t end = begin + std::min(slice_rows_, rows.count - begin);
  while (end < rows.count && batch.origin_of(rows[end]) == batch.origin_of(rows[end - 1])) {
    ++end;
  }
  return end - begin;
}

absl::Status TableFunction::EvaluateArgs(Batch* batch, std::vector<FunctionArg>* args) {
  for (const Arg& arg : args_) {
    if (arg.constant != nullptr) {
      args->push_back({arg.constant, true});
    } else {
      args->push_back({arg.expr->Evaluate(*batch, batch->rows(), context().eval()), false});
    }
  }
  return context().DropFailedRows(batch);
}

absl::Status TableFunction::ProcessSlice(const Batch& batch, const std::vector<FunctionArg>& args,
                                         Batch* slice) {
  size_t rows_in = slice->row_count();
  Result result;
  RETURN_IF_ERROR(Call(args, slice, &result));
  size_t per_row = std::max<size_t>(1, result.parents.size() / std::max<size_t>(1, rows_in));
  slice_rows_ = std::clamp(kOutputRows / per_row, kMinSliceRows, kMaxSliceRows);
  if (left_) {
    AddMissing(*slice, &result);
  }
  if (result.parents.empty()) {
    return absl::OkStatus();
  }
  return Emit(Join(batch, std::move(result)));
}

absl::Status TableFunction::Call(const std::vector<FunctionArg>& args, Batch* slice,
                                 Result* result) {
  for (;;) {
    std::vector<uint32_t> rows;
    rows.reserve(slice->row_count());
    slice->rows().ForEach([&](uint32_t row) {
      bool has_null = std::any_of(args.begin(), args.end(),
                                  [row](const FunctionArg& arg) { return arg.IsNull(row); });
      if (!function_->strict || !has_null) {
        rows.push_back(row);
      }
    });
    result->parents.clear();
    result->columns.clear();
    if (rows.empty()) {
      return absl::OkStatus();
    }
    FunctionCallContext call{.rows = RowSet{rows.data(), rows.size()},
                             .state = state_.get(),
                             .batch_time_us = context().batch_time_us(),
                             .errors = &context().errors()};
    function_->kernel(args, call, &result->parents, &result->columns);
    if (context().errors().empty()) {
      if (with_ordinality_) {
        result->columns.push_back(Ordinality(result->parents));
      }
      return absl::OkStatus();
    }
    // A record is left out as a whole, so the function is called again without those that failed.
    RETURN_IF_ERROR(context().DropFailedRows(slice));
  }
}

void TableFunction::AddMissing(const Batch& slice, Result* result) const {
  std::vector<uint32_t> parents;
  std::vector<uint32_t> index;
  size_t next = 0;
  slice.rows().ForEach([&](uint32_t row) {
    bool found = false;
    for (; next < result->parents.size() && result->parents[next] == row; ++next) {
      parents.push_back(row);
      index.push_back(static_cast<uint32_t>(next));
      found = true;
    }
    if (!found) {
      parents.push_back(row);
      index.push_back(kNoRow);
    }
  });
  if (parents.size() == result->parents.size()) {
    return;
  }
  for (ColumnPtr& column : result->columns) {
    column = TakeOrNull(*column, index);
  }
  for (size_t i = result->columns.size(); i < column_types_.size();
       ++i) {  // rows for which the function was not called
    result->columns.push_back(Column::Nulls(column_types_[i], parents.size()));
  }
  result->parents = std::move(parents);
}

Batch TableFunction::Join(const Batch& batch, Result result) const {
  size_t rows = result.parents.size();
  std::vector<ColumnPtr> columns;
  columns.reserve(kept_.size());
  for (uint32_t column : kept_) {
    columns.push_back(Take(*batch.column(column), result.parents.data(), rows));
  }
  columns.insert(columns.end(), result.columns.begin(), result.columns.end());
  Batch out(std::move(columns), rows);
  if (batch.weight_column() != nullptr) {
    out.set_weights(Take(*batch.weight_column(), result.parents.data(), rows));
  }
  for (uint32_t& parent : result.parents) {
    parent = batch.origin_of(parent);
  }
  out.set_origin(std::make_shared<const std::vector<uint32_t>>(std::move(result.parents)));
  return out;
}

}  // namespace millrace::executor
