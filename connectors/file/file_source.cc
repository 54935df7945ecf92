#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "connectors/file/file.h"
#include "connectors/file/file_access.h"
#include "connectors/options.h"
#include "connectors/record_hash.h"

namespace millrace {
namespace {

constexpr size_t kBlockBytes = 1 << 20;
constexpr size_t kMaxRecordBytes = 64 << 20;

struct FileOptions {
  std::string path;
  bool follow = false;
  bool latest = false;
  bool csv = false;
  bool header = false;
  bool skip_blank = false;
};

absl::StatusOr<FileOptions> ParseOptions(const proto::Source& source) {
  const OptionMap& options = source.options();
  FileOptions out;
  ASSIGN_OR_RETURN(out.path,
                   RequiredOption(options, "file", "path", "'/data/events' or '/data/*.csv'"));
  ASSIGN_OR_RETURN(out.follow, BoolOption(options, "follow", false));
  ASSIGN_OR_RETURN(std::string start,
                   ChoiceOption(options, "start", "earliest", {"earliest", "latest"}));
  out.latest = start == "latest";
  if (out.latest && !out.follow) {
    return absl::InvalidArgumentError(
        "option start = 'latest' needs follow = true: otherwise there is nothing to read");
  }
  out.csv = source.format() == "csv";
  ASSIGN_OR_RETURN(out.header, BoolOption(options, "header", false));
  out.skip_blank = source.format() != "raw";
  return out;
}

class FileEnumerator : public SourceEnumerator {
 public:
  explicit FileEnumerator(FileOptions options) : options_(std::move(options)) {}

  absl::StatusOr<std::vector<PartitionName>> Discover(absl::Duration) override {
    return ListFiles(options_.path, options_.follow);
  }

  absl::StatusOr<std::vector<PartitionOffset>> ResolveStart(
      const std::vector<PartitionName>& partitions, absl::Duration timeout) override {
    if (!options_.latest) {
      return ResolveEarliest(partitions, timeout);
    }
    std::vector<PartitionOffset> out;
    for (const PartitionName& path : partitions) {
      ASSIGN_OR_RETURN(int64_t end, EndOf(path));
      out.push_back({path, Offset(end)});
    }
    return out;
  }

  absl::StatusOr<std::vector<PartitionOffset>> ResolveEarliest(
      const std::vector<PartitionName>& partitions, absl::Duration) override {
    std::vector<PartitionOffset> out;
    out.reserve(partitions.size());
    for (const PartitionName& path : partitions) {
      out.push_back({path, Offset(0)});
    }
    return out;
  }

  absl::StatusOr<std::vector<PartitionEnd>> Ends(const std::vector<PartitionName>& partitions,
                                                 absl::Duration) override {
    std::vector<PartitionEnd> out;
    for (const PartitionName& path : partitions) {
      ASSIGN_OR_RETURN(int64_t end, EndOf(path));
      out.push_back({path, Offset(end), Offset(end), /*bytes_per_offset=*/1});
    }
    return out;
  }

  absl::Status PublishOffsets(const std::vector<PartitionOffset>&, absl::Duration) override {
    return absl::OkStatus();
  }
  bool bounded() const override { return !options_.follow; }

 private:
  absl::StatusOr<int64_t> EndOf(const std::string& path) {
    if (options_.follow) {
      return complete_.try_emplace(path, path, options_.csv).first->second.End();
    }
    ASSIGN_OR_RETURN(FileHandle file, FileHandle::OpenToRead(path));
    return FileSize(file, path);
  }

  const FileOptions options_;
  std::map<std::string, CompleteRecords> complete_;
};

// One file under reading. Used by one thread at a time.
class FilePartition {
 public:
  FilePartition(std::string path, int64_t position, FileOptions options,
                std::unique_ptr<FormatDecoder> decoder)
      : path_(std::move(path)),
        position_(position),
        options_(std::move(options)),
        decoder_(std::move(decoder)) {}

