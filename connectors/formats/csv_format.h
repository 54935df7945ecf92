// Format csv: one RFC 4180 record per payload, columns by position. An unquoted field equal to
// `null_string` (empty by default, as in PostgreSQL) is NULL. Other values are read and written in
// PostgreSQL's text forms.
#ifndef MILLRACE_CONNECTORS_FORMATS_CSV_FORMAT_H_
#define MILLRACE_CONNECTORS_FORMATS_CSV_FORMAT_H_

#include <memory>

#include "connectors/format.h"

namespace millrace {

std::unique_ptr<Format> NewCsvFormat();

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_FORMATS_CSV_FORMAT_H_
