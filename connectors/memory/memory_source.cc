#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/status.h"
#include "common/columnar/row_hash.h"
#include "connectors/memory/memory.h"
#include "connectors/memory/memory_tables.h"
#include "connectors/options.h"
#include "connectors/record_hash.h"

namespace millrace {
namespace {

constexpr char kPrefix[] = "memory/";

absl::StatusOr<uint32_t> PartitionNumber(const PartitionName& name) {
  uint32_t number = 0;
  if (name.rfind(kPrefix, 0) != 0 || !absl::SimpleAtoi(name.substr(sizeof(kPrefix) - 1), &number)) {
    return absl::NotFoundError(
        absl::StrCat("there is no partition \"", name, "\"; one looks like ", kPrefix, "0"));
  }
  return number;
}

std::string TableName(const proto::Source& source) {
  return OptionOr(source.options(), "table", source.table());
}

class MemoryEnumerator : public SourceEnumerator {
 public:
  explicit MemoryEnumerator(std::shared_ptr<MemoryTable> table) : table_(std::move(table)) {}

  absl::StatusOr<std::vector<PartitionName>> Discover(absl::Duration) override {
    std::vector<PartitionName> names;
    uint32_t count = table_->partitions();
    names.reserve(count);
    for (uint32_t i = 0; i < count; ++i) {
      names.push_back(absl::StrCat(kPrefix, i));
    }
    return names;
  }

  absl::StatusOr<std::vector<PartitionOffset>> ResolveStart(
      const std::vector<PartitionName>& partitions, absl::Duration timeout) override {
    return ResolveEarliest(partitions, timeout);
  }

  absl::StatusOr<std::vector<PartitionOffset>> ResolveEarliest(
      const std::vector<PartitionName>& partitions, absl::Duration) override {
    std::vector<PartitionOffset> out;
    out.reserve(partitions.size());
    for (const PartitionName& partition : partitions) {
      out.push_back({partition, Offset(0)});
    }
    return out;
  }

  absl::StatusOr<std::vector<PartitionEnd>> Ends(const std::vector<PartitionName>& partitions,
                                                 absl::Duration) override {
    std::vector<PartitionEnd> out;
    for (const PartitionName& partition : partitions) {
      ASSIGN_OR_RETURN(uint32_t number, PartitionNumber(partition));
      if (number >= table_->partitions()) {
        return absl::NotFoundError(
            absl::StrCat("partition ", partition, " is gone: the table was dropped"));
      }
      Offset end(table_->RowCount(number));
      out.push_back({partition, end, end});
    }
    return out;
  }

  absl::Status PublishOffsets(const std::vector<PartitionOffset>&, absl::Duration) override {
    return absl::OkStatus();
  }

 private:
  std::shared_ptr<MemoryTable> table_;
};

class MemoryReader : public SourceReader {
 public:
  MemoryReader(const proto::Source& source, const SourceContext& context)
      : source_(source), table_(MemoryTables::Global().Table(TableName(source))) {
    if (context.on_progress != nullptr) {
      listener_ = table_->OnAppend(context.on_progress);
    }
  }
  ~MemoryReader() override { listener_.reset(); }  // destroyed before the table

  absl::Status Assign(const KnownPartition& partition) override {
    RETURN_IF_ERROR(PartitionNumber(partition.name).status());
    absl::MutexLock lock(&mutex_);
    positions_[partition.name] = partition.next.value();
    return absl::OkStatus();
  }

  void Unassign(const PartitionName& partition) override {
    absl::MutexLock lock(&mutex_);
    positions_.erase(partition);
  }

  absl::StatusOr<SourceChunk> Read(const PartitionName& partition, Offset end, size_t max_rows,
                                   uint64_t hash_seed, absl::Time deadline) override {
    ASSIGN_OR_RETURN(uint32_t number, PartitionNumber(partition));
    ASSIGN_OR_RETURN(int64_t position, Position(partition));
    SourceChunk chunk;
    chunk.next = Offset(std::max(position, end.value()));
    chunk.input_hash = hash_seed;
    Batch rows;
    if (position < end.value()) {
      size_t wanted = std::min<size_t>(std::max<size_t>(max_rows, 1),
                                       static_cast<size_t>(end.value() - position));
      if (!table_->Read(number, position, wanted, deadline, &rows)) {
        return absl::DeadlineExceededError(absl::StrCat("memory table ", TableName(source_),
                                                        " partition ", number, " has no row ",
                                                        position, " yet"));
      }
      chunk.next = Offset(position + static_cast<int64_t>(rows.physical_rows()));
    }
    RETURN_IF_ERROR(Fill(rows, number, position, hash_seed, &chunk));
    absl::MutexLock lock(&mutex_);
    positions_[partition] = chunk.next.value();
    return chunk;
  }

