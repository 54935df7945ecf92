// The built-in connectors and formats, as an explicit list: a new one is a line in all.cc.
#ifndef MILLRACE_CONNECTORS_ALL_H_
#define MILLRACE_CONNECTORS_ALL_H_

#include <memory>

#include "connectors/registry.h"

namespace millrace {

// Each call returns an independent registry, which must outlive what its connectors create.
// `access`: what scripts may reach through them.
std::unique_ptr<ConnectorRegistry> BuiltInConnectors(AccessPolicy access = AccessPolicy());

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_ALL_H_
