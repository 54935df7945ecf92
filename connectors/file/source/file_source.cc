#include "connectors/file/source/file_source.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "common/base/status.h"
#include "connectors/file/source/file_access.h"
#include "connectors/file/source/file_enumerator.h"
#include "connectors/file/source/file_finder.h"
#include "connectors/file/source/file_identity.h"
#include "connectors/formats/csv/csv_format.h"
#include "connectors/formats/utf8.h"
#include "connectors/shared/options.h"
#include "connectors/shared/record_hash.h"

namespace millrace::file {
namespace {

constexpr size_t kBlockBytes = 1 << 20;
constexpr size_t kMaxRecordBytes = 128 << 20;

struct FileOptions {
  FileEnumerator::Options files;
  bool header = false;
  bool skip_blank = false;
  bool skip_lost = false;
};

absl::StatusOr<FileOptions> ParseOptions(const proto::Source& source, const Format& format) {
  const OptionMap& options = source.options();
  FileOptions out;
  ASSIGN_OR_RETURN(out.files.path,
                   PathOption(options, "file", "path", "'/data/events' or '/data/*.csv'"));
  ASSIGN_OR_RETURN(out.files.follow, BoolOption(options, "follow", false));
  ASSIGN_OR_RETURN(std::string start,
                   ChoiceOption(options, "start", "earliest", {"earliest", "latest"}));
  out.files.latest = start == "latest";
  if (out.files.latest && !out.files.follow) {
    return absl::InvalidArgumentError(
        "option start = 'latest' needs follow = true: otherwise there is nothing to read");
  }
  if (format.traits().line_ends == LineEnds::kQuoted) {
    ASSIGN_OR_RETURN(out.files.framing.csv_delimiter, CsvDelimiter(options));
  }
  ASSIGN_OR_RETURN(std::string loss,
                   ChoiceOption(options, "on_data_loss", "fail", {"fail", "skip"}));
  out.skip_lost = loss == "skip";
  ASSIGN_OR_RETURN(out.header, BoolOption(options, "header", false));
  const EmptyLine empty_line = format.traits().empty_line;
  out.skip_blank = empty_line == EmptyLine::kSkipped ||
                   (empty_line == EmptyLine::kRecordOfOneColumn && source.declared_size() > 1);
  return out;
}

// One file that is being read. Used by one thread at a time.
class FilePartition {
 public:
  // `identity`: none if only the name is known.
  FilePartition(const PartitionName& name, std::optional<FileIdentity> identity, int64_t position,
                FileOptions options, std::unique_ptr<FormatDecoder> decoder,
                const AccessPolicy* access)
      : path_(PathOfPartition(name)),
        identity_(std::move(identity)),
        position_(position),
        options_(std::move(options)),
        decoder_(std::move(decoder)),
        access_(*access) {}

  absl::StatusOr<SourceChunk> Read(const proto::Source& source, int64_t end, size_t max_rows,
                                   uint64_t hash_seed) {
    records_.clear();
    too_long_ = absl::OkStatus();
    SourceChunk chunk;
    chunk.next = Offset(position_);
    if (position_ < end) {
      const absl::Status there = ReadUpTo(end, std::max<size_t>(max_rows, 1), &chunk);
      if (absl::IsNotFound(there)) {
        RETURN_IF_ERROR(Lose(end, there, &chunk));
      }
      RETURN_IF_ERROR(absl::IsNotFound(there) ? absl::OkStatus() : there);
    }
    RETURN_IF_ERROR(Decode(source, hash_seed, &chunk));
    position_ = chunk.next.value();
    if (position_ >= size_) {
      // Closed, since thousands of files may be idle; it is opened again when more is to be read.
      file_ = FileHandle();
      block_ = nullptr;
    }
    return chunk;
  }

 private:
  // NOT_FOUND if the file cannot be found any more with its contents up to `end`.
  absl::Status ReadUpTo(int64_t end, size_t max_rows, SourceChunk* chunk) {
    RETURN_IF_ERROR(Open(end));
    RETURN_IF_ERROR(Collect(end, max_rows, chunk));
    // A record that begins before `end` belongs to the split up to its last byte; the next split
    // then begins with a gap.
    chunk->next = Offset(std::min(record_, end));
    return absl::OkStatus();
  }

