#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status.h"
#include "common/base/units.h"
#include "connectors/file/file.h"
#include "connectors/file/file_access.h"
#include "connectors/formats/csv_format.h"
#include "connectors/options.h"

namespace millrace {
namespace {

// What a later writer needs to go on: "<batch> <length> <file name>".
struct FileMarker {
  BatchId batch;
  int64_t length = 0;
  std::string name;

  std::string ToString() const { return absl::StrCat(batch.value(), " ", length, " ", name); }
};

absl::StatusOr<FileMarker> ParseMarker(const std::string& text) {
  std::vector<std::string> parts = absl::StrSplit(text, absl::MaxSplits(' ', 2));
  int64_t batch = 0;
  FileMarker marker;
  if (parts.size() != 3 || !absl::SimpleAtoi(parts[0], &batch) ||
      !absl::SimpleAtoi(parts[1], &marker.length) || marker.length < 0 || parts[2].empty() ||
      parts[2].find('/') != std::string::npos) {
    return absl::DataLossError(absl::StrCat("\"", text, "\" is no marker of a file sink"));
  }
  marker.batch = BatchId(batch);
  marker.name = parts[2];
  return marker;
}

class FileWriter : public SinkWriter {
 public:
  FileWriter(SinkContext context, std::string directory, FileMarker marker, std::string header,
             bool is_raw, std::unique_ptr<FormatEncoder> encoder)
      : context_(std::move(context)),
        directory_(std::move(directory)),
        path_(directory_ + "/" + marker.name),
        header_(std::move(header)),
        is_raw_(is_raw),
        encoder_(std::move(encoder)),
        marker_(std::move(marker)) {}

  // Cuts off what a writer before us appended without getting to a commit.
  absl::Status Recover() {
    if (marker_.length == 0) {
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(file_, FileHandle::OpenToWrite(path_));
    ASSIGN_OR_RETURN(int64_t size, FileSize(file_, path_));
    if (size < marker_.length) {
      return absl::DataLossError(absl::StrCat(path_, " holds ", size, " bytes, but ",
                                              marker_.length,
                                              " were committed: it was cut or replaced"));
    }
    return Cut();
  }

  absl::Status Write(BatchId batch, int64_t, const Batch& rows) override {
    ASSIGN_OR_RETURN(EncodedRecords encoded, encoder_->Encode(rows));
    std::lock_guard<std::mutex> lock(mutex_);
    std::string& lines = held_[batch];
    size_t before = lines.size();
    for (const EncodedRecords::Record& record : encoded.records) {
      if (is_raw_ && record.value.find('\n') != std::string_view::npos) {
        return absl::InvalidArgumentError(
            absl::StrCat("writing ", path_,
                         ": a value holds a line end, which format raw cannot write to a file; use "
                         "json or csv"));
      }
      lines.append(record.value);
      lines.push_back('\n');
    }
    held_bytes_ += static_cast<int64_t>(lines.size() - before);
    return CheckBound();
  }

  absl::Status Prepare(BatchId, absl::Time) override {
    std::lock_guard<std::mutex> lock(mutex_);
    return CheckBound();
  }

  absl::StatusOr<std::string> Commit(BatchId batch, absl::Time) override {
    std::string lines;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      auto found = held_.find(batch);
      if (found != held_.end() && batch > marker_.batch) {
        lines = found->second;  // a copy, so that a commit that fails can be tried again
      }
    }
    if (!lines.empty()) {
      RETURN_IF_ERROR(Append(std::move(lines)));
    }
    std::lock_guard<std::mutex> lock(mutex_);
    marker_.batch = std::max(marker_.batch, batch);
    while (!held_.empty() && held_.begin()->first <= marker_.batch) {
      held_bytes_ -= static_cast<int64_t>(held_.begin()->second.size());
      held_.erase(held_.begin());
    }
    return marker_.ToString();
  }

  BatchId committed() const override {
    std::lock_guard<std::mutex> lock(mutex_);
    return marker_.batch;
  }

 private:
  absl::Status Append(std::string lines) {
    if (!file_.is_open()) {
      ASSIGN_OR_RETURN(file_, FileHandle::OpenToWrite(path_));
      RETURN_IF_ERROR(Cut());
      RETURN_IF_ERROR(SyncDirectory());
    }
    if (marker_.length == 0 && !header_.empty()) {
      lines = absl::StrCat(header_, "\n", lines);
    }
    absl::Status written = WriteAt(file_, path_, marker_.length, lines);
    if (written.ok() && fsync(file_.fd()) != 0) {
      written = SystemError(errno, "writing", path_);
    }
    if (!written.ok()) {
      (void)Cut();  // readers should not see half a batch; if this fails too, the next writer cuts
      return written;
    }
    marker_.length += static_cast<int64_t>(lines.size());
    return absl::OkStatus();
  }

