#include "connectors/all.h"

#include <utility>

#include "connectors/blackhole/blackhole.h"
#include "connectors/file/sink/file_sink.h"
#include "connectors/file/source/file_source.h"
#include "connectors/formats/csv/csv_format.h"
#include "connectors/formats/json/json_format.h"
#include "connectors/formats/raw/raw_format.h"
#include "connectors/generator/generator.h"
#include "connectors/kafka/sink/sink_connector.h"
#include "connectors/kafka/source/source_connector.h"
#include "connectors/memory/memory.h"
#include "connectors/print/print.h"

namespace millrace {

std::unique_ptr<ConnectorRegistry> BuiltInConnectors(AccessPolicy access) {
  auto registry = std::make_unique<ConnectorRegistry>(std::move(access));
  registry->AddFormat(NewRawFormat());
  registry->AddFormat(NewJsonFormat());
  registry->AddFormat(NewCsvFormat());

  registry->AddSource("generator", generator::NewGeneratorSourceConnector());
  registry->AddSource("memory", memory::NewMemorySourceConnector());
  registry->AddSink("blackhole", blackhole::NewBlackholeSinkConnector());
  registry->AddSink("memory", memory::NewMemorySinkConnector());
  registry->AddSink("print", print::NewPrintSinkConnector());

  // Connectors that carry bytes look up formats in the registry that they are in.
  registry->AddSource("file", file::NewFileSourceConnector(registry.get()));
  registry->AddSink("file", file::NewFileSinkConnector(registry.get()));
  registry->AddSource("kafka", kafka::NewKafkaSourceConnector(registry.get()));
  registry->AddSink("kafka", kafka::NewKafkaSinkConnector(registry.get()));
  return registry;
}

}  // namespace millrace
