#include "sql/bind/expression/scope.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "plan/logical/spelling.h"
#include "plan/logical/sql_error.h"

namespace millrace::sql {

absl::Status Scope::AddTable(const std::string& alias,
                             const std::vector<plan::OutputColumn>& visible,
                             const std::vector<plan::OutputColumn>& hidden, int32_t position) {
  if (HasTable(alias)) {
    return plan::ErrorAt(position,
                         absl::StrCat("table name \"", alias, "\" specified more than once"));
  }
  tables_.push_back(alias);
  for (const plan::OutputColumn& column : visible) {
    const auto index = static_cast<uint32_t>(columns_.size());
    columns_.push_back({.table = alias, .name = column.name, .type = column.type, .index = index});
  }
  for (const plan::OutputColumn& column : hidden) {
    const auto index = static_cast<uint32_t>(columns_.size());
    columns_.push_back(
        {.table = alias, .name = column.name, .type = column.type, .index = index, .hidden = true});
  }
  return absl::OkStatus();
}

absl::Status Scope::AddScalarFunction(const std::string& alias, const plan::OutputColumn& column,
                                      int32_t position) {
  RETURN_IF_ERROR(AddTable(alias, {column}, {}, position));
  values_.emplace(alias, columns_.back().index);
  return absl::OkStatus();
}

bool Scope::HasTable(const std::string& table) const {
  return std::find(tables_.begin(), tables_.end(), table) != tables_.end();
}

absl::Status Scope::NoTable(const std::string& table, int32_t position) const {
  return plan::ErrorAt(position, absl::StrCat("missing FROM-clause entry for table \"", table, "\"",
                                              plan::DidYouMean(table, tables_)));
}

absl::StatusOr<std::optional<ScopeColumn>> Scope::FindUnqualified(const std::string& name,
                                                                  int32_t position) const {
  std::optional<ScopeColumn> found;
  for (const ScopeColumn& column : columns_) {
    if (column.name != name) {
      continue;
    }
    if (found.has_value() && found->hidden == column.hidden) {
      return plan::ErrorAt(
          position, absl::StrCat("column reference \"", name, "\" is ambiguous: ", found->table,
                                 ".", name, " or ", column.table, ".", name));
    }
    if (!found.has_value() || found->hidden) {
      found = column;
    }
  }
  return found;
}

absl::StatusOr<ScopeColumn> Scope::Find(const std::string& table, const std::string& name,
                                        int32_t position) const {
  if (table.empty()) {
    ASSIGN_OR_RETURN(std::optional<ScopeColumn> found, FindUnqualified(name, position));
    if (found.has_value()) {
      return *std::move(found);
    }
    if (const auto value = values_.find(name); value != values_.end()) {
      return columns_[value->second];
    }
  } else if (!HasTable(table)) {
    return NoTable(table, position);
  }
  std::vector<std::string> known;
  for (const ScopeColumn& column : columns_) {
    if (!table.empty() && column.table == table && column.name == name) {
      return column;
    }
    if (table.empty() || column.table == table) {
      known.push_back(column.name);
    }
  }
  const std::string shown =
      table.empty() ? absl::StrCat("\"", name, "\"") : absl::StrCat(table, ".", name);
  return plan::ErrorAt(
      position, absl::StrCat("column ", shown, " does not exist", plan::DidYouMean(name, known)));
}

absl::StatusOr<std::vector<ScopeColumn>> Scope::Expand(const std::string& table,
                                                       int32_t position) const {
  if (!table.empty() && !HasTable(table)) {
    return NoTable(table, position);
  }
  std::vector<ScopeColumn> expanded;
  for (const ScopeColumn& column : columns_) {
    if (!column.hidden && (table.empty() || column.table == table)) {
      expanded.push_back(column);
    }
  }
  return expanded;
}

}  // namespace millrace::sql
