// Connector file, as a sink: lines, JSON lines or CSV records in files.
//
// Options path (a directory), format, roll_size and roll_interval (docs/sql.md). Each sink
// shard appends committed batches to a file of its own with fsync; the file is hidden until it is
// large or old enough, or the job finishes, and then gets a name that readers may read, once its
// last commit is in the journal (docs/exactly-once.md §7). Sessions need Settle to show anything.
#ifndef MILLRACE_CONNECTORS_FILE_SINK_FILE_SINK_H_
#define MILLRACE_CONNECTORS_FILE_SINK_FILE_SINK_H_

#include <memory>

#include "common/storage/file_system.h"
#include "connectors/registry.h"

namespace millrace::file {

// `formats`: where formats are looked up. `files`: where the sink writes. Both must outlive the
// connector and what it creates.
std::unique_ptr<SinkConnector> NewFileSinkConnector(const ConnectorRegistry* formats,
                                                    FileSystem* files = FileSystem::Real());

}  // namespace millrace::file

#endif  // MILLRACE_CONNECTORS_FILE_SINK_FILE_SINK_H_
