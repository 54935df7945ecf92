#include "connectors/all.h"

#include "connectors/formats/csv_format.h"
#include "connectors/formats/json_format.h"
#include "connectors/formats/raw_format.h"
#include "connectors/kafka/sink_connector.h"
#include "connectors/kafka/source_connector.h"

namespace millrace {

std::unique_ptr<ConnectorRegistry> BuiltInConnectors() {
  auto registry = std::make_unique<ConnectorRegistry>();
  registry->AddFormat(NewRawFormat());
  registry->AddFormat(NewJsonFormat());
  registry->AddFormat(NewCsvFormat());

  // Connectors that carry bytes look formats up in the registry they live in.
  registry->AddSource("kafka", NewKafkaSourceConnector(registry.get()));
  registry->AddSink("kafka", NewKafkaSinkConnector(registry.get()));
  return registry;
}

}  // namespace millrace
