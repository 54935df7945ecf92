// Which operators of a plan have state that outlives a batch, under their stable names. Pure.
#ifndef MILLRACE_DRIVER_BATCH_STATE_IDENTITY_H_
#define MILLRACE_DRIVER_BATCH_STATE_IDENTITY_H_

#include <string>
#include <vector>

#include "proto/checkpoint.pb.h"
#include "proto/plan.pb.h"

namespace millrace {

// In plan order. Operators of two plans with the same name and shape have the same state: the same
// keys, and for each aggregate the same function over arguments of the same types.
std::vector<proto::StateIdentity> StateIdentitiesOf(const proto::JobPlan& plan);

// What of `kept` has no place in `plan`, in words, for people: "counts/aggregate-1 (its keys or
// aggregates are other ones)".
std::vector<std::string> StateWithoutPlace(
    const google::protobuf::RepeatedPtrField<proto::StateIdentity>& kept,
    const proto::JobPlan& plan);

}  // namespace millrace

#endif  // MILLRACE_DRIVER_BATCH_STATE_IDENTITY_H_