  absl::StatusOr<SourceChunk> Read(const proto::Source& source, int64_t end, size_t max_rows,
                                   uint64_t hash_seed) {
    records_.clear();
    SourceChunk chunk;
    chunk.next = Offset(position_);
    if (position_ < end) {
      RETURN_IF_ERROR(Open(end));
      RETURN_IF_ERROR(Collect(end, std::max<size_t>(max_rows, 1), &chunk));
      // A record that begins before `end` is the split's to its last byte; the next split begins
      // with a gap.
      chunk.next = Offset(std::min(record_, end));
    }
    RETURN_IF_ERROR(Decode(source, hash_seed, &chunk));
    position_ = chunk.next.value();
    return chunk;
  }

 private:
  absl::Status Open(int64_t end) {
    if (!file_.is_open()) {
      ASSIGN_OR_RETURN(file_, FileHandle::OpenToRead(path_));
      ASSIGN_OR_RETURN(record_, NextRecord(file_, path_, position_, options_.csv));
    }
    ASSIGN_OR_RETURN(size_, FileSize(file_, path_));
    if (size_ < end) {
      return absl::OutOfRangeError(absl::StrCat(path_, " holds ", size_, " bytes: offsets [",
                                                std::max(size_, position_), ", ", end,
                                                ") are lost. Files that are read may only grow"));
    }
    return absl::OkStatus();
  }

  // Takes records that begin in [record_, end), all from one block; moves record_ behind them.
  absl::Status Collect(int64_t end, size_t max_rows, SourceChunk* chunk) {
    int64_t begin = record_;
    for (size_t bytes = kBlockBytes; record_ == begin && record_ < end; bytes *= 2) {
      if (bytes > 2 * kMaxRecordBytes) {
        return absl::InvalidArgumentError(absl::StrCat(
            path_, " offset ", record_, ": the record is longer than ", kMaxRecordBytes, " bytes"));
      }
      RETURN_IF_ERROR(Load(bytes));
      std::string_view block(block_->data(), block_->size());
      bool at_end_of_file = block_begin_ + static_cast<int64_t>(block.size()) >= size_;
      while (records_.size() < max_rows && record_ < end) {
        auto from = static_cast<size_t>(record_ - block_begin_);
        size_t stop = FindRecordEnd(block, from, options_.csv);
        if (stop == std::string_view::npos && !at_end_of_file) {
          break;
        }
        if (stop == std::string_view::npos && options_.follow) {
          return absl::UnavailableError(
              absl::StrCat(path_, " offset ", record_, ": the line has not ended yet"));
        }
        stop = std::min(stop, block.size());  // a last line without a line end
        Add(block.substr(from, stop - from), record_, chunk);
        record_ = block_begin_ + static_cast<int64_t>(stop);
      }
    }
    return absl::OkStatus();
  }

  // Makes the block begin at record_ with up to `bytes`; keeps the one there is if it holds another
  // whole record.
  absl::Status Load(size_t bytes) {
    if (block_ != nullptr && record_ >= block_begin_) {
      std::string_view block(block_->data(), block_->size());
      auto begin = static_cast<size_t>(record_ - block_begin_);
      if (begin < block.size() &&
          FindRecordEnd(block, begin, options_.csv) != std::string_view::npos) {
        return absl::OkStatus();
      }
    }
    auto block =
        std::make_shared<std::vector<char>>(std::min(bytes, static_cast<size_t>(size_ - record_)));
    ASSIGN_OR_RETURN(size_t count, ReadAt(file_, path_, record_, block->data(), block->size()));
    block->resize(count);
    block_ = std::move(block);
    block_begin_ = record_;
    return absl::OkStatus();
  }

