// Casts between text and every other type, through the types' text forms, and between arrays
// element by element.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/base/status.h"
#include "common/expr/functions/families.h"
#include "common/types/text_format.h"

namespace millrace {
namespace {

constexpr SqlType kTextType = MakeType(TypeId::kText);

// All types that have a text form and can be elements of arrays.
std::vector<TypeId> ElementTypes() {
  std::vector<TypeId> types;
  for (int id = static_cast<int>(TypeId::kBool); id < static_cast<int>(TypeId::kArray); ++id) {
    types.push_back(static_cast<TypeId>(id));
  }
  return types;
}

ScalarFunction CastFunction(SqlType from, SqlType to, ScalarFunction::Kernel kernel) {
  ScalarFunction function;
  function.name = "cast";
  function.arg_types = {from};
  function.result = to;
  function.kernel = std::move(kernel);
  return function;
}

void FormatKernel(const std::vector<FunctionArg>& args, const FunctionCallContext& context,
                  Column* out) {
  std::string text;
  context.rows.ForEach([&](uint32_t row) {
    text.clear();
    AppendValue(*args[0].column, args[0].index(row), &text);
    out->SetTextCopy(row, text);
  });
}

void ParseKernel(const std::vector<FunctionArg>& args, const FunctionCallContext& context,
                 Column* out) {
  ArgReader<std::string_view> text(args[0]);
  context.rows.ForEach([&](uint32_t row) {
    absl::Status status = ParseValue(text[row], out, row);
    if (!status.ok()) {
      context.errors->Add(row, std::move(status));
    }
  });
}

// Parses each row's array by itself and joins the elements once at the end.
void ParseArrayKernel(const std::vector<FunctionArg>& args, const FunctionCallContext& context,
                      Column* out) {
  ArgReader<std::string_view> text(args[0]);
  std::vector<ColumnPtr> children = {std::make_shared<Column>(out->type().ElementType(), 0)};
  uint32_t begin = 0;
  auto* lists = out->mutable_values<ListView>();
  context.rows.ForEach([&](uint32_t row) {
    absl::StatusOr<ColumnPtr> elements = ParseArray(text[row], out->type().ElementType());
    if (!elements.ok()) {
      context.errors->Add(row, std::move(elements).status());
      return;
    }
    lists[row] = {.begin = begin, .size = static_cast<uint32_t>((*elements)->size())};
    begin += lists[row].size;
    children.push_back(*std::move(elements));
  });
  out->set_child(Concatenate(children));
}

// Casts the elements of arrays with the cast of their type.
void CastArrayKernel(const ScalarFunction& cast, const std::vector<FunctionArg>& args,
                     const FunctionCallContext& context, Column* out) {
  const FunctionArg& arg = args[0];
  ColumnPtr child = arg.column->child();
  auto converted = std::make_shared<Column>(out->type().ElementType(), child->size());
  converted->ShareOwners(*child);
  auto* lists = out->mutable_values<ListView>();
  context.rows.ForEach([&](uint32_t row) {
    const ListView& list = arg.value<ListView>(row);
    lists[row] = list;
    std::vector<uint32_t> elements;
    for (uint32_t i = list.begin; i < list.begin + list.size; ++i) {
      if (child->IsNull(i)) {
        converted->SetNull(i);
      } else {
        elements.push_back(i);
      }
    }
    RowErrors errors;
    cast.kernel({FunctionArg{child, false}},
                FunctionCallContext{.rows = {.rows = elements.data(), .count = elements.size()},
                                    .batch_time_us = context.batch_time_us,
                                    .errors = &errors},
                converted.get());
    if (!errors.empty()) {
      context.errors->Add(row, errors.errors().front().status);
    }
  });
  out->set_child(std::move(converted));
}

void AddArrayCast(FunctionList* list, TypeId from, TypeId to) {
  const ScalarFunction* element = list->FindCast(MakeType(from), MakeType(to));
  MILLRACE_CHECK(element != nullptr) << "no cast for array elements";
  list->Add(CastFunction(
      ArrayOf(from), ArrayOf(to),
      [element](const std::vector<FunctionArg>& args, const FunctionCallContext& context,
                Column* out) { CastArrayKernel(*element, args, context, out); }));
}

}  // namespace

void AddTextCasts(FunctionList* list) {
  list->Add("cast", [](bool value) { return std::string_view(value ? "true" : "false"); });
  for (TypeId id : ElementTypes()) {
    if (id != TypeId::kText) {
      if (id != TypeId::kBool) {
        list->Add(CastFunction(MakeType(id), kTextType, FormatKernel));
      }
      list->Add(CastFunction(kTextType, MakeType(id), ParseKernel));
      AddArrayCast(list, id, TypeId::kText);
      AddArrayCast(list, TypeId::kText, id);
    }
    list->Add(CastFunction(ArrayOf(id), kTextType, FormatKernel));
    list->Add(CastFunction(kTextType, ArrayOf(id), ParseArrayKernel));
  }
  for (TypeId from :
       {TypeId::kInt16, TypeId::kInt32, TypeId::kInt64, TypeId::kFloat64, TypeId::kNumeric}) {
    for (TypeId to :
         {TypeId::kInt16, TypeId::kInt32, TypeId::kInt64, TypeId::kFloat64, TypeId::kNumeric}) {
      if (from != to || from == TypeId::kNumeric) {  // numeric[] to numeric(p,s)[]
        AddArrayCast(list, from, to);
      }
    }
  }
}

}  // namespace millrace
