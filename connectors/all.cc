#include "connectors/all.h"

namespace millrace {

std::unique_ptr<ConnectorRegistry> BuiltInConnectors() {
  return std::make_unique<ConnectorRegistry>();
}

}  // namespace millrace
