#include "sql/bind/query/grouping.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "plan/logical/expr_tree.h"
#include "plan/logical/sql_error.h"

namespace millrace::sql {
namespace {

using Form = proto::Expr::SpecialForm;

bool IsBatchTime(const proto::Expr& expr, const plan::LogicalNode& input) {
  return plan::IsForm(expr, Form::BATCH_TIME) || (expr.node_case() == proto::Expr::kColumn &&
                                                  plan::IsBatchTimeColumn(input, expr.column()));
}

const proto::Expr* FindAggregate(const proto::Expr& expr) {
  const proto::Expr* found = nullptr;
  plan::AnyExpr(expr, [&found](const proto::Expr& e) {
    if (e.node_case() == proto::Expr::kColumn && e.column() >= AggregateCollector::kFirstColumn) {
      found = &e;
    }
    return found != nullptr;
  });
  return found;
}

bool Contains(const std::vector<proto::Expr>& exprs, const proto::Expr& expr) {
  return std::any_of(exprs.begin(), exprs.end(),
                     [&expr](const proto::Expr& e) { return plan::SameExpr(e, expr); });
}

}  // namespace

absl::StatusOr<proto::Expr> Grouping::BindKey(const pg_query::Node& item,
                                              const std::vector<proto::Expr>& targets,
                                              const std::vector<std::string>& names) const {
  if (item.has_grouping_set()) {
    return Unsupported(ConstructName(item), item.grouping_set().location());
  }
  if (item.has_a_const()) {
    const int32_t position = item.a_const().location();
    if (!item.a_const().has_ival()) {
      return plan::ErrorAt(position, "non-integer constant in GROUP BY");
    }
    const int32_t ordinal = item.a_const().ival().ival();
    if (ordinal < 1 || static_cast<size_t>(ordinal) > targets.size()) {
      return plan::ErrorAt(
          position, absl::StrCat("GROUP BY position ", ordinal, " is not in the SELECT list"));
    }
    return targets[static_cast<size_t>(ordinal) - 1];
  }
  // A single name means a column of FROM first, then a name of the SELECT list.
  const std::vector<std::string> parts =
      item.has_column_ref() ? StringsOf(item.column_ref().fields()) : std::vector<std::string>();
  if (parts.size() == 1 && item.column_ref().fields_size() == 1) {
    ASSIGN_OR_RETURN(const std::optional<ScopeColumn> column,
                     scope_.FindUnqualified(parts[0], item.column_ref().location()));
    const auto alias = std::find(names.begin(), names.end(), parts[0]);
    if (!column.has_value() && alias != names.end()) {
      return targets[static_cast<size_t>(std::distance(names.begin(), alias))];
    }
  }
  return ExprBinder(builder_, scope_, "GROUP BY", nullptr).Bind(item);
}

absl::Status Grouping::AddKeys(const PgNodes& items, const std::vector<proto::Expr>& targets,
                               const std::vector<std::string>& names) {
  for (const pg_query::Node& item : items) {
    ASSIGN_OR_RETURN(proto::Expr key, BindKey(item, targets, names));
    if (const proto::Expr* aggregate = FindAggregate(key); aggregate != nullptr) {
      return plan::ErrorAt(aggregate->position(),
                           "aggregate functions are not allowed in GROUP BY");
    }
    ASSIGN_OR_RETURN(key, builder_.ResolveUnknown(std::move(key)));
    if (!Contains(keys_, key)) {
      keys_.push_back(std::move(key));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<plan::LogicalNodePtr> Grouping::Apply(plan::LogicalNodePtr input,
                                                     AggregateCollector collector,
                                                     std::optional<proto::Expr> having,
                                                     std::vector<proto::Expr>* targets,
                                                     int32_t position) {
  const bool grouped = !keys_.empty();
  const auto time_keys =
      std::stable_partition(keys_.begin(), keys_.end(),
                            [&input](const proto::Expr& key) { return !IsBatchTime(key, *input); });
  batch_times_.assign(std::make_move_iterator(time_keys), std::make_move_iterator(keys_.end()));
  keys_.erase(time_keys, keys_.end());

  std::vector<std::string> key_names;
  key_names.reserve(keys_.size());
  for (const proto::Expr& key : keys_) {
    key_names.push_back(key.node_case() == proto::Expr::kColumn
                            ? scope_.At(key.column()).name
                            : absl::StrCat("key", key_names.size() + 1));
  }
  plan::LogicalNodePtr node =
      plan::MakeAggregate(std::move(input),
                          plan::AggregateNode{.keys = keys_,
                                              .aggregates = std::move(collector.calls),
                                              .functions = std::move(collector.functions),
                                              .per_batch = !batch_times_.empty(),
                                              .global = !grouped},
                          std::move(key_names), position);
  for (proto::Expr& target : *targets) {
    ASSIGN_OR_RETURN(target, Rewrite(target));
  }
  if (!having.has_value()) {
    return node;
  }
  ASSIGN_OR_RETURN(proto::Expr predicate, Rewrite(*having));
  return plan::MakeFilter(std::move(node), std::move(predicate));
}

absl::StatusOr<proto::Expr> Grouping::Rewrite(const proto::Expr& expr) const {
  for (size_t i = 0; i < keys_.size(); ++i) {
    if (plan::SameExpr(keys_[i], expr)) {
      return plan::MakeColumn(static_cast<uint32_t>(i), plan::TypeOf(expr), expr.position());
    }
  }
  if (Contains(batch_times_, expr)) {
    return MakeBatchTime(expr.position());
  }
  if (expr.node_case() == proto::Expr::kColumn) {
    if (expr.column() >= AggregateCollector::kFirstColumn) {
      const uint32_t index = expr.column() - AggregateCollector::kFirstColumn;
      return plan::MakeColumn(static_cast<uint32_t>(keys_.size()) + index, plan::TypeOf(expr),
                              expr.position());
    }
    const ScopeColumn& column = scope_.At(expr.column());
    return plan::ErrorAt(
        expr.position(),
        absl::StrCat("column \"", column.table, ".", column.name,
                     "\" must appear in the GROUP BY clause or be used in an aggregate "
                     "function"));
  }
  proto::Expr rewritten = expr;
  if (plan::ExprList* args = plan::MutableArgsOf(&rewritten); args != nullptr) {
    for (proto::Expr& arg : *args) {
      ASSIGN_OR_RETURN(arg, Rewrite(proto::Expr(arg)));
    }
  }
  return rewritten;
}

plan::LogicalNodePtr MakeDistinct(plan::LogicalNodePtr query, int32_t position) {
  plan::AggregateNode aggregate;
  std::vector<std::string> key_names;
  std::vector<proto::Expr> exprs;
  std::vector<std::string> names;
  for (uint32_t i = 0; i < query->output.size(); ++i) {
    const plan::OutputColumn& column = query->output[i];
    names.push_back(column.name);
    if (plan::IsBatchTimeColumn(*query, i)) {
      aggregate.per_batch = true;
      exprs.push_back(MakeBatchTime(position));
      continue;
    }
    exprs.push_back(
        plan::MakeColumn(static_cast<uint32_t>(aggregate.keys.size()), column.type, position));
    aggregate.keys.push_back(plan::MakeColumn(i, column.type, position));
    key_names.push_back(column.name);
  }
  plan::LogicalNodePtr node =
      plan::MakeAggregate(std::move(query), std::move(aggregate), std::move(key_names), position);
  return plan::MakeProject(std::move(node), std::move(exprs), std::move(names));
}

}  // namespace millrace::sql