  std::vector<PartitionOffset> FetchedTo() override {
    absl::MutexLock lock(&mutex_);
    std::vector<PartitionOffset> out;
    out.reserve(positions_.size());
    for (const auto& [name, position] : positions_) {
      out.push_back({name, Offset(std::max(position, table_->RowCount(*PartitionNumber(name))))});
    }
    return out;
  }

 private:
  absl::StatusOr<int64_t> Position(const PartitionName& partition) {
    absl::MutexLock lock(&mutex_);
    auto found = positions_.find(partition);
    if (found == positions_.end()) {
      return absl::FailedPreconditionError(
          absl::StrCat("partition ", partition, " is not assigned"));
    }
    return found->second;
  }

  absl::Status Fill(const Batch& rows, uint32_t partition, int64_t begin, uint64_t hash_seed,
                    SourceChunk* chunk) {
    size_t count = rows.physical_rows();
    std::vector<ColumnPtr> columns;
    for (const proto::SourceColumn& column : source_.columns()) {
      SqlType type = TypeFromProto(column.type());
      if (column.declared() < 0) {
        columns.push_back(Metadata(column.name(), partition, begin, count));
        continue;
      }
      auto declared = static_cast<size_t>(column.declared());
      if (count == 0) {
        columns.push_back(std::make_shared<Column>(type, 0));
        continue;
      }
      if (declared >= rows.column_count() || !(rows.column(declared)->type() == type)) {
        return absl::InvalidArgumentError(absl::StrCat(
            "the rows in memory table ", TableName(source_), " do not have the column ",
            column.name(), " ", type.ToString(), " at place ", declared));
      }
      columns.push_back(rows.column(declared));
    }
    std::vector<uint64_t> hashes(count);
    HashRows(rows.columns(), RowSet{nullptr, count}, hashes.data());
    RecordHash hash(hash_seed);
    for (size_t i = 0; i < count; ++i) {
      chunk->offsets.push_back(begin + static_cast<int64_t>(i));
      hash.Add(chunk->offsets.back(), {},
               {reinterpret_cast<const char*>(&hashes[i]), sizeof(uint64_t)});
    }
    chunk->input_hash = hash.value();
    for (const ColumnPtr& column : columns) {
      chunk->bytes += static_cast<int64_t>(column->ByteSize());
    }
    chunk->batch = Batch(std::move(columns), count);
    return absl::OkStatus();
  }

  static ColumnPtr Metadata(const std::string& name, uint32_t partition, int64_t begin,
                            size_t count) {
    bool is_offset = name == "_offset";
    auto column =
        std::make_shared<Column>(MakeType(is_offset ? TypeId::kInt64 : TypeId::kInt32), count);
    for (size_t i = 0; i < count; ++i) {
      if (is_offset) {
        column->mutable_values<int64_t>()[i] = begin + static_cast<int64_t>(i);
      } else {
        column->mutable_values<int32_t>()[i] = static_cast<int32_t>(partition);
      }
    }
    return column;
  }

  const proto::Source source_;
  std::shared_ptr<MemoryTable> table_;
  std::shared_ptr<void> listener_;
  absl::Mutex mutex_;
  std::map<PartitionName, int64_t> positions_ ABSL_GUARDED_BY(mutex_);
};

class MemorySourceConnector : public SourceConnector {
 public:
  absl::Status Validate(const proto::Source& source) const override {
    RETURN_IF_ERROR(
        CheckOptionNames(source.options(), "memory", {"table", "partitions", "bounded"}));
    RETURN_IF_ERROR(IntOption(source.options(), "partitions", 1, 1, 10000).status());
    RETURN_IF_ERROR(BoolOption(source.options(), "bounded", false).status());
    return CheckSourceColumns(source, MetadataColumns());
  }

  SourceTraits Traits(const proto::Source& source) const override {
    return {.bounded = BoolOption(source.options(), "bounded", false).value_or(false)};
  }

  std::vector<std::pair<std::string, SqlType>> MetadataColumns() const override {
    return {{"_partition", MakeType(TypeId::kInt32)}, {"_offset", MakeType(TypeId::kInt64)}};
  }

  absl::StatusOr<std::unique_ptr<SourceEnumerator>> CreateEnumerator(
      const proto::Source& source, const SourceContext&) const override {
    ASSIGN_OR_RETURN(int64_t partitions, IntOption(source.options(), "partitions", 1, 1, 10000));
    std::shared_ptr<MemoryTable> table = MemoryTables::Global().Table(TableName(source));
    table->SetPartitions(static_cast<uint32_t>(partitions));
    return std::make_unique<MemoryEnumerator>(std::move(table));
  }

  absl::StatusOr<std::unique_ptr<SourceReader>> CreateReader(
      const proto::Source& source, const SourceContext& context) const override {
    return std::make_unique<MemoryReader>(source, context);
  }
};

}  // namespace

std::unique_ptr<SourceConnector> NewMemorySourceConnector() {
  return std::make_unique<MemorySourceConnector>();
}

}  // namespace millrace
