// Arrays (of one dimension): length, subscript, search, joining, and as rows.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/expr/column_merge.h"
#include "common/expr/functions/families.h"
#include "common/types/text_format.h"

namespace millrace {
namespace {

constexpr SqlType kInt32Type = MakeType(TypeId::kInt32);
constexpr SqlType kTextType = MakeType(TypeId::kText);

ScalarFunction ArrayFunction(const char* name, std::vector<SqlType> arg_types, SqlType result,
                             ScalarFunction::Kernel kernel) {
  ScalarFunction function;
  function.name = name;
  function.arg_types = std::move(arg_types);
  function.result = result;
  function.infallible = true;
  function.kernel = std::move(kernel);
  return function;
}

void AddLengths(FunctionList* list, SqlType array) {
  list->Add(ArrayFunction(
      "cardinality", {array}, kInt32Type,
      [](const std::vector<FunctionArg>& args, const FunctionCallContext& context, Column* out) {
        context.rows.ForEach([&](uint32_t row) {
          out->mutable_values<int32_t>()[row] =
              static_cast<int32_t>(args[0].value<ListView>(row).size);
        });
      }));
  // Empty arrays have no dimension, and there is only one.
  for (const char* name : {"array_length", "array_upper"}) {
    list->Add(ArrayFunction(
        name, {array, kInt32Type}, kInt32Type,
        [](const std::vector<FunctionArg>& args, const FunctionCallContext& context, Column* out) {
          context.rows.ForEach([&](uint32_t row) {
            uint32_t size = args[0].value<ListView>(row).size;
            if (size == 0 || args[1].value<int32_t>(row) != 1) {
              out->SetNull(row);
            } else {
              out->mutable_values<int32_t>()[row] = static_cast<int32_t>(size);
            }
          });
        }));
  }
}

// array[index], counted from 1; NULL outside.
void AddGet(FunctionList* list, TypeId element) {
  list->Add(ArrayFunction(
      "array_get", {ArrayOf(element), kInt32Type}, MakeType(element),
      [](const std::vector<FunctionArg>& args, const FunctionCallContext& context, Column* out) {
        const ColumnPtr& child = args[0].column->child();
        context.rows.ForEach([&](uint32_t row) {
          const ListView& elements = args[0].value<ListView>(row);
          int32_t index = args[1].value<int32_t>(row);
          if (index < 1 || static_cast<uint32_t>(index) > elements.size) {
            out->SetNull(row);
          } else {
            CopyValue(*child, elements.begin + static_cast<uint32_t>(index) - 1, out, row);
          }
        });
        out->ShareOwners(*child);
      }));
}

// The place of the row's value among the elements, from 1, looked for from `start` on.
std::optional<int32_t> PlaceOf(const FunctionArg& value, uint32_t row, const Column& child,
                               const ListView& elements, int32_t start) {
  for (uint32_t i = static_cast<uint32_t>(std::max(start, 1)) - 1; i < elements.size; ++i) {
    if (ValuesEqual(child, elements.begin + i, *value.column, value.index(row))) {
      return static_cast<int32_t>(i) + 1;
    }
  }
  return std::nullopt;
}

absl::StatusOr<std::optional<int32_t>> PositionInRow(const std::vector<FunctionArg>& args,
                                                     uint32_t row) {
  if (args[0].IsNull(row)) {
    return std::nullopt;
  }
  const Column& child = *args[0].column->child();
  const ListView& elements = args[0].value<ListView>(row);
  if (args.size() < 3 || !args[2].IsNull(row)) {
    return PlaceOf(args[1], row, child, elements,
                   args.size() < 3 ? 1 : args[2].value<int32_t>(row));
  }
  // PostgreSQL looks at the start only where there is something to look for.
  const bool none = elements.size == 0 ||
                    (args[1].IsNull(row) && !PlaceOf(args[1], row, child, elements, 1).has_value());
  return none ? absl::StatusOr<std::optional<int32_t>>(std::nullopt)
              : absl::InvalidArgumentError("initial position must not be null");
}

// The place of the first element that is not distinct from the value; NULL when there is none.
void AddPosition(FunctionList* list, TypeId element) {
  const SqlType array = ArrayOf(element);
  const SqlType value = MakeType(element);
  for (const std::vector<SqlType>& types :
       {std::vector<SqlType>{array, value}, std::vector<SqlType>{array, value, kInt32Type}}) {
    ScalarFunction function = ArrayFunction(
        "array_position", types, kInt32Type,
        [](const std::vector<FunctionArg>& args, const FunctionCallContext& context, Column* out) {
          context.rows.ForEach([&](uint32_t row) {
            StoreResult(PositionInRow(args, row), row, context.errors, out);
          });
        });
    function.strict = false;
    function.infallible = types.size() == 2;
    list->Add(std::move(function));
  }
}

void JoinKernel(const std::vector<FunctionArg>& args, const FunctionCallContext& context,
                Column* out) {
  std::string text;
  context.rows.ForEach([&](uint32_t row) {
    if (args[0].IsNull(row) || args[1].IsNull(row)) {
      out->SetNull(row);
      return;
    }
    text.clear();
    const Column& child = *args[0].column->child();
    const ListView& elements = args[0].value<ListView>(row);
    bool any = false;
    for (uint32_t i = elements.begin; i < elements.begin + elements.size; ++i) {
      bool null = child.IsNull(i);
      if (null && (args.size() < 3 || args[2].IsNull(row))) {
        continue;
      }
      text.append(any ? args[1].value<TextView>(row).view() : std::string_view());
      any = true;
      if (null) {
        text.append(args[2].value<TextView>(row).view());
      } else {
        AppendValue(child, i, &text);
      }
    }
    out->SetTextCopy(row, text);
  });
}

void AddJoin(FunctionList* list, SqlType array) {
  for (const std::vector<SqlType>& types : {std::vector<SqlType>{array, kTextType},
                                            std::vector<SqlType>{array, kTextType, kTextType}}) {
    ScalarFunction function = ArrayFunction("array_to_string", types, kTextType, JoinKernel);
    function.strict = false;
    list->Add(std::move(function));
  }
}

void AddUnnest(FunctionList* list) {
  TableFunctionDef function;
  function.name = "unnest";
  function.arg_types = {ArrayOf(TypeId::kUnknown)};
  function.column_types = {MakeType(TypeId::kUnknown)};
  function.column_names = {"unnest"};
  function.kernel = [](const std::vector<FunctionArg>& args, const FunctionCallContext& context,
                       std::vector<uint32_t>* parents, std::vector<ColumnPtr>* out) {
    std::vector<uint32_t> elements;
    context.rows.ForEach([&](uint32_t row) {
      const ListView& row_elements = args[0].value<ListView>(row);
      for (uint32_t i = 0; i < row_elements.size; ++i) {
        parents->push_back(row);
        elements.push_back(row_elements.begin + i);
      }
    });
    out->push_back(Take(*args[0].column->child(), elements.data(), elements.size()));
  };
  list->Add(std::move(function));
}

}  // namespace

void AddArrays(FunctionList* list) {
  for (int id = static_cast<int>(TypeId::kBool); id < static_cast<int>(TypeId::kArray); ++id) {
    auto element = static_cast<TypeId>(id);
    AddLengths(list, ArrayOf(element));
    AddGet(list, element);
    AddPosition(list, element);
    AddJoin(list, ArrayOf(element));
  }
  AddUnnest(list);
}

}  // namespace millrace
