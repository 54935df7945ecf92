// The names that an expression can use: the tables and functions of a FROM clause with their
// columns. Thread-compatible.
#ifndef MILLRACE_SQL_BIND_EXPRESSION_SCOPE_H_
#define MILLRACE_SQL_BIND_EXPRESSION_SCOPE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/types/sql_type.h"
#include "plan/logical/logical_plan.h"

namespace millrace::sql {

struct ScopeColumn {
  std::string table;  // alias of the FROM item
  std::string name;
  SqlType type;
  uint32_t index = 0;   // in the output of the node below
  bool hidden = false;  // metadata: found by name, left out of *
};

class Scope {
 public:
  // Adds a FROM item's columns; their indexes follow those of the items before. An error at
  // `position` if the alias is taken.
  absl::Status AddTable(const std::string& alias, const std::vector<plan::OutputColumn>& visible,
                        const std::vector<plan::OutputColumn>& hidden, int32_t position);

  // The same for a function that returns one value per row: its alias alone means that value.
  absl::Status AddScalarFunction(const std::string& alias, const plan::OutputColumn& column,
                                 int32_t position);

  // The column `name`, of table `table` if that is not empty. Errors suggest the nearest name.
  absl::StatusOr<ScopeColumn> Find(const std::string& table, const std::string& name,
                                   int32_t position) const;
  // The column that the name alone means; nothing if there is none. An error if there are several.
  absl::StatusOr<std::optional<ScopeColumn>> FindUnqualified(const std::string& name,
                                                             int32_t position) const;

  // The column at `index` of the node below.
  const ScopeColumn& At(uint32_t index) const { return columns_[index]; }

  // Columns for * (or table.*).
  absl::StatusOr<std::vector<ScopeColumn>> Expand(const std::string& table, int32_t position) const;

 private:
  bool HasTable(const std::string& table) const;
  absl::Status NoTable(const std::string& table, int32_t position) const;

  std::vector<std::string> tables_;
  std::map<std::string, uint32_t> values_;  // aliases of scalar functions, and their column
  std::vector<ScopeColumn> columns_;
};

}  // namespace millrace::sql

#endif  // MILLRACE_SQL_BIND_EXPRESSION_SCOPE_H_
