// A format's decoder over any bytes.
#ifndef MILLRACE_TESTS_FUZZ_FORMAT_TARGET_H_
#define MILLRACE_TESTS_FUZZ_FORMAT_TARGET_H_

#include <string_view>

#include "connectors/format.h"
#include "proto/plan.pb.h"

namespace millrace {

// A table with a column of every type that formats read, named after it.
proto::Source TableOfAllTypes(const std::string& format);

// Decodes the bytes as one record, between two good ones, which have to come out as they are
// whatever stands between them. `good`: a record that every column of the table can be read from.
void DecodeBetween(const Format& format, const proto::Source& table, std::string_view good,
                   std::string_view bytes);

}  // namespace millrace

#endif  // MILLRACE_TESTS_FUZZ_FORMAT_TARGET_H_
