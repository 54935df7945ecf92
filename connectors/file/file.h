// Connector file: lines, JSON lines or CSV records in files.
//
// Source: option path (a file, a directory or a glob), format raw, json or csv, follow (appended
// records are read, the last one only once its line has ended; new files too), start (latest with
// follow), header (csv), on_data_loss. A partition is a file, known by its identity
// (file_identity.h); an offset is the byte where a record begins. Files may be appended to, rotated
// and deleted (file_enumerator.h).
//
// Sink: options path (a directory), format, roll_size and roll_interval (docs/sql.md). Each sink
// shard appends committed batches to a file of its own with fsync; the file is hidden until it is
// large or old enough, or the job finishes, and then gets a name that readers may read, once its
// last commit is in the journal (docs/exactly-once.md §7). Writers need Settle to show anything.
#ifndef MILLRACE_CONNECTORS_FILE_FILE_H_
#define MILLRACE_CONNECTORS_FILE_FILE_H_

#include <memory>

#include "common/base/clock.h"
#include "common/storage/file_system.h"
#include "connectors/registry.h"

namespace millrace {

// `formats`: where formats are looked up. `files`: where the sink writes. `clock`: tells how old a
// file is. All must outlive the connectors and what they create.
std::unique_ptr<SourceConnector> NewFileSourceConnector(const ConnectorRegistry* formats,
                                                        Clock* clock = Clock::Real());
std::unique_ptr<SinkConnector> NewFileSinkConnector(const ConnectorRegistry* formats,
                                                    FileSystem* files = FileSystem::Real());

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_FILE_FILE_H_
