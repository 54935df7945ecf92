// Format csv: one RFC 4180 record per payload, columns by position. An unquoted field equal to
// `null_string` (empty by default, as in PostgreSQL) is NULL. Other values are read and written in
// PostgreSQL's text forms.
#ifndef MILLRACE_CONNECTORS_FORMATS_CSV_CSV_FORMAT_H_
#define MILLRACE_CONNECTORS_FORMATS_CSV_CSV_FORMAT_H_

#include <memory>

#include "absl/status/statusor.h"
#include "connectors/format.h"
#include "connectors/shared/options.h"

namespace millrace {

std::unique_ptr<Format> NewCsvFormat();

// The delimiter that a table's options say; INVALID_ARGUMENT if it is none.
absl::StatusOr<char> CsvDelimiter(const OptionMap& options);

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_FORMATS_CSV_CSV_FORMAT_H_
