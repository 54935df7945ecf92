// The table that a source's on_error = 'table:NAME' names: the columns that it may have, by name.
// Each of its rows is a record that could not be decoded, or for which an expression failed. Pure
// functions.
#ifndef MILLRACE_CONNECTORS_ERROR_TABLE_H_
#define MILLRACE_CONNECTORS_ERROR_TABLE_H_

#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "proto/plan.pb.h"

namespace millrace {

enum class ErrorColumn {
  kError,      // text: why, as the job would say it under on_error = 'fail'
  kTopic,      // text
  kPartition,  // integer
  kOffset,     // bigint
  kTimestamp,  // timestamptz: the record's own
  kKey,        // bytea, or text: bytes that are no UTF-8 in hexadecimal
  kValue,      // as key
};

std::optional<ErrorColumn> FindErrorColumn(std::string_view name);

// OK if every column of the table is one of these and of its type, and the table only takes
// inserts. Otherwise INVALID_ARGUMENT, which lists what is allowed.
absl::Status CheckErrorTable(const proto::Sink& table);

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_ERROR_TABLE_H_
