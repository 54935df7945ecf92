// Connector memory: named tables of this process (memory_tables.h) as sources and sinks. Options:
// table (else the SQL table's own name), and for sources partitions and bounded (nothing is
// appended any more). Executors in other processes see tables of their own.
#ifndef MILLRACE_CONNECTORS_MEMORY_MEMORY_H_
#define MILLRACE_CONNECTORS_MEMORY_MEMORY_H_

#include <memory>

#include "connectors/sink.h"
#include "connectors/source.h"

namespace millrace {

std::unique_ptr<SourceConnector> NewMemorySourceConnector();
std::unique_ptr<SinkConnector> NewMemorySinkConnector();

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_MEMORY_MEMORY_H_
