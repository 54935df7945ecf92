// The forms of SQL that are not plain function calls: AND, OR, CASE, COALESCE, IN, IS …. Internal
// to the evaluator.
#ifndef MILLRACE_COMMON_EXPR_SPECIAL_FORMS_H_
#define MILLRACE_COMMON_EXPR_SPECIAL_FORMS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "common/expr/expr_node.h"
#include "proto/plan.pb.h"

namespace millrace {

// INTERNAL when the form is unknown or has the wrong number of arguments.
absl::StatusOr<ExprNodePtr> MakeSpecialForm(proto::Expr::SpecialForm::Kind kind,
                                            const SqlType& type, std::vector<ExprNodePtr> args);

// `needle IN (value, …)`: args are the needle and at least one value, all of one type.
ExprNodePtr MakeInList(std::vector<ExprNodePtr> args);

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_SPECIAL_FORMS_H_
