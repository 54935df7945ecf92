#include "common/expr/function_registry.h"

#include <set>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/expr/in_zone.h"

namespace millrace {
namespace {

// Equality of types as signatures see them: modifiers (precision, scale) do not take part.
bool SameType(const SqlType& a, const SqlType& b) { return a.id == b.id && a.element == b.element; }

bool SameTypes(const std::vector<SqlType>& a, const std::vector<SqlType>& b) {
  if (a.size() != b.size()) {
    return false;
  }
  for (size_t i = 0; i < a.size(); ++i) {
    if (!SameType(a[i], b[i])) {
      return false;
    }
  }
  return true;
}

// Whether a table function's parameter takes the argument: an array of unknown elements takes any
// array.
bool AcceptsType(const SqlType& parameter, const SqlType& argument) {
  if (parameter.id == TypeId::kArray && parameter.element == TypeId::kUnknown) {
    return argument.id == TypeId::kArray;
  }
  return SameType(parameter, argument);
}

bool AcceptsArguments(const ScalarFunction& function, const std::vector<SqlType>& args) {
  if (!function.variadic) {
    return SameTypes(function.arg_types, args);
  }
  if (args.size() < function.arg_types.size()) {
    return false;
  }
  for (size_t i = 0; i < args.size(); ++i) {
    const SqlType& parameter =
        i < function.arg_types.size() ? function.arg_types[i] : function.arg_types.back();
    if (!SameType(parameter, args[i])) {
      return false;
    }
  }
  return true;
}

bool IsCast(std::string_view name) { return name == "cast" || name == kCastInZone; }

std::string Signature(std::string_view name, const std::vector<SqlType>& args) {
  std::string text = absl::StrCat(ToAbsl(name), "(");
  for (size_t i = 0; i < args.size(); ++i) {
    absl::StrAppend(&text, i == 0 ? "" : ", ", args[i].ToString());
  }
  return text + ")";
}

absl::Status AlreadyExists(std::string_view name, const std::vector<SqlType>& args) {
  return absl::AlreadyExistsError(
      absl::StrCat("function ", Signature(name, args), " is registered twice"));
}

template <typename Map>
auto AllOf(const Map& map, std::string_view name) {
  std::vector<const typename Map::mapped_type::element_type*> found;
  auto [begin, end] = map.equal_range(name);
  for (auto it = begin; it != end; ++it) {
    found.push_back(it->second.get());
  }
  return found;
}

}  // namespace

absl::Status FunctionRegistry::Add(ScalarFunction function) {
  if (FindScalar(function.name, function.arg_types, function.result) != nullptr) {
    return AlreadyExists(function.name, function.arg_types);
  }
  std::string name = function.name;
  scalars_.emplace(std::move(name), std::make_unique<ScalarFunction>(std::move(function)));
  return absl::OkStatus();
}

absl::Status FunctionRegistry::Add(TableFunctionDef function) {
  if (FindTable(function.name, function.arg_types) != nullptr) {
    return AlreadyExists(function.name, function.arg_types);
  }
  std::string name = function.name;
  tables_.emplace(std::move(name), std::make_unique<TableFunctionDef>(std::move(function)));
  return absl::OkStatus();
}

absl::Status FunctionRegistry::Add(std::unique_ptr<AggregateFunction> function) {
  if (FindAggregate(function->name(), function->arg_types()) != nullptr) {
    return AlreadyExists(function->name(), function->arg_types());
  }
  std::string name = function->name();
  aggregates_.emplace(std::move(name), std::move(function));
  return absl::OkStatus();
}

const ScalarFunction* FunctionRegistry::FindScalar(std::string_view name,
                                                   const std::vector<SqlType>& args,
                                                   const SqlType& result) const {
  auto [begin, end] = scalars_.equal_range(name);
  for (auto it = begin; it != end; ++it) {
    if (AcceptsArguments(*it->second, args) &&
        (!IsCast(name) || SameType(it->second->result, result))) {
      return it->second.get();
    }
  }
  return nullptr;
}

const TableFunctionDef* FunctionRegistry::FindTable(std::string_view name,
                                                    const std::vector<SqlType>& args) const {
  auto [begin, end] = tables_.equal_range(name);
  for (auto it = begin; it != end; ++it) {
    const std::vector<SqlType>& parameters = it->second->arg_types;
    bool accepts = parameters.size() == args.size();
    for (size_t i = 0; accepts && i < args.size(); ++i) {
      accepts = AcceptsType(parameters[i], args[i]);
    }
    if (accepts) {
      return it->second.get();
    }
  }
  return nullptr;
}

const AggregateFunction* FunctionRegistry::FindAggregate(std::string_view name,
                                                         const std::vector<SqlType>& args) const {
  auto [begin, end] = aggregates_.equal_range(name);
  for (auto it = begin; it != end; ++it) {
    if (SameTypes(it->second->arg_types(), args)) {
      return it->second.get();
    }
  }
  return nullptr;
}

std::vector<const ScalarFunction*> FunctionRegistry::Scalars(std::string_view name) const {
  return AllOf(scalars_, name);
}

std::vector<const TableFunctionDef*> FunctionRegistry::Tables(std::string_view name) const {
  return AllOf(tables_, name);
}

std::vector<const AggregateFunction*> FunctionRegistry::Aggregates(std::string_view name) const {
  return AllOf(aggregates_, name);
}

std::vector<std::string> FunctionRegistry::Names() const {
  std::set<std::string> names;
  auto collect = [&names](const auto& map) {
    for (const auto& [name, function] : map) {
      if (absl::ascii_isalpha(static_cast<unsigned char>(name[0])) &&
          name.find(' ') == std::string::npos && !IsCast(name)) {
        names.insert(name);
      }
    }
  };
  collect(scalars_);
  collect(tables_);
  collect(aggregates_);
  return {names.begin(), names.end()};
}

}  // namespace millrace
