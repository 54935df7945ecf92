#include "connectors/print/print.h"

#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "connectors/shared/options.h"

namespace millrace::print {
namespace {

class PrintSinkConnector : public SinkConnector {
 public:
  absl::Status Validate(const proto::Sink& sink) const override {
    RETURN_IF_ERROR(CheckOptionNames(sink.options(), "print", {}));
    return CheckSinkMode(sink, "print", traits());
  }
  SinkTraits traits() const override {
    return {.accepts_changes = true, .accepts_upsert = true, .gathered = true};
  }
  absl::Status Probe(const proto::Sink&, absl::Duration) const override { return absl::OkStatus(); }
  std::vector<std::pair<std::string, SqlType>> MetadataColumns() const override { return {}; }

  absl::StatusOr<std::unique_ptr<SinkSession>> Open(const std::vector<SinkTable>&,
                                                    const SinkContext&) const override {
    return absl::InternalError("connector print has no sessions: its rows go to the driver");
  }
};

}  // namespace

std::unique_ptr<SinkConnector> NewPrintSinkConnector() {
  return std::make_unique<PrintSinkConnector>();
}

}  // namespace millrace::print
