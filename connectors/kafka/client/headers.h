// A record's headers, an ordered list of names and nullable bytes, as the jsonb of the column
// _headers:
//
//   [{"key": "trace", "value": "é1"},
//    {"key": "trace", "value": null},
//    {"key": "b", "bytes": "\\xff"}]
//
// A value that is valid text is under "value"; other bytes are under "bytes", in the text form of
// bytea. A name may occur more than once, and the order is kept, so that headers that are read and
// written again stay the same. Pure functions.
#ifndef MILLRACE_CONNECTORS_KAFKA_CLIENT_HEADERS_H_
#define MILLRACE_CONNECTORS_KAFKA_CLIENT_HEADERS_H_

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace millrace::kafka {

using KafkaHeaders = std::vector<std::pair<std::string, std::optional<std::string>>>;

// Appends the canonical jsonb of one header to the array in `out`. INVALID_ARGUMENT for a name that
// is not UTF-8, which JSON cannot hold.
absl::Status AppendKafkaHeader(std::string_view name, std::optional<std::string_view> value,
                               std::string* out);

// Parses headers from canonical jsonb: the list above or, as people write it by hand, an object of
// names and values ({"name": "text", "other": 7, "none": null}), where a value that is no string is
// written unchanged. INVALID_ARGUMENT says what is expected.
absl::StatusOr<KafkaHeaders> ParseKafkaHeaders(std::string_view jsonb);

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_CLIENT_HEADERS_H_
