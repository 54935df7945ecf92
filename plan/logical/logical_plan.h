// The logical plan: what a job computes, before it is cut into stages. SQL's binder builds it
// through the functions below, and so can any other front end. A tree per INSERT; nodes own their
// inputs. Thread-compatible.
#ifndef MILLRACE_PLAN_LOGICAL_LOGICAL_PLAN_H_
#define MILLRACE_PLAN_LOGICAL_LOGICAL_PLAN_H_

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "common/expr/aggregate_function.h"
#include "common/types/sql_type.h"
#include "proto/plan.pb.h"

namespace millrace::plan {

struct OutputColumn {
  std::string name;
  SqlType type;
};

// Reads columns of a source table.
struct ScanNode {
  // Its `columns` are empty: the physical planner knows which are needed.
  std::shared_ptr<const proto::Source> table;
  std::vector<proto::SourceColumn> columns;  // the columns of the output
};

struct FilterNode {
  proto::Expr predicate;
};

struct ProjectNode {
  std::vector<proto::Expr> exprs;
};

// Output: the input columns `kept`, the function's columns, the ordinality.
struct TableFunctionNode {
  std::string function;
  std::vector<proto::Expr> args;
  std::vector<uint32_t> kept;
  std::vector<OutputColumn> columns;
  bool with_ordinality = false;
  bool left = false;
};

// Output: keys, then aggregates.
struct AggregateNode {
  std::vector<proto::Expr> keys;
  std::vector<proto::AggregateCall> aggregates;
  std::vector<const AggregateFunction*> functions;  // of `aggregates`; owned by the registry
  bool per_batch = false;
  bool global = false;
};

struct LogicalNode;
using LogicalNodePtr = std::unique_ptr<LogicalNode>;

struct LogicalNode {
  std::variant<ScanNode, FilterNode, ProjectNode, TableFunctionNode, AggregateNode> op;
  std::vector<LogicalNodePtr> inputs;  // none for a scan, else one today
  std::vector<OutputColumn> output;
  bool retracts = false;  // the output may take back rows it gave earlier
  std::string scope;  // the view it came from, part of its state's name; empty = the INSERT itself
  int32_t position = -1;  // in the script, for errors

  LogicalNode& input() { return *inputs.front(); }
  const LogicalNode& input() const { return *inputs.front(); }
};

// Each of these computes `output` and `retracts` from its arguments.
LogicalNodePtr MakeScan(std::shared_ptr<const proto::Source> table,
                        std::vector<proto::SourceColumn> columns, int32_t position);
LogicalNodePtr MakeFilter(LogicalNodePtr input, proto::Expr predicate);
LogicalNodePtr MakeProject(LogicalNodePtr input, std::vector<proto::Expr> exprs,
                           std::vector<std::string> names);
LogicalNodePtr MakeTableFunction(LogicalNodePtr input, TableFunctionNode function,
                                 int32_t position);
// `key_names` are the names of the key columns.
LogicalNodePtr MakeAggregate(LogicalNodePtr input, AggregateNode aggregate,
                             std::vector<std::string> key_names, int32_t position);

// A deep copy, for a view that is used more than once.
LogicalNodePtr Clone(const LogicalNode& node);
// Marks all nodes without a scope as belonging to view `name`.
void SetScope(LogicalNode* node, const std::string& name);
// Recomputes `output` after a rewrite of the node or of its input.
void RefreshOutput(LogicalNode* node);

// Follows output column `column` through projections and filters to the node that computes it.
// Returns that node and its output column.
struct ColumnOrigin {
  const LogicalNode* node = nullptr;
  uint32_t column = 0;
};
ColumnOrigin TraceColumn(const LogicalNode& node, uint32_t column);
// Whether output column `column` is the time of the batch itself.
bool IsBatchTimeColumn(const LogicalNode& node, uint32_t column);

// One INSERT: a query, and the sink of its rows.
struct LogicalInsert {
  LogicalNodePtr query;  // one output column per sink column, of its type
  proto::Sink sink;      // the physical planner sets its mode and keyed
  // Name of the statement, unique within the job: the sink's, with a number if need be.
  std::string name;
  bool accepts_changes = false;
  int32_t position = -1;
};

struct LogicalJob {
  std::vector<LogicalInsert> inserts;
};

}  // namespace millrace::plan

#endif  // MILLRACE_PLAN_LOGICAL_LOGICAL_PLAN_H_
