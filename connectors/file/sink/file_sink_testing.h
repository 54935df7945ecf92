// Shared by tests of the file sink: a table of one text column, and rows for it.
#ifndef MILLRACE_CONNECTORS_FILE_SINK_FILE_SINK_TESTING_H_
#define MILLRACE_CONNECTORS_FILE_SINK_FILE_SINK_TESTING_H_

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/status.h"
#include "connectors/file/sink/file_sink.h"
#include "connectors/file/sink/file_sink_marker.h"
#include "connectors/formats/csv/csv_format.h"
#include "connectors/formats/json/json_format.h"
#include "connectors/formats/raw/raw_format.h"

namespace millrace::file {

constexpr char kIncarnation[] = "0f0e0d0c-1111";

class FileSinkFixture : public testing::Test {
 protected:
  FileSinkFixture() {
    registry_.AddFormat(NewRawFormat());
    registry_.AddFormat(NewJsonFormat());
    registry_.AddFormat(NewCsvFormat());
  }

  static proto::Sink Table(const std::string& directory, const std::string& format) {
    proto::Sink sink;
    sink.set_table("t");
    sink.set_connector("file");
    sink.set_format(format);
    (*sink.mutable_options())["path"] = directory;
    proto::Field* column = sink.add_columns();
    column->set_name("value");
    column->mutable_type()->set_kind(proto::TYPE_TEXT);
    return sink;
  }

  static SinkContext Context(int64_t epoch, const std::string& marker) {
    SinkContext context;
    context.incarnation = kIncarnation;
    context.epoch = Epoch(epoch);
    context.marker = marker;
    return context;
  }

  absl::StatusOr<std::unique_ptr<SingleShardSession>> Open(FileSystem* files,
                                                           const proto::Sink& sink, int64_t epoch,
                                                           const std::string& marker) const {
    ASSIGN_OR_RETURN(std::unique_ptr<SinkSession> session,
                     NewFileSinkConnector(&registry_, files)
                         ->Open({{.index = 0, .table = &sink}}, Context(epoch, marker)));
    // The connector has no other sessions.
    return std::unique_ptr<SingleShardSession>(static_cast<SingleShardSession*>(session.release()));
  }

  static absl::Status Write(SinkShard* shard, int64_t batch, const std::vector<std::string>& values,
                            int64_t time_us = 0) {
    auto column = std::make_shared<Column>(MakeType(TypeId::kText), values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      column->SetTextCopy(i, values[i]);
    }
    return shard->Write({.id = BatchId(batch), .time_us = time_us}, Batch({column}, values.size()));
  }

  // The lines that readers see, file after file; nothing if the files are not numbered without
  // gaps.
  static std::optional<std::string> Published(FileSystem* files, const std::string& directory) {
    const FileSinkNames names(0, 0, kIncarnation, "");
    std::string bytes;
    int64_t next = 0;
    const std::vector<std::string> listed = *files->List(directory);
    for (const std::string& name : listed) {
      if (name[0] == '.') {
        continue;
      }
      if (names.SeqOfFinal(name) != next++) {
        return std::nullopt;
      }
      bytes += *files->Read(directory + "/" + name);
    }
    return bytes;
  }

  ConnectorRegistry registry_;
};

}  // namespace millrace::file

#endif  // MILLRACE_CONNECTORS_FILE_SINK_FILE_SINK_TESTING_H_
