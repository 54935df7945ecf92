// Connector memory: named tables of this process (memory_tables.h) as sources and sinks. Options:
// table (default: the SQL table's own name); for sources also partitions, and bounded (nothing more
// is appended). Executors in other processes have tables of their own.
#ifndef MILLRACE_CONNECTORS_MEMORY_MEMORY_H_
#define MILLRACE_CONNECTORS_MEMORY_MEMORY_H_

#include <memory>

#include "connectors/sink.h"
#include "connectors/source.h"

namespace millrace::memory {

std::unique_ptr<SourceConnector> NewMemorySourceConnector();
std::unique_ptr<SinkConnector> NewMemorySinkConnector();

}  // namespace millrace::memory

#endif  // MILLRACE_CONNECTORS_MEMORY_MEMORY_H_
