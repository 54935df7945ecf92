// Format raw: the record's value is one column, unchanged. With a key column (the PRIMARY KEY, or a
// second column called "key"), the record's key is another. Columns are text (checked to be UTF-8)
// or bytea; decoding copies nothing.
#ifndef MILLRACE_CONNECTORS_FORMATS_RAW_RAW_FORMAT_H_
#define MILLRACE_CONNECTORS_FORMATS_RAW_RAW_FORMAT_H_

#include <memory>

#include "connectors/format.h"

namespace millrace {

std::unique_ptr<Format> NewRawFormat();

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_FORMATS_RAW_RAW_FORMAT_H_
