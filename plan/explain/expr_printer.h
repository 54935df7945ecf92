// Bound expressions as SQL text, for EXPLAIN and messages. Pure functions.
#ifndef MILLRACE_PLAN_EXPLAIN_EXPR_PRINTER_H_
#define MILLRACE_PLAN_EXPLAIN_EXPR_PRINTER_H_

#include <string>
#include <vector>

#include "proto/plan.pb.h"

namespace millrace::plan {

// `columns` are the names of the input's columns; a name that is missing shows as $n.
std::string ExprToSql(const proto::Expr& expr, const std::vector<std::string>& columns);

std::string AggregateToSql(const proto::AggregateCall& call,
                           const std::vector<std::string>& columns);

// An identifier, quoted where SQL needs it.
std::string QuoteIdentifier(const std::string& name);
// A string constant with its quotes.
std::string QuoteText(const std::string& text);

}  // namespace millrace::plan

#endif  // MILLRACE_PLAN_EXPLAIN_EXPR_PRINTER_H_