  void Add(std::string_view line, int64_t offset, SourceChunk* chunk) {
    if (!line.empty() && line.back() == '\n') {
      line.remove_suffix(1);
    }
    if (!line.empty() && line.back() == '\r') {
      line.remove_suffix(1);
    }
    bool is_header = options_.csv && options_.header && offset == 0;
    if (is_header || (options_.skip_blank && line.empty())) {
      return;
    }
    records_.push_back(line);
    chunk->offsets.push_back(offset);
    chunk->bytes += static_cast<int64_t>(line.size());
  }

  absl::Status Decode(const proto::Source& source, uint64_t hash_seed, SourceChunk* chunk) {
    RecordHash hash(hash_seed);
    for (size_t i = 0; i < records_.size(); ++i) {
      hash.Add(chunk->offsets[i], {}, records_[i]);
    }
    chunk->input_hash = hash.value();
    std::vector<std::string_view> keys(records_.size());
    RowErrors errors;
    ASSIGN_OR_RETURN(std::vector<ColumnPtr> decoded,
                     decoder_->Decode({.values = records_.data(),
                                       .keys = keys.data(),
                                       .count = records_.size(),
                                       .owner = std::shared_ptr<const void>(block_)},
                                      &errors));
    std::vector<ColumnPtr> columns;
    size_t taken = 0;
    for (const proto::SourceColumn& column : source.columns()) {
      columns.push_back(column.declared() >= 0 ? decoded[taken++]
                                               : Metadata(column.name(), *chunk));
    }
    chunk->batch = Batch(std::move(columns), records_.size());
    chunk->raw = [path = std::make_shared<const std::string>(path_), block = block_,
                  records = std::exchange(records_, {})](uint32_t row) {
      return RawRecord{.topic = *path, .value = records[row]};
    };
    for (const RowError& error : errors.errors()) {
      chunk->errors.push_back(
          {error.row,
           Annotate(error.status, absl::StrCat(path_, " offset ", chunk->offsets[error.row]))});
    }
    return absl::OkStatus();
  }

  ColumnPtr Metadata(const std::string& name, const SourceChunk& chunk) const {
    bool is_offset = name == "_offset";
    auto column = std::make_shared<Column>(MakeType(is_offset ? TypeId::kInt64 : TypeId::kText),
                                           records_.size());
    for (size_t i = 0; i < records_.size(); ++i) {
      if (is_offset) {
        column->mutable_values<int64_t>()[i] = chunk.offsets[i];
      } else if (i == 0) {
        column->SetTextCopy(0, path_);
      } else {
        column->mutable_values<TextView>()[i] = column->value<TextView>(0);
      }
    }
    return column;
  }

  const std::string path_;
  int64_t position_;     // as Assign or the last chunk said
  int64_t record_ = -1;  // where the next record begins, ≥ position_; once the file is open
  int64_t size_ = 0;
  const FileOptions options_;
  std::unique_ptr<FormatDecoder> decoder_;
  FileHandle file_;
  std::shared_ptr<const std::vector<char>> block_;  // shared with the columns that view it
  int64_t block_begin_ = 0;
  std::vector<std::string_view> records_;
};

class FileReader : public SourceReader {
 public:
  FileReader(const proto::Source& source, FileOptions options, const Format* format)
      : source_(source), options_(std::move(options)), format_(format) {}

  absl::Status Assign(const PartitionName& partition, Offset offset) override {
    ASSIGN_OR_RETURN(std::unique_ptr<FormatDecoder> decoder, format_->CreateDecoder(source_));
    auto opened = std::make_shared<Assigned>(
        Assigned{FilePartition(partition, offset.value(), options_, std::move(decoder)),
                 CompleteRecords(partition, options_.csv), offset.value()});
    std::lock_guard<std::mutex> lock(mutex_);
    partitions_[partition] = std::move(opened);
    return absl::OkStatus();
  }

  void Unassign(const PartitionName& partition) override {
    std::lock_guard<std::mutex> lock(mutex_);
    partitions_.erase(partition);
  }