  absl::Status Cut() {
    return ftruncate(file_.fd(), marker_.length) == 0 || errno == EINVAL
               ? absl::OkStatus()
               : SystemError(errno, "cutting", path_);
  }

  absl::Status SyncDirectory() {
    ASSIGN_OR_RETURN(FileHandle directory, FileHandle::OpenToRead(directory_));
    return fsync(directory.fd()) == 0 ? absl::OkStatus()
                                      : SystemError(errno, "writing", directory_);
  }

  absl::Status CheckBound() const {
    if (held_bytes_ <= context_.max_held_bytes) {
      return absl::OkStatus();
    }
    return absl::ResourceExhaustedError(
        absl::StrCat("the writer of ", path_, " holds ", FormatBytes(held_bytes_),
                     " until commit, more than its ", FormatBytes(context_.max_held_bytes),
                     "; make batches smaller"));
  }

  const SinkContext context_;
  const std::string directory_;
  const std::string path_;
  const std::string header_;  // first line of a new file; empty = none
  const bool is_raw_;
  std::unique_ptr<FormatEncoder> encoder_;
  FileHandle file_;
  mutable std::mutex mutex_;  // Write of a batch may run beside Commit of the one before
  std::map<BatchId, std::string> held_;
  int64_t held_bytes_ = 0;
  FileMarker marker_;
};

class FileSinkConnector : public SinkConnector {
 public:
  explicit FileSinkConnector(const ConnectorRegistry* formats) : formats_(formats) {}

  absl::Status Validate(const proto::Sink& sink) const override {
    ASSIGN_OR_RETURN(const Format* format, FormatOf(sink));
    std::vector<std::string> allowed = format->Options();
    allowed.push_back("path");
    RETURN_IF_ERROR(CheckOptionNames(sink.options(), "file", allowed));
    RETURN_IF_ERROR(RequiredOption(sink.options(), "file", "path", "'/data/out'").status());
    RETURN_IF_ERROR(CheckSinkMode(sink, "file", accepts_upsert(), accepts_changes()));
    return format->ValidateSink(sink);
  }

  absl::Status Probe(const proto::Sink& sink, absl::Duration) const override {
    std::string path = OptionOr(sink.options(), "path", "");
    RETURN_IF_ERROR(MakeDirectory(path));
    if (access(path.c_str(), W_OK | X_OK) != 0) {
      return SystemError(errno, "writing to the directory", path);
    }
    return absl::OkStatus();
  }

  std::vector<std::pair<std::string, SqlType>> MetadataColumns() const override { return {}; }
  bool accepts_changes() const override { return false; }
  bool accepts_upsert() const override { return false; }

  absl::StatusOr<std::unique_ptr<SinkWriter>> CreateWriter(
      const proto::Sink& sink, const SinkContext& context) const override {
    ASSIGN_OR_RETURN(const Format* format, FormatOf(sink));
    ASSIGN_OR_RETURN(std::unique_ptr<FormatEncoder> encoder, format->CreateEncoder(sink));
    std::string directory = OptionOr(sink.options(), "path", "");
    RETURN_IF_ERROR(MakeDirectory(directory));
    // The incarnation in the name keeps a job apart from an earlier one that wrote to the same
    // directory.
    FileMarker marker{.name = absl::StrCat("part-", context.sink, "-", context.shard, "-",
                                           context.incarnation.substr(0, 8), ".",
                                           sink.format() == "raw" ? "txt" : sink.format())};
    if (!context.marker.empty()) {
      ASSIGN_OR_RETURN(marker, ParseMarker(context.marker));
    }
    std::string header;
    ASSIGN_OR_RETURN(bool with_header, BoolOption(sink.options(), "header", false));
    if (with_header && sink.format() == "csv") {
      ASSIGN_OR_RETURN(header, CsvHeader(sink));
    }
    auto writer =
        std::make_unique<FileWriter>(context, directory, std::move(marker), std::move(header),
                                     sink.format() == "raw", std::move(encoder));
    RETURN_IF_ERROR(writer->Recover());
    return writer;
  }

 private:
  static absl::Status MakeDirectory(const std::string& path) {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (!std::filesystem::is_directory(path)) {
      return error ? SystemError(error.value(), "making the directory", path)
                   : absl::InvalidArgumentError(absl::StrCat("option path = '", path,
                                                             "' is a file; a sink writes to a "
                                                             "directory"));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<const Format*> FormatOf(const proto::Sink& sink) const {
    if (sink.format().empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "table ", sink.table(), " needs the option format: raw (lines), json or csv"));
    }
    return formats_->FindFormat(sink.format());
  }

  const ConnectorRegistry* formats_;
};

}  // namespace

std::unique_ptr<SinkConnector> NewFileSinkConnector(const ConnectorRegistry* formats) {
  return std::make_unique<FileSinkConnector>(formats);
}

}  // namespace millrace
