#include "plan/physical/shared_scans.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "plan/logical/expr_tree.h"
#include "plan/rewrites/rewrites.h"

namespace millrace::plan {
namespace {

// Declared columns sort by their number, metadata columns behind them by name.
using ColumnKey = std::pair<uint32_t, std::string>;
using TableColumns = std::map<std::string, std::map<ColumnKey, proto::SourceColumn>>;

ColumnKey KeyOf(const proto::SourceColumn& column) {
  return {static_cast<uint32_t>(column.declared()), column.name()};
}

void Collect(const LogicalNode& node, TableColumns* tables) {
  if (const auto* scan = std::get_if<ScanNode>(&node.op); scan != nullptr) {
    for (const proto::SourceColumn& column : scan->columns) {
      (*tables)[scan->table->table()].emplace(KeyOf(column), column);
    }
  }
  for (const LogicalNodePtr& input : node.inputs) {
    Collect(*input, tables);
  }
}

std::vector<uint32_t> Widen(LogicalNode* node, TableColumns* tables) {
  auto* scan = std::get_if<ScanNode>(&node->op);
  if (scan == nullptr) {
    return RemapInput(node, Widen(&node->input(), tables));
  }
  const auto& wanted = (*tables)[scan->table->table()];
  std::vector<uint32_t> mapping;
  mapping.reserve(scan->columns.size());
  for (const proto::SourceColumn& column : scan->columns) {
    mapping.push_back(
        static_cast<uint32_t>(std::distance(wanted.begin(), wanted.find(KeyOf(column)))));
  }
  scan->columns.clear();
  for (const auto& [key, column] : wanted) {
    scan->columns.push_back(column);
  }
  RefreshOutput(node);
  return mapping;
}

}  // namespace

void ShareScans(LogicalJob* job) {
  TableColumns tables;
  for (const LogicalInsert& insert : job->inserts) {
    Collect(*insert.query, &tables);
  }
  for (LogicalInsert& insert : job->inserts) {
    const std::vector<OutputColumn> before = insert.query->output;
    const std::vector<uint32_t> mapping = Widen(insert.query.get(), &tables);
    if (insert.query->output.size() == before.size()) {
      continue;
    }
    std::vector<proto::Expr> exprs;
    std::vector<std::string> names;
    for (size_t i = 0; i < before.size(); ++i) {
      exprs.push_back(MakeColumn(mapping[i], before[i].type, -1));
      names.push_back(before[i].name);
    }
    insert.query = MakeProject(std::move(insert.query), std::move(exprs), std::move(names));
  }
}

}  // namespace millrace::plan
