// Reads JSON objects into columns. Thread-compatible.
#ifndef MILLRACE_CONNECTORS_FORMATS_JSON_JSON_DECODER_H_
#define MILLRACE_CONNECTORS_FORMATS_JSON_JSON_DECODER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "connectors/format.h"

namespace millrace {

// REQUIRES: the source was validated.
absl::StatusOr<std::unique_ptr<FormatDecoder>> NewJsonDecoder(const proto::Source& source);

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_FORMATS_JSON_JSON_DECODER_H_
