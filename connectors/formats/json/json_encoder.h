// Writes rows as JSON objects. Thread-compatible.
#ifndef MILLRACE_CONNECTORS_FORMATS_JSON_JSON_ENCODER_H_
#define MILLRACE_CONNECTORS_FORMATS_JSON_JSON_ENCODER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "connectors/format.h"

namespace millrace {

// REQUIRES: the sink was validated.
absl::StatusOr<std::unique_ptr<FormatEncoder>> NewJsonEncoder(const proto::Sink& sink);

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_FORMATS_JSON_JSON_ENCODER_H_