  // The rest of the split is lost: that is an error, or it is counted.
  absl::Status Lose(int64_t end, const absl::Status& why, SourceChunk* chunk) {
    if (!options_.skip_lost) {
      return absl::OutOfRangeError(
          absl::StrCat(why.message(), ": bytes [", position_, ", ", end,
                       ") of it are lost; to go on without them: option on_data_loss = 'skip'"));
    }
    spdlog::warn("{}: bytes [{}, {}) of {} are lost; going on, as on_data_loss = 'skip' says",
                 ToStd(why.message()), position_, end, path_);
    records_.clear();
    *chunk = SourceChunk();
    chunk->lost_begin = Offset(position_);
    chunk->lost_end = Offset(end);
    chunk->next = Offset(end);
    file_ = FileHandle();
    block_ = nullptr;
    record_ = -1;
    return absl::OkStatus();
  }

  absl::Status Open(int64_t end) {
    if (!file_.is_open()) {
      RETURN_IF_ERROR(Find(end));
    }
    ASSIGN_OR_RETURN(size_, FileSize(file_, opened_path_));
    if (size_ < end) {
      RETURN_IF_ERROR(Find(end));
    }
    if (record_ < 0) {
      ASSIGN_OR_RETURN(record_, NextRecord(file_, opened_path_, position_, options_.files.framing));
    }
    return absl::OkStatus();
  }

  // Opens the file, whatever its name is now.
  absl::Status Find(int64_t end) {
    file_ = FileHandle();
    block_ = nullptr;
    if (!identity_.has_value()) {
      opened_path_ = path_;
      RETURN_IF_ERROR(access_.CheckFile(path_));
      ASSIGN_OR_RETURN(file_, FileHandle::OpenToRead(path_));
      ASSIGN_OR_RETURN(size_, FileSize(file_, path_));
      return size_ >= end ? absl::OkStatus()
                          : absl::NotFoundError(absl::StrCat("file ", path_, " holds ", size_,
                                                             " bytes: it was cut"));
    }
    ASSIGN_OR_RETURN(FoundFile found,
                     FindFile(*identity_, end, [](const FileStat&) { return false; }));
    // Checked again: the identity came over the network, and a link may lead out of the allowed
    // directories.
    RETURN_IF_ERROR(access_.CheckFile(found.path));
    file_ = std::move(found.file);
    opened_path_ = found.path;
    size_ = found.stat.size;
    return absl::OkStatus();
  }

  // Whether the file still has its identity. Checked after each read: rotation by copying cuts the
  // file in place, and it may have grown again since.
  absl::StatusOr<bool> IsIntact() const {
    if (!identity_.has_value()) {
      return true;
    }
    ASSIGN_OR_RETURN(const int64_t size, FileSize(file_, opened_path_));
    ASSIGN_OR_RETURN(const bool begins_like, BeginsLike(file_, opened_path_, *identity_));
    return begins_like && size >= size_;
  }

  // Takes records that begin in [record_, end), all from one block; moves record_ behind them.
  absl::Status Collect(int64_t end, size_t max_rows, SourceChunk* chunk) {
    int64_t begin = record_;
    for (size_t bytes = kBlockBytes; record_ == begin && record_ < end; bytes *= 2) {
      if (bytes > kMaxRecordBytes) {
        return PassOver(chunk);
      }
      RETURN_IF_ERROR(Load(bytes));
      std::string_view block(block_->data(), block_->size());
      bool at_end_of_file = block_begin_ + static_cast<int64_t>(block.size()) >= size_;
      while (records_.size() < max_rows && record_ < end) {
        auto from = static_cast<size_t>(record_ - block_begin_);
        size_t stop = FindRecordEnd(block, from, options_.files.framing);
        if (stop == std::string_view::npos && !at_end_of_file) {
          break;
        }
        // A last line without a line end is a record. For a file that is followed, the driver plans
        // up to it only when nothing more will be appended.
        stop = std::min(stop, block.size());
        Add(block.substr(from, stop - from), record_, chunk);
        record_ = block_begin_ + static_cast<int64_t>(stop);
      }
    }
    return absl::OkStatus();
  }

