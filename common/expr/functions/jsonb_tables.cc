// jsonb to rows: jsonb_array_elements[_text], jsonb_object_keys, jsonb_each[_text].
#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "common/expr/functions/families.h"
#include "common/types/jsonb_scan.h"

namespace millrace {
namespace {

// Columns of text that grow row by row; text that is a view into the argument is not copied.
class GrowingColumn {
 public:
  void Add(std::string_view text) { values_.push_back({text, std::string(), false}); }
  // What ->> gives.
  void AddAsText(std::string_view json) {
    if (KindOf(json) == JsonbKind::kNull) {
      values_.push_back({"", std::string(), true});
      return;
    }
    std::string storage;
    std::string_view text = JsonbToText(json, &storage);
    values_.push_back({storage.empty() ? text : std::string_view(), std::move(storage), false});
  }

  ColumnPtr Finish(SqlType type, const Column& source) const {
    auto column = std::make_shared<Column>(type, values_.size());
    for (size_t i = 0; i < values_.size(); ++i) {
      if (values_[i].null) {
        column->SetNull(i);
      } else if (values_[i].copy.empty()) {
        column->mutable_values<TextView>()[i] = TextView(values_[i].view);
      } else {
        column->SetTextCopy(i, values_[i].copy);
      }
    }
    column->ShareOwners(source);
    return column;
  }

 private:
  struct Value {
    std::string_view view;
    std::string copy;  // when not empty: instead of the view
    bool null;
  };
  std::vector<Value> values_;
};

TableFunctionDef JsonbTable(const char* name, std::vector<SqlType> types,
                            std::vector<std::string> names) {
  TableFunctionDef function;
  function.name = name;
  function.arg_types = {MakeType(TypeId::kJsonb)};
  function.column_types = std::move(types);
  function.column_names = std::move(names);
  return function;
}

void AddElements(FunctionList* list, const char* name, bool as_text) {
  SqlType type = MakeType(as_text ? TypeId::kText : TypeId::kJsonb);
  TableFunctionDef function = JsonbTable(name, {type}, {"value"});
  function.kernel = [as_text, type](const std::vector<FunctionArg>& args,
                                    const FunctionCallContext& context,
                                    std::vector<uint32_t>* parents, std::vector<ColumnPtr>* out) {
    GrowingColumn values;
    context.rows.ForEach([&](uint32_t row) {
      std::string_view json = args[0].value<TextView>(row).view();
      if (KindOf(json) != JsonbKind::kArray) {
        bool object = KindOf(json) == JsonbKind::kObject;
        context.errors->Add(
            row, absl::InvalidArgumentError(object ? "cannot extract elements from an object"
                                                   : "cannot extract elements from a scalar"));
        return;
      }
      ForEachElement(json, [&](std::string_view element) {
        parents->push_back(row);
        as_text ? values.AddAsText(element) : values.Add(element);
        return true;
      });
    });
    out->push_back(values.Finish(type, *args[0].column));
  };
  list->Add(std::move(function));
}

// The members of objects; an error for everything else.
void AddMembers(FunctionList* list, const char* name, SqlType value_type, bool with_values) {
  SqlType text = MakeType(TypeId::kText);
  TableFunctionDef function = with_values ? JsonbTable(name, {text, value_type}, {"key", "value"})
                                          : JsonbTable(name, {text}, {name});
  std::string scalar_error = with_values ? std::string("cannot call ") + name + " on a non-object"
                                         : std::string("cannot call ") + name + " on a scalar";
  std::string array_error =
      with_values ? scalar_error : std::string("cannot call ") + name + " on an array";
  function.kernel = [=](const std::vector<FunctionArg>& args, const FunctionCallContext& context,
                        std::vector<uint32_t>* parents, std::vector<ColumnPtr>* out) {
    GrowingColumn keys;
    GrowingColumn values;
    context.rows.ForEach([&](uint32_t row) {
      std::string_view json = args[0].value<TextView>(row).view();
      if (KindOf(json) != JsonbKind::kObject) {
        context.errors->Add(
            row, absl::InvalidArgumentError(KindOf(json) == JsonbKind::kArray ? array_error
                                                                              : scalar_error));
        return;
      }
      ForEachMember(json, [&](std::string_view key, std::string_view value) {
        parents->push_back(row);
        keys.AddAsText(key);
        if (with_values) {
          value_type.id == TypeId::kText ? values.AddAsText(value) : values.Add(value);
        }
        return true;
      });
    });
    out->push_back(keys.Finish(text, *args[0].column));
    if (with_values) {
      out->push_back(values.Finish(value_type, *args[0].column));
    }
  };
  list->Add(std::move(function));
}

}  // namespace

void AddJsonbTables(FunctionList* list) {
  AddElements(list, "jsonb_array_elements", false);
  AddElements(list, "jsonb_array_elements_text", true);
  AddMembers(list, "jsonb_object_keys", MakeType(TypeId::kText), false);
  AddMembers(list, "jsonb_each", MakeType(TypeId::kJsonb), true);
  AddMembers(list, "jsonb_each_text", MakeType(TypeId::kText), true);
}

}  // namespace millrace
