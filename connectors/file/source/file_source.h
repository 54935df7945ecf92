// Connector file, as a source: lines, JSON lines or CSV records in files.
//
// Option path (a file, a directory or a glob), format raw, json or csv, follow (appended
// records are read, the last one only once its line has ended; new files too), start (latest with
// follow), header (csv), on_data_loss. A partition is a file, known by its identity
// (file_identity.h); an offset is the byte where a record begins. Files may be appended to, rotated
// and deleted (file_enumerator.h).
#ifndef MILLRACE_CONNECTORS_FILE_SOURCE_FILE_SOURCE_H_
#define MILLRACE_CONNECTORS_FILE_SOURCE_FILE_SOURCE_H_

#include <memory>

#include "common/base/clock.h"
#include "connectors/registry.h"

namespace millrace::file {

// `formats`: where formats are looked up. `clock`: tells how old a file is. Both must outlive the
// connector and what it creates.
std::unique_ptr<SourceConnector> NewFileSourceConnector(const ConnectorRegistry* formats,
                                                        Clock* clock = Clock::Real());

}  // namespace millrace::file

#endif  // MILLRACE_CONNECTORS_FILE_SOURCE_FILE_SOURCE_H_
