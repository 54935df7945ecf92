#include "plan/logical/logical_plan.h"

#include <utility>

#include "plan/logical/expr_tree.h"

namespace millrace::plan {
namespace {

LogicalNodePtr NewNode(LogicalNodePtr input, int32_t position) {
  auto node = std::make_unique<LogicalNode>();
  node->position = position;
  if (input != nullptr) {
    node->retracts = input->retracts;
    node->inputs.push_back(std::move(input));
  }
  return node;
}

// Recomputes a node's output. Names of projected and grouped columns stay; their types may have to
// change.
struct OutputRefresher {
  LogicalNode* node;

  void operator()(const ScanNode& scan) const {
    node->output.clear();
    for (const proto::SourceColumn& column : scan.columns) {
      node->output.push_back({column.name(), TypeFromProto(column.type())});
    }
  }
  void operator()(const FilterNode&) const { node->output = node->input().output; }
  void operator()(const ProjectNode& project) const {
    for (size_t i = 0; i < project.exprs.size(); ++i) {
      node->output[i].type = TypeOf(project.exprs[i]);
    }
  }
  void operator()(const TableFunctionNode& function) const {
    node->output.clear();
    for (uint32_t kept : function.kept) {
      node->output.push_back(node->input().output[kept]);
    }
    node->output.insert(node->output.end(), function.columns.begin(), function.columns.end());
  }
  void operator()(const AggregateNode& aggregate) const {
    node->output.resize(aggregate.keys.size());
    for (size_t i = 0; i < aggregate.keys.size(); ++i) {
      node->output[i].type = TypeOf(aggregate.keys[i]);
    }
    for (const proto::AggregateCall& call : aggregate.aggregates) {
      node->output.push_back({call.function(), TypeFromProto(call.result())});
    }
  }
};

}  // namespace

LogicalNodePtr MakeScan(std::shared_ptr<const proto::Source> table,
                        std::vector<proto::SourceColumn> columns, int32_t position) {
  LogicalNodePtr node = NewNode(nullptr, position);
  node->op = ScanNode{.table = std::move(table), .columns = std::move(columns)};
  RefreshOutput(node.get());
  return node;
}

LogicalNodePtr MakeFilter(LogicalNodePtr input, proto::Expr predicate) {
  LogicalNodePtr node = NewNode(std::move(input), predicate.position());
  node->op = FilterNode{.predicate = std::move(predicate)};
  RefreshOutput(node.get());
  return node;
}

LogicalNodePtr MakeProject(LogicalNodePtr input, std::vector<proto::Expr> exprs,
                           std::vector<std::string> names) {
  LogicalNodePtr node = NewNode(std::move(input), exprs.empty() ? -1 : exprs.front().position());
  for (std::string& name : names) {
    node->output.push_back({.name = std::move(name), .type = SqlType()});
  }
  node->op = ProjectNode{.exprs = std::move(exprs)};
  RefreshOutput(node.get());
  return node;
}

LogicalNodePtr MakeTableFunction(LogicalNodePtr input, TableFunctionNode function,
                                 int32_t position) {
  LogicalNodePtr node = NewNode(std::move(input), position);
  node->op = std::move(function);
  RefreshOutput(node.get());
  return node;
}

LogicalNodePtr MakeAggregate(LogicalNodePtr input, AggregateNode aggregate,
                             std::vector<std::string> key_names, int32_t position) {
  LogicalNodePtr node = NewNode(std::move(input), position);
  // Keys without aggregates over an input that only inserts never disappear again.
  node->retracts =
      !aggregate.per_batch && (node->retracts || aggregate.global || !aggregate.aggregates.empty());
  for (std::string& name : key_names) {
    node->output.push_back({.name = std::move(name), .type = SqlType()});
  }
  node->op = std::move(aggregate);
  RefreshOutput(node.get());
  return node;
}

LogicalNodePtr Clone(const LogicalNode& node) {
  auto copy = std::make_unique<LogicalNode>();
  copy->op = node.op;
  copy->output = node.output;
  copy->retracts = node.retracts;
  copy->scope = node.scope;
  copy->position = node.position;
  for (const LogicalNodePtr& input : node.inputs) {
    copy->inputs.push_back(Clone(*input));
  }
  return copy;
}

void SetScope(LogicalNode* node, const std::string& name) {
  if (node->scope.empty()) {
    node->scope = name;
  }
  for (const LogicalNodePtr& input : node->inputs) {
    SetScope(input.get(), name);
  }
}

void RefreshOutput(LogicalNode* node) { std::visit(OutputRefresher{node}, node->op); }

ColumnOrigin TraceColumn(const LogicalNode& node, uint32_t column) {
  if (std::holds_alternative<FilterNode>(node.op)) {
    return TraceColumn(node.input(), column);
  }
  if (const auto* function = std::get_if<TableFunctionNode>(&node.op);
      function != nullptr && column < function->kept.size()) {
    return TraceColumn(node.input(), function->kept[column]);
  }
  if (const auto* project = std::get_if<ProjectNode>(&node.op);
      project != nullptr && project->exprs[column].node_case() == proto::Expr::kColumn) {
    return TraceColumn(node.input(), project->exprs[column].column());
  }
  return {.node = &node, .column = column};
}

bool IsBatchTimeColumn(const LogicalNode& node, uint32_t column) {
  const ColumnOrigin origin = TraceColumn(node, column);
  const auto* project = std::get_if<ProjectNode>(&origin.node->op);
  return project != nullptr &&
         IsForm(project->exprs[origin.column], proto::Expr::SpecialForm::BATCH_TIME);
}

}  // namespace millrace::plan