  absl::StatusOr<SourceChunk> Read(const PartitionName& partition, Offset end, size_t max_rows,
                                   uint64_t hash_seed, absl::Time) override {
    std::shared_ptr<Assigned> assigned;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      auto found = partitions_.find(partition);
      if (found == partitions_.end()) {
        return absl::FailedPreconditionError(
            absl::StrCat("partition ", partition, " is not assigned"));
      }
      assigned = found->second;
    }
    ASSIGN_OR_RETURN(SourceChunk chunk,
                     assigned->file.Read(source_, end.value(), max_rows, hash_seed));
    std::lock_guard<std::mutex> lock(mutex_);
    assigned->fetched_to = std::max(assigned->fetched_to, chunk.next.value());
    return chunk;
  }

  double BytesPerOffset(const PartitionName&) override { return 1; }

  // Files need no fetching: all complete records are there.
  std::vector<PartitionOffset> FetchedTo() override {
    std::lock_guard<std::mutex> lock(mutex_);
    std::vector<PartitionOffset> out;
    for (const auto& [path, assigned] : partitions_) {
      if (options_.follow) {
        // An error is Read's to report.
        assigned->fetched_to = std::max(assigned->fetched_to, assigned->complete.End().value_or(0));
      }
      out.push_back({path, Offset(assigned->fetched_to)});
    }
    return out;
  }

 private:
  struct Assigned {
    FilePartition file;        // of the one thread that reads the partition
    CompleteRecords complete;  // this and the next guarded by mutex_
    int64_t fetched_to;
  };

  const proto::Source source_;
  const FileOptions options_;
  const Format* const format_;
  std::mutex mutex_;
  std::map<PartitionName, std::shared_ptr<Assigned>> partitions_;  // guarded by mutex_
};

class FileSourceConnector : public SourceConnector {
 public:
  explicit FileSourceConnector(const ConnectorRegistry* formats) : formats_(formats) {}

  absl::Status Validate(const proto::Source& source) const override {
    ASSIGN_OR_RETURN(const Format* format, FormatOf(source));
    std::vector<std::string> allowed = format->Options();
    allowed.insert(allowed.end(), {"path", "follow", "start"});
    RETURN_IF_ERROR(CheckOptionNames(source.options(), "file", allowed));
    RETURN_IF_ERROR(ParseOptions(source).status());
    RETURN_IF_ERROR(CheckSourceColumns(source, MetadataColumns()));
    return format->ValidateSource(source);
  }

  std::vector<std::pair<std::string, SqlType>> MetadataColumns() const override {
    return {{"_file", MakeType(TypeId::kText)}, {"_offset", MakeType(TypeId::kInt64)}};
  }

  absl::StatusOr<std::unique_ptr<SourceEnumerator>> CreateEnumerator(
      const proto::Source& source, const SourceContext&) const override {
    ASSIGN_OR_RETURN(FileOptions options, ParseOptions(source));
    return std::make_unique<FileEnumerator>(std::move(options));
  }

  absl::StatusOr<std::unique_ptr<SourceReader>> CreateReader(const proto::Source& source,
                                                             const SourceContext&) const override {
    ASSIGN_OR_RETURN(const Format* format, FormatOf(source));
    ASSIGN_OR_RETURN(FileOptions options, ParseOptions(source));
    return std::make_unique<FileReader>(source, std::move(options), format);
  }

 private:
  absl::StatusOr<const Format*> FormatOf(const proto::Source& source) const {
    if (source.format().empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "table ", source.table(), " needs the option format: raw (lines), json or csv"));
    }
    return formats_->FindFormat(source.format());
  }

  const ConnectorRegistry* formats_;
};

}  // namespace

std::unique_ptr<SourceConnector> NewFileSourceConnector(const ConnectorRegistry* formats) {
  return std::make_unique<FileSourceConnector>(formats);
}

}  // namespace millrace
