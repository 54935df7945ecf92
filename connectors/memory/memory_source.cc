#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/columnar/row_hash.h"
#include "connectors/memory/memory.h"
#include "connectors/memory/memory_tables.h"
#include "connectors/shared/numbered_rows.h"
#include "connectors/shared/options.h"
#include "connectors/shared/record_hash.h"

namespace millrace::memory {
namespace {

constexpr char kConnector[] = "memory";

std::string TableName(const proto::Source& source) {
  return OptionOr(source.options(), "table", source.table());
}

class MemoryEnumerator : public NumberedRowsEnumerator {
 public:
  explicit MemoryEnumerator(std::shared_ptr<MemoryTable> table)
      : NumberedRowsEnumerator(kConnector), table_(std::move(table)) {}

 protected:
  absl::StatusOr<std::vector<int64_t>> RowCounts() override {
    std::vector<int64_t> counts(table_->partitions());
    for (uint32_t i = 0; i < counts.size(); ++i) {
      counts[i] = table_->RowCount(i);
    }
    return counts;
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
    RETURN_IF_ERROR(PartitionNumber(partition.name, kConnector).status());
    positions_.Assign(partition);
    return absl::OkStatus();
  }

  void Unassign(const PartitionName& partition) override { positions_.Unassign(partition); }

  absl::StatusOr<SourceChunk> Read(const PartitionName& partition, Offset end, size_t max_rows,
                                   uint64_t hash_seed, absl::Time deadline) override {
    ASSIGN_OR_RETURN(const uint32_t number, PartitionNumber(partition, kConnector));
    ASSIGN_OR_RETURN(const int64_t position, positions_.Get(partition));
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
    positions_.Set(partition, chunk.next);
    return chunk;
  }

  std::vector<PartitionOffset> FetchedTo() override {
    std::vector<PartitionOffset> fetched = positions_.All();
    for (PartitionOffset& one : fetched) {
      const uint32_t number = *PartitionNumber(one.partition, kConnector);
      one.offset = std::max(one.offset, Offset(table_->RowCount(number)));
    }
    return fetched;
  }

 private:
  absl::Status Fill(const Batch& rows, uint32_t partition, int64_t begin, uint64_t hash_seed,
                    SourceChunk* chunk) {
    size_t count = rows.physical_rows();
    std::vector<ColumnPtr> columns;
    for (const proto::SourceColumn& column : source_.columns()) {
      SqlType type = TypeFromProto(column.type());
      if (column.declared() < 0) {
        columns.push_back(NumberedRowsColumn(column.name(), partition, begin, count));
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

  const proto::Source source_;
  std::shared_ptr<MemoryTable> table_;
  std::shared_ptr<void> listener_;
  ReadPositions positions_;
};

class MemorySourceConnector : public SourceConnector {
 public:
  absl::Status Validate(const proto::Source& source) const override {
    RETURN_IF_ERROR(
        CheckOptionNames(source.options(), kConnector, {"table", "partitions", "bounded"}));
    RETURN_IF_ERROR(IntOption(source.options(), "partitions", 1, 1, 10000).status());
    RETURN_IF_ERROR(BoolOption(source.options(), "bounded", false).status());
    return CheckSourceColumns(source, MetadataColumns());
  }

  SourceTraits Traits(const proto::Source& source) const override {
    return {.bounded = BoolOption(source.options(), "bounded", false).value_or(false)};
  }

  std::vector<std::pair<std::string, SqlType>> MetadataColumns() const override {
    return NumberedRowsMetadata();
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

}  // namespace millrace::memory
