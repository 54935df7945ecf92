// Format json: one JSON object per record. A column finds its value by its exact name or by a path
// (option "path.<column>" = 'a.b'); missing and null are NULL. Text takes strings, and other values
// in the form that they have in the document. Dates and times take ISO 8601; timestamps also take
// numbers since 1970 in the unit of option timestamp_unit (s, ms, us). The encoder writes what the
// decoder reads, as PostgreSQL's to_json would.
//
// Upsert tables carry their PRIMARY KEY in the record's key as well: an object of the key columns,
// or with key.format = 'raw' the text of the only one; a record without a value deletes.
#ifndef MILLRACE_CONNECTORS_FORMATS_JSON_JSON_FORMAT_H_
#define MILLRACE_CONNECTORS_FORMATS_JSON_JSON_FORMAT_H_

#include <memory>

#include "connectors/format.h"

namespace millrace {

std::unique_ptr<Format> NewJsonFormat();

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_FORMATS_JSON_JSON_FORMAT_H_
