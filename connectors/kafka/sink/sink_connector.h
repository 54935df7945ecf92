// Kafka topics as tables to write: appended records, or with a PRIMARY KEY the last record per key
// and a tombstone for a deleted one. An INSERT may name _key, _headers and _partition as well.
#ifndef MILLRACE_CONNECTORS_KAFKA_SINK_SINK_CONNECTOR_H_
#define MILLRACE_CONNECTORS_KAFKA_SINK_SINK_CONNECTOR_H_

#include <memory>

#include "connectors/registry.h"

namespace millrace::kafka {

// `formats`: where formats are looked up; must outlive the connector and what it creates.
std::unique_ptr<SinkConnector> NewKafkaSinkConnector(const ConnectorRegistry* formats);

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_SINK_SINK_CONNECTOR_H_
