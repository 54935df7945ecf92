// Writes rows as JSON objects. Thread-compatible.
#ifndef MILLRACE_CONNECTORS_FORMATS_JSON_ENCODER_H_
#define MILLRACE_CONNECTORS_FORMATS_JSON_ENCODER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/columnar/column.h"
#include "connectors/format.h"

namespace millrace {

// REQUIRES: the sink was validated.
absl::StatusOr<std::unique_ptr<FormatEncoder>> NewJsonEncoder(const proto::Sink& sink);

// Appends a value, NULL as null.
void AppendJsonValue(const Column& column, size_t row, std::string* out);

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_FORMATS_JSON_ENCODER_H_