  // Takes the record at record_, which is too long to be held, as a record that cannot be decoded.
  absl::Status PassOver(SourceChunk* chunk) {
    const auto next_record = [this] {
      return NextRecord(file_, opened_path_, record_ + 1, options_.files.framing);
    };
    ASSIGN_OR_RETURN(int64_t next, next_record());
    ASSIGN_OR_RETURN(const bool intact, IsIntact());
    if (!intact) {
      RETURN_IF_ERROR(Find(size_));
      ASSIGN_OR_RETURN(next, next_record());
    }
    too_long_ = absl::InvalidArgumentError(
        absl::StrCat("the record is longer than ", kMaxRecordBytes, " bytes"));
    records_.emplace_back("");
    chunk->offsets.push_back(record_);
    record_ = next;
    block_ = nullptr;
    return absl::OkStatus();
  }

  // Makes the block begin at record_ with up to `bytes`; keeps the present block if it has another
  // complete record.
  absl::Status Load(size_t bytes) {
    if (block_ != nullptr && record_ >= block_begin_) {
      std::string_view block(block_->data(), block_->size());
      auto begin = static_cast<size_t>(record_ - block_begin_);
      if (begin < block.size() &&
          FindRecordEnd(block, begin, options_.files.framing) != std::string_view::npos) {
        return absl::OkStatus();
      }
    }
    auto block =
        std::make_shared<std::vector<char>>(std::min(bytes, static_cast<size_t>(size_ - record_)));
    ASSIGN_OR_RETURN(size_t count,
                     ReadAt(file_, opened_path_, record_, block->data(), block->size()));
    ASSIGN_OR_RETURN(const bool intact, IsIntact());
    if (!intact) {
      RETURN_IF_ERROR(Find(record_ + static_cast<int64_t>(block->size())));
      ASSIGN_OR_RETURN(count, ReadAt(file_, opened_path_, record_, block->data(), block->size()));
    }
    block->resize(count);
    block_ = std::move(block);
    block_begin_ = record_;
    return absl::OkStatus();
  }

  void Add(std::string_view line, int64_t offset, SourceChunk* chunk) {
    if (offset == 0 && line.starts_with(kByteOrderMark)) {
      line.remove_prefix(kByteOrderMark.size());
      if (line.empty()) {
        return;
      }
    }
    if (!line.empty() && line.back() == '\n') {
      line.remove_suffix(1);
    }
    if (!line.empty() && line.back() == '\r') {
      line.remove_suffix(1);
    }
    const bool is_header = options_.header && offset == 0;
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
    // Then the one record of the chunk is a stand-in without bytes.
    if (!too_long_.ok()) {
      errors.Clear();
      errors.Add(0, std::exchange(too_long_, absl::OkStatus()));
      chunk->raw = [path = std::make_shared<const std::string>(path_)](uint32_t) {
        return RawRecord{.topic = *path};
      };
    }
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

  const std::string path_;  // the path at its beginning
  const std::optional<FileIdentity> identity_;
  std::string opened_path_;  // the path of file_
  int64_t position_;         // the position that Assign or the last chunk gave
  int64_t record_ = -1;      // where the next record begins, ≥ position_; once the file is open
  int64_t size_ = 0;
  const FileOptions options_;
  std::unique_ptr<FormatDecoder> decoder_;
  const AccessPolicy& access_;
  FileHandle file_;
  std::shared_ptr<const std::vector<char>> block_;  // shared with the columns that view it
  int64_t block_begin_ = 0;
  std::vector<std::string_view> records_;
  absl::Status too_long_;  // an error: of the only record of the chunk
};

class FileReader : public SourceReader {
 public:
  FileReader(const proto::Source& source, FileOptions options, const Format* format,
             const AccessPolicy* access)
      : source_(source), options_(std::move(options)), format_(format), access_(*access) {}

  absl::Status Assign(const KnownPartition& known) override {
    ASSIGN_OR_RETURN(std::unique_ptr<FormatDecoder> decoder, format_->CreateDecoder(source_));
    std::optional<FileIdentity> identity;
    if (!known.identity.empty()) {
      ASSIGN_OR_RETURN(identity, FileIdentity::Parse(known.identity));
    }
    auto opened = std::make_shared<Assigned>(
        Assigned{FilePartition(known.name, std::move(identity), known.next.value(), options_,
                               std::move(decoder), &access_),
                 known.next.value()});
    absl::MutexLock lock(&mutex_);
    partitions_[known.name] = std::move(opened);
    return absl::OkStatus();
  }

  void Unassign(const PartitionName& partition) override {
    absl::MutexLock lock(&mutex_);
    partitions_.erase(partition);
  }

