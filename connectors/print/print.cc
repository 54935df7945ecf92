#include "connectors/print/print.h"

#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "connectors/options.h"

namespace millrace {
namespace {

class PrintSinkConnector : public SinkConnector {
 public:
  absl::Status Validate(const proto::Sink& sink) const override {
    RETURN_IF_ERROR(CheckOptionNames(sink.options(), "print", {}));
    return CheckSinkMode(sink, "print", accepts_upsert(), accepts_changes());
  }
  absl::Status Probe(const proto::Sink&, absl::Duration) const override { return absl::OkStatus(); }
  std::vector<std::pair<std::string, SqlType>> MetadataColumns() const override { return {}; }
  bool accepts_changes() const override { return true; }
  bool accepts_upsert() const override { return true; }
  bool gathered() const override { return true; }

  absl::StatusOr<std::unique_ptr<SinkWriter>> CreateWriter(const proto::Sink&,
                                                           const SinkContext&) const override {
    return absl::InternalError("connector print has no writer: its rows go to the driver");
  }
};

}  // namespace

std::unique_ptr<SinkConnector> NewPrintSinkConnector() {
  return std::make_unique<PrintSinkConnector>();
}

}  // namespace millrace
