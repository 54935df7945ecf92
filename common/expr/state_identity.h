// The name and shape of an operator's state: the same definition for executors that write and
// restore it, for the driver that compares a plan with a snapshot, and for readers of the columns
// of snapshot entries. Pure functions of the plan; safe from any thread.
#ifndef MILLRACE_COMMON_EXPR_STATE_IDENTITY_H_
#define MILLRACE_COMMON_EXPR_STATE_IDENTITY_H_

#include <vector>

#include "common/expr/function_registry.h"
#include "proto/checkpoint.pb.h"
#include "proto/plan.pb.h"

namespace millrace {

// Whether the operator has state that outlives a batch.
bool HasState(const proto::Operator& op);

// The identity of its state: its name, and its keys and aggregates with the types of their columns
// in words. Equal shapes hold the same kind of state; how an aggregate's argument is computed is
// not part of it. A function that the registry lacks is listed as unknown. REQUIRES: HasState(op).
proto::StateIdentity StateIdentityOf(const proto::Operator& op, const FunctionRegistry& registry);

// Those of all operators with state, in order of the plan.
std::vector<proto::StateIdentity> StateIdentitiesOf(const proto::JobPlan& plan,
                                                    const FunctionRegistry& registry);

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_STATE_IDENTITY_H_
