// Connector blackhole: a sink that counts rows and drops them.
#ifndef MILLRACE_CONNECTORS_BLACKHOLE_BLACKHOLE_H_
#define MILLRACE_CONNECTORS_BLACKHOLE_BLACKHOLE_H_

#include <cstdint>
#include <memory>

#include "connectors/sink.h"

namespace millrace::blackhole {

std::unique_ptr<SinkConnector> NewBlackholeSinkConnector();

// Rows that all blackholes of this process have committed.
int64_t BlackholeRows();

}  // namespace millrace::blackhole

#endif  // MILLRACE_CONNECTORS_BLACKHOLE_BLACKHOLE_H_
