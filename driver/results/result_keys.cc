#include "driver/results/result_keys.h"

#include <algorithm>
#include <optional>

namespace millrace::driver {
namespace {

const proto::Operator* FindOperator(const proto::Stage& stage, uint32_t id) {
  for (const proto::Operator& op : stage.operators()) {
    if (op.id() == id) {
      return &op;
    }
  }
  return nullptr;
}

// The only operator that writes to `sink`, with its stage; null if there are several.
const proto::Operator* OnlyWriter(const proto::JobPlan& plan, uint32_t sink,
                                  const proto::Stage** stage) {
  const proto::Operator* writer = nullptr;
  for (const proto::Stage& s : plan.stages()) {
    for (const proto::Operator& op : s.operators()) {
      if (op.has_sink_write() && op.sink_write().sink() == sink) {
        if (writer != nullptr) {
          return nullptr;
        }
        writer = &op;
        *stage = &s;
      }
    }
  }
  return writer;
}

// `from[i]` is the column of a projection's output that sink column i comes from; replaces it by
// the column of the projection's input.
void ThroughProjection(const proto::Project& project, std::vector<std::optional<uint32_t>>* from) {
  for (std::optional<uint32_t>& column : *from) {
    if (column.has_value()) {
      const proto::Expr& expr = project.exprs(static_cast<int>(*column));
      column = expr.has_column() ? std::optional<uint32_t>(expr.column()) : std::nullopt;
    }
  }
}

}  // namespace

std::vector<uint32_t> ChangeKeys(const proto::JobPlan& plan, uint32_t sink) {
  const proto::Sink& table = plan.sinks(static_cast<int>(sink));
  if (table.key_columns_size() > 0) {
    return {table.key_columns().begin(), table.key_columns().end()};
  }
  const proto::Stage* stage = nullptr;
  const proto::Operator* op = OnlyWriter(plan, sink, &stage);
  std::vector<std::optional<uint32_t>> from(static_cast<size_t>(table.columns_size()));
  for (uint32_t i = 0; i < from.size(); ++i) {
    from[i] = i;
  }
  while (op != nullptr && op->inputs_size() == 1) {
    op = FindOperator(*stage, op->inputs(0));
    if (op == nullptr || op->has_filter()) {
      continue;
    }
    if (op->has_project()) {
      ThroughProjection(op->project(), &from);
      continue;
    }
    if (!op->has_final_aggregate()) {
      return {};
    }
    std::vector<uint32_t> keys;
    for (uint32_t key = 0; key < op->final_aggregate().key_count(); ++key) {
      const auto found = std::find(from.begin(), from.end(), std::optional<uint32_t>(key));
      if (found == from.end()) {
        return {};
      }
      keys.push_back(static_cast<uint32_t>(found - from.begin()));
    }
    std::sort(keys.begin(), keys.end());
    return keys;
  }
  return {};
}

}  // namespace millrace::driver
