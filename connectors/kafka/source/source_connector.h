// Kafka topics as tables to read.
#ifndef MILLRACE_CONNECTORS_KAFKA_SOURCE_SOURCE_CONNECTOR_H_
#define MILLRACE_CONNECTORS_KAFKA_SOURCE_SOURCE_CONNECTOR_H_

#include <memory>

#include "connectors/registry.h"

namespace millrace::kafka {

// `formats`: where formats are looked up; must outlive the connector and what it creates.
std::unique_ptr<SourceConnector> NewKafkaSourceConnector(const ConnectorRegistry* formats);

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_SOURCE_SOURCE_CONNECTOR_H_
