// The tables and views of a script, in the order they were made. Thread-compatible.
#ifndef MILLRACE_SQL_CATALOG_CATALOG_H_
#define MILLRACE_SQL_CATALOG_CATALOG_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "connectors/registry.h"
#include "plan/logical/logical_plan.h"
#include "proto/plan.pb.h"

namespace millrace::sql {

// A table with a connector: a source for statements that read it, a sink for statements that write
// it.
struct TableDefinition {
  std::string name;
  std::string connector;
  std::string format;
  std::map<std::string, std::string> options;  // of connector and format
  std::vector<plan::OutputColumn> columns;
  std::vector<std::string> primary_key;
  proto::OnError on_error = proto::ON_ERROR_FAIL;
  std::string error_table;  // NAME of on_error = 'table:NAME'

  // Positions in the script: of the name, WITH, the primary key, each option.
  int32_t position = -1;
  int32_t with_position = -1;
  int32_t primary_key_position = -1;
  std::map<std::string, int32_t> option_positions;
};

// A named query, bound when it was made.
struct ViewDefinition {
  std::string name;
  plan::LogicalNodePtr query;
  int32_t position = -1;
};

class Catalog {
 public:
  // Exactly one of the two is set; both null when there is no such name.
  struct Entry {
    const TableDefinition* table = nullptr;
    const ViewDefinition* view = nullptr;
  };

  absl::Status AddTable(TableDefinition table);
  // `replace`: the view replaces an existing view of that name.
  absl::Status AddView(ViewDefinition view, bool replace);

  // INVALID_ARGUMENT at `position` if there is no such name; it suggests the nearest one.
  absl::StatusOr<Entry> Find(const std::string& name, int32_t position) const;
  bool Contains(const std::string& name) const;

 private:
  absl::Status CheckFree(const std::string& name, int32_t position) const;

  std::map<std::string, TableDefinition> tables_;
  std::map<std::string, ViewDefinition> views_;
};

}  // namespace millrace::sql

#endif  // MILLRACE_SQL_CATALOG_CATALOG_H_
