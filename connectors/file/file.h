// Connector file: lines, JSON lines or CSV records in files.
//
// Source: option path (a file, a directory or a glob), format raw, json or csv, follow (records
// that are appended are read, the last one only once its line has ended; new files too), start
// (latest with follow), header (csv). A partition is a file by its path, an offset the byte where a
// record begins. Files are only ever appended to: one that gets shorter is an error.
//
// Sink: option path (a directory) and format. Each sink shard appends to a file of its own,
// part-<sink>-<shard>-<first 8 characters of the incarnation>, at commit and with fsync. A batch
// that was cut short by the end of the process is cut off when the writer is opened again.
#ifndef MILLRACE_CONNECTORS_FILE_FILE_H_
#define MILLRACE_CONNECTORS_FILE_FILE_H_

#include <memory>

#include "connectors/registry.h"

namespace millrace {

// `formats` is where formats are looked up; it must outlive the connectors and what they create.
std::unique_ptr<SourceConnector> NewFileSourceConnector(const ConnectorRegistry* formats);
std::unique_ptr<SinkConnector> NewFileSinkConnector(const ConnectorRegistry* formats);

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_FILE_FILE_H_
