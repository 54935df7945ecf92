// Finds the columns of a print table that tell which row has changed. Pure functions.
#ifndef MILLRACE_DRIVER_RESULTS_RESULT_KEYS_H_
#define MILLRACE_DRIVER_RESULTS_RESULT_KEYS_H_

#include <cstdint>
#include <vector>

#include "proto/plan.pb.h"

namespace millrace::driver {

// The columns of sink `sink` that identify a row among its changes. They are the table's PRIMARY
// KEY; without one, the columns with the keys of the aggregation in front of the sink, if all keys
// are there and only filters and projections lie between. Empty if neither applies.
std::vector<uint32_t> ChangeKeys(const proto::JobPlan& plan, uint32_t sink);

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_RESULTS_RESULT_KEYS_H_
