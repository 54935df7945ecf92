// Connector print: rows for a person. The driver gathers them and shows them when their batch is
// committed; the connector only declares that, and has no writer.
#ifndef MILLRACE_CONNECTORS_PRINT_PRINT_H_
#define MILLRACE_CONNECTORS_PRINT_PRINT_H_

#include <memory>

#include "connectors/sink.h"

namespace millrace::print {

std::unique_ptr<SinkConnector> NewPrintSinkConnector();

}  // namespace millrace::print

#endif  // MILLRACE_CONNECTORS_PRINT_PRINT_H_
