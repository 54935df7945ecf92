// Connectors and formats by name. Filled once by an explicit list (connectors/all.h), then
// read-only and thread-safe.
#ifndef MILLRACE_CONNECTORS_REGISTRY_H_
#define MILLRACE_CONNECTORS_REGISTRY_H_

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "connectors/access_policy.h"
#include "connectors/format.h"
#include "connectors/sink.h"
#include "connectors/source.h"
#include "proto/plan.pb.h"

namespace millrace {

class ConnectorRegistry {
 public:
  // `access`: what scripts may reach through these connectors.
  explicit ConnectorRegistry(AccessPolicy access = AccessPolicy()) : access_(std::move(access)) {}

  const AccessPolicy& access() const { return access_; }

  void AddSource(std::string name, std::unique_ptr<SourceConnector> connector);
  void AddSink(std::string name, std::unique_ptr<SinkConnector> connector);
  void AddFormat(std::unique_ptr<Format> format);

  // NOT_FOUND lists the names there are.
  absl::StatusOr<const SourceConnector*> Source(std::string_view name) const;
  absl::StatusOr<const SinkConnector*> Sink(std::string_view name) const;
  absl::StatusOr<const Format*> FindFormat(std::string_view name) const;

  // Whether rows of some sink of the plan go to a person (SinkTraits::gathered). A sink without a
  // connector here has none that do.
  bool ShowsRows(const proto::JobPlan& plan) const;

 private:
  const AccessPolicy access_;
  std::map<std::string, std::unique_ptr<SourceConnector>, std::less<>> sources_;
  std::map<std::string, std::unique_ptr<SinkConnector>, std::less<>> sinks_;
  std::map<std::string, std::unique_ptr<Format>, std::less<>> formats_;
};

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_REGISTRY_H_