  absl::StatusOr<SourceChunk> Read(const PartitionName& partition, Offset end, size_t max_rows,
                                   uint64_t hash_seed, absl::Time) override {
    std::shared_ptr<Assigned> assigned;
    {
      absl::MutexLock lock(&mutex_);
      auto found = partitions_.find(partition);
      if (found == partitions_.end()) {
        return absl::FailedPreconditionError(
            absl::StrCat("partition ", partition, " is not assigned"));
      }
      assigned = found->second;
    }
    ASSIGN_OR_RETURN(SourceChunk chunk,
                     assigned->file.Read(source_, end.value(), max_rows, hash_seed));
    absl::MutexLock lock(&mutex_);
    assigned->read_to = std::max(assigned->read_to, chunk.next.value());
    return chunk;
  }

  double BytesPerOffset(const PartitionName&) override { return 1; }

  // Files are not fetched ahead: the driver itself looks how far they go.
  std::vector<PartitionOffset> FetchedTo() override {
    absl::MutexLock lock(&mutex_);
    std::vector<PartitionOffset> out;
    for (const auto& [path, assigned] : partitions_) {
      out.push_back({path, Offset(assigned->read_to)});
    }
    return out;
  }

 private:
  struct Assigned {
    FilePartition file;  // used by the one thread that reads the partition
    int64_t read_to;     // under mutex_ of the reader
  };

  const proto::Source source_;
  const FileOptions options_;
  const Format* const format_;
  const AccessPolicy& access_;
  absl::Mutex mutex_;
  std::map<PartitionName, std::shared_ptr<Assigned>> partitions_ ABSL_GUARDED_BY(mutex_);
};

class FileSourceConnector : public SourceConnector {
 public:
  FileSourceConnector(const ConnectorRegistry* formats, Clock* clock)
      : formats_(formats), clock_(clock) {}

  absl::Status Validate(const proto::Source& source) const override {
    ASSIGN_OR_RETURN(const Format* format, FormatOf(source));
    std::vector<std::string> allowed = format->Options({.in_files = true});
    allowed.insert(allowed.end(), {"path", "follow", "start", "on_data_loss"});
    RETURN_IF_ERROR(CheckOptionNames(source.options(), "file", allowed));
    RETURN_IF_ERROR(ParseOptions(source, *format).status());
    RETURN_IF_ERROR(CheckSourceColumns(source, MetadataColumns()));
    return format->ValidateSource(source);
  }

  SourceTraits Traits(const proto::Source& source) const override {
    return {.path_option = "path",
            .may_lose_partitions = true,
            .bounded = !BoolOption(source.options(), "follow", false).value_or(true)};
  }

  std::vector<std::pair<std::string, SqlType>> MetadataColumns() const override {
    return {{"_file", MakeType(TypeId::kText)}, {"_offset", MakeType(TypeId::kInt64)}};
  }

  absl::StatusOr<std::unique_ptr<SourceEnumerator>> CreateEnumerator(
      const proto::Source& source, const SourceContext&) const override {
    ASSIGN_OR_RETURN(const Format* format, FormatOf(source));
    ASSIGN_OR_RETURN(FileOptions options, ParseOptions(source, *format));
    return std::make_unique<FileEnumerator>(std::move(options.files), clock_, &formats_->access());
  }

  absl::StatusOr<std::unique_ptr<SourceReader>> CreateReader(const proto::Source& source,
                                                             const SourceContext&) const override {
    ASSIGN_OR_RETURN(const Format* format, FormatOf(source));
    ASSIGN_OR_RETURN(FileOptions options, ParseOptions(source, *format));
    return std::make_unique<FileReader>(source, std::move(options), format, &formats_->access());
  }

 private:
  absl::StatusOr<const Format*> FormatOf(const proto::Source& source) const {
    if (source.format().empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "table ", source.table(), " needs the option format: raw (lines), json or csv"));
    }
    return formats_->FindFormat(source.format());
  }

  const ConnectorRegistry* const formats_;
  Clock* const clock_;
};

}  // namespace

std::unique_ptr<SourceConnector> NewFileSourceConnector(const ConnectorRegistry* formats,
                                                        Clock* clock) {
  return std::make_unique<FileSourceConnector>(formats, clock);
}

}  // namespace millrace::file
