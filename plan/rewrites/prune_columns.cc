#include <numeric>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "plan/logical/expr_tree.h"
#include "plan/rewrites/rewrites.h"

namespace millrace::plan {
namespace {

// Old column -> new column; dropped ones map to 0 and are never read.
using Mapping = std::vector<uint32_t>;

// Keeps the items that `wanted` marks, and returns the new place of each.
template <typename T>
Mapping Keep(const std::vector<bool>& wanted, std::vector<T>* items) {
  Mapping mapping(items->size(), 0);
  uint32_t next = 0;
  for (size_t i = 0; i < items->size(); ++i) {
    if (!wanted[i]) {
      continue;
    }
    mapping[i] = next;
    if (next != i) {
      (*items)[next] = std::move((*items)[i]);
    }
    ++next;
  }
  items->resize(next);
  return mapping;
}

void RemapAll(std::vector<proto::Expr>* exprs, const Mapping& mapping) {
  for (proto::Expr& expr : *exprs) {
    RemapColumns(&expr, mapping);
  }
}

Mapping Prune(LogicalNode* node, std::vector<bool> wanted);

// Prunes the input to `read` and passes the new numbers on.
Mapping PruneInput(LogicalNode* node, std::vector<bool> read) {
  return RemapInput(node, Prune(&node->input(), std::move(read)));
}

struct Pruner {
  LogicalNode* node;
  std::vector<bool> wanted;  // by output column

  Mapping operator()(ScanNode& scan) {
    Mapping mapping = Keep(wanted, &scan.columns);
    RefreshOutput(node);
    return mapping;
  }

  Mapping operator()(FilterNode& filter) {
    MarkColumns(filter.predicate, &wanted);
    return PruneInput(node, std::move(wanted));
  }

  Mapping operator()(ProjectNode& project) {
    Mapping mapping = Keep(wanted, &project.exprs);
    Keep(wanted, &node->output);
    std::vector<bool> read(node->input().output.size(), false);
    for (const proto::Expr& expr : project.exprs) {
      MarkColumns(expr, &read);
    }
    PruneInput(node, std::move(read));
    return mapping;
  }

  Mapping operator()(TableFunctionNode& function) {
    const size_t kept_before = function.kept.size();
    const size_t columns = node->output.size();
    const Mapping kept = Keep(wanted, &function.kept);
    Mapping mapping(columns, 0);
    for (size_t i = 0; i < columns; ++i) {
      mapping[i] =
          i < kept_before ? kept[i] : static_cast<uint32_t>(function.kept.size() + i - kept_before);
    }
    std::vector<bool> read(node->input().output.size(), false);
    for (uint32_t column : function.kept) {
      read[column] = true;
    }
    for (const proto::Expr& arg : function.args) {
      MarkColumns(arg, &read);
    }
    PruneInput(node, std::move(read));
    return mapping;
  }

  Mapping operator()(AggregateNode& aggregate) {
    const size_t keys = aggregate.keys.size();
    const std::vector<bool> wanted_aggregates(wanted.begin() + static_cast<std::ptrdiff_t>(keys),
                                              wanted.end());
    const Mapping kept = Keep(wanted_aggregates, &aggregate.aggregates);
    Keep(wanted_aggregates, &aggregate.functions);
    Mapping mapping(keys + kept.size(), 0);
    std::iota(mapping.begin(), mapping.begin() + static_cast<std::ptrdiff_t>(keys), 0);
    for (size_t i = 0; i < kept.size(); ++i) {
      mapping[keys + i] = static_cast<uint32_t>(keys + kept[i]);
    }
    std::vector<bool> read(node->input().output.size(), false);
    for (const proto::Expr& key : aggregate.keys) {
      MarkColumns(key, &read);
    }
    for (const proto::AggregateCall& call : aggregate.aggregates) {
      for (const proto::Expr& arg : call.args()) {
        MarkColumns(arg, &read);
      }
      if (call.has_filter()) {
        MarkColumns(call.filter(), &read);
      }
    }
    PruneInput(node, std::move(read));
    return mapping;
  }
};

Mapping Prune(LogicalNode* node, std::vector<bool> wanted) {
  return std::visit(Pruner{node, std::move(wanted)}, node->op);
}

// Rewrites the expressions that read the input; returns how the node's own output columns moved
// because of that.
struct InputRemapper {
  LogicalNode* node;
  const Mapping& mapping;

  Mapping Unchanged() const {
    Mapping same(node->output.size());
    std::iota(same.begin(), same.end(), 0);
    return same;
  }
  Mapping operator()(ScanNode&) const { return Unchanged(); }
  Mapping operator()(FilterNode& filter) const {
    RemapColumns(&filter.predicate, mapping);
    return mapping;
  }
  Mapping operator()(ProjectNode& project) const {
    RemapAll(&project.exprs, mapping);
    return Unchanged();
  }
  Mapping operator()(TableFunctionNode& function) const {
    RemapAll(&function.args, mapping);
    for (uint32_t& column : function.kept) {
      column = mapping[column];
    }
    return Unchanged();
  }
  Mapping operator()(AggregateNode& aggregate) const {
    RemapAll(&aggregate.keys, mapping);
    for (proto::AggregateCall& call : aggregate.aggregates) {
      for (proto::Expr& arg : *call.mutable_args()) {
        RemapColumns(&arg, mapping);
      }
      if (call.has_filter()) {
        RemapColumns(call.mutable_filter(), mapping);
      }
    }
    return Unchanged();
  }
};

}  // namespace

std::vector<uint32_t> RemapInput(LogicalNode* node, const std::vector<uint32_t>& mapping) {
  std::vector<uint32_t> own = std::visit(InputRemapper{node, mapping}, node->op);
  RefreshOutput(node);
  return own;
}

void PruneColumns(LogicalNode* root) { Prune(root, std::vector<bool>(root->output.size(), true)); }

absl::Status OptimizePlan(LogicalNodePtr* root, const FunctionRegistry& functions) {
  RETURN_IF_ERROR(FoldConstants(root->get(), functions));
  *root = PushDownFilters(std::move(*root), functions);
  *root = MergeProjects(std::move(*root), functions);
  // Merging projections has substituted constants of inner queries into the expressions that use
  // them, which can now be folded.
  RETURN_IF_ERROR(FoldConstants(root->get(), functions));
  PruneColumns(root->get());
  return absl::OkStatus();
}

}  // namespace millrace::plan
