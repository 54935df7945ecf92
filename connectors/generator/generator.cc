#include "connectors/generator/generator.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "connectors/generator/column_generator.h"
#include "connectors/shared/numbered_rows.h"
#include "connectors/shared/options.h"
#include "connectors/shared/record_hash.h"

namespace millrace::generator {
namespace {

// More rows than anyone reads; the difference of two such numbers still fits an int64.
constexpr int64_t kUnlimited = int64_t{1} << 60;
constexpr char kConnector[] = "generator";

struct GeneratorOptions {
  double rows_per_second = 0;
  int64_t rows = 0;
  int64_t partitions = 1;
  uint64_t seed = 0;
};

absl::StatusOr<GeneratorOptions> ParseOptions(const OptionMap& options) {
  GeneratorOptions out;
  ASSIGN_OR_RETURN(out.rows_per_second, DoubleOption(options, "rows_per_second", 0, 0, 1e9));
  ASSIGN_OR_RETURN(out.rows, IntOption(options, "rows", 0, 0, kUnlimited));
  ASSIGN_OR_RETURN(out.partitions, IntOption(options, "partitions", 1, 1, 10000));
  ASSIGN_OR_RETURN(int64_t seed, IntOption(options, "seed", 0, INT64_MIN, INT64_MAX));
  out.seed = static_cast<uint64_t>(seed);
  return out;
}

// How many of `rows` partition `number` gets, when partitions take turns.
int64_t ShareOf(int64_t rows, int64_t number, int64_t partitions) {
  return (rows + partitions - 1 - number) / partitions;
}

class GeneratorEnumerator : public NumberedRowsEnumerator {
 public:
  GeneratorEnumerator(GeneratorOptions options, Clock* clock)
      : NumberedRowsEnumerator(kConnector),
        options_(options),
        clock_(clock),
        begin_ns_(clock->MonotonicNs()) {}

  // Moves the clock's origin for a job that goes on, so that it does not wait until the clock has
  // caught up with what it has read.
  void Remember(const std::vector<KnownPartition>& known) override {
    for (const KnownPartition& one : known) {
      read_[one.name] = one.next.value();
    }
    int64_t rows = 0;
    for (const auto& [name, next] : read_) {
      rows += next;
    }
    if (options_.rows_per_second > 0 && rows > Due()) {
      begin_ns_ = clock_->MonotonicNs() -
                  static_cast<int64_t>(static_cast<double>(rows) / options_.rows_per_second * 1e9);
    }
  }

 protected:
  absl::StatusOr<std::vector<int64_t>> RowCounts() override {
    const int64_t due = Due();
    std::vector<int64_t> counts;
    counts.reserve(static_cast<size_t>(options_.partitions));
    for (int64_t i = 0; i < options_.partitions; ++i) {
      counts.push_back(ShareOf(due, i, options_.partitions));
    }
    return counts;
  }

 private:
  // The number of rows, over all partitions, that exist by now.
  int64_t Due() {
    int64_t all = options_.rows > 0 ? options_.rows : kUnlimited;
    if (options_.rows_per_second == 0) {
      return all;
    }
    double elapsed = static_cast<double>(clock_->MonotonicNs() - begin_ns_) * 1e-9;
    return std::min(all, static_cast<int64_t>(std::floor(elapsed * options_.rows_per_second)));
  }

  const GeneratorOptions options_;
  Clock* const clock_;
  int64_t begin_ns_;
  std::map<PartitionName, int64_t> read_;  // how far the job had read when it was last told
};

class GeneratorReader : public SourceReader {
 public:
  GeneratorReader(const proto::Source& source, GeneratorOptions options,
                  std::vector<ColumnGenerator> generators)
      : source_(source), options_(options), generators_(std::move(generators)) {}

  absl::Status Assign(const KnownPartition& partition) override {
    RETURN_IF_ERROR(Number(partition.name).status());
    positions_.Assign(partition);
    return absl::OkStatus();
  }

  void Unassign(const PartitionName& partition) override { positions_.Unassign(partition); }

  absl::StatusOr<SourceChunk> Read(const PartitionName& partition, Offset end, size_t max_rows,
                                   uint64_t hash_seed, absl::Time) override {
    GeneratedRange range{.partitions = options_.partitions};
    ASSIGN_OR_RETURN(range.partition, Number(partition));
    ASSIGN_OR_RETURN(range.begin, positions_.Get(partition));
    const int64_t last = options_.rows > 0
                             ? ShareOf(options_.rows, range.partition, options_.partitions)
                             : kUnlimited;
    const int64_t left = std::max<int64_t>(0, std::min(end.value(), last) - range.begin);
    range.count = std::min<size_t>(static_cast<size_t>(left), std::max<size_t>(max_rows, 1));
    Offset next(range.begin + static_cast<int64_t>(range.count));
    if (next.value() >= last) {  // no rows lie behind
      next = std::max(next, end);
    }
    positions_.Set(partition, next);
    return Build(range, end, hash_seed);
  }

  std::vector<PartitionOffset> FetchedTo() override { return positions_.All(); }

 private:
  absl::StatusOr<uint32_t> Number(const PartitionName& partition) const {
    return PartitionNumber(partition, kConnector, static_cast<size_t>(options_.partitions));
  }

  SourceChunk Build(const GeneratedRange& range, Offset end, uint64_t hash_seed) const {
    SourceChunk chunk;
    int64_t next = range.begin + static_cast<int64_t>(range.count);
    chunk.next = Offset(range.count == 0 ? std::max(end.value(), range.begin) : next);
    RecordHash hash(hash_seed);
    for (size_t i = 0; i < range.count; ++i) {
      chunk.offsets.push_back(range.begin + static_cast<int64_t>(i));
      hash.Add(chunk.offsets.back(), {}, {});
    }
    chunk.input_hash = hash.value();
    std::vector<ColumnPtr> columns;
    size_t generator = 0;
    for (const proto::SourceColumn& column : source_.columns()) {
      columns.push_back(column.declared() >= 0
                            ? generators_[generator++].Generate(range)
                            : NumberedRowsColumn(column.name(),
                                                 static_cast<uint32_t>(range.partition),
                                                 range.begin, range.count));
      chunk.bytes += static_cast<int64_t>(columns.back()->ByteSize());
    }
    chunk.batch = Batch(std::move(columns), range.count);
    return chunk;
  }

  const proto::Source source_;
  const GeneratorOptions options_;
  const std::vector<ColumnGenerator> generators_;  // for the declared columns among source_.columns
  ReadPositions positions_;
};

class GeneratorSourceConnector : public SourceConnector {
 public:
  explicit GeneratorSourceConnector(Clock* clock) : clock_(clock) {}

  absl::Status Validate(const proto::Source& source) const override {
    RETURN_IF_ERROR(CheckOptionNames(
        source.options(), kConnector,
        {"rows_per_second", "rows", "partitions", "seed", "kind.<column>", "min.<column>",
         "max.<column>", "step.<column>", "cardinality.<column>", "length.<column>"}));
    if (!source.format().empty()) {
      return absl::InvalidArgumentError(
          "connector generator makes rows, not records: leave the option format out");
    }
    RETURN_IF_ERROR(CheckColumnOptions(source));
    RETURN_IF_ERROR(ParseOptions(source.options()).status());
    RETURN_IF_ERROR(CheckSourceColumns(source, MetadataColumns()));
    for (int i = 0; i < source.declared_size(); ++i) {
      RETURN_IF_ERROR(GeneratorOf(source, i).status());
    }
    return absl::OkStatus();
  }

  SourceTraits Traits(const proto::Source& source) const override {
    const absl::StatusOr<GeneratorOptions> options = ParseOptions(source.options());
    return {
        // Ends follow the clock from when the enumerator was made: after a restart, the first ends
        // lie before what was read.
        .keeps_records = false,
        .bounded = options.ok() && options->rows > 0 && options->rows_per_second == 0,
    };
  }

  std::vector<std::pair<std::string, SqlType>> MetadataColumns() const override {
    return NumberedRowsMetadata();
  }

  absl::StatusOr<std::unique_ptr<SourceEnumerator>> CreateEnumerator(
      const proto::Source& source, const SourceContext&) const override {
    ASSIGN_OR_RETURN(GeneratorOptions options, ParseOptions(source.options()));
    return std::make_unique<GeneratorEnumerator>(options, clock_);
  }

  absl::StatusOr<std::unique_ptr<SourceReader>> CreateReader(const proto::Source& source,
                                                             const SourceContext&) const override {
    ASSIGN_OR_RETURN(GeneratorOptions options, ParseOptions(source.options()));
    std::vector<ColumnGenerator> generators;
    for (const proto::SourceColumn& column : source.columns()) {
      if (column.declared() >= 0) {
        ASSIGN_OR_RETURN(ColumnGenerator generator, GeneratorOf(source, column.declared()));
        generators.push_back(generator);
      }
    }
    return std::make_unique<GeneratorReader>(source, options, std::move(generators));
  }

 private:
  static absl::StatusOr<ColumnGenerator> GeneratorOf(const proto::Source& source, int declared) {
    ASSIGN_OR_RETURN(GeneratorOptions options, ParseOptions(source.options()));
    const proto::Field& field = source.declared(declared);
    return ColumnGenerator::Create(source.options(), field.name(), TypeFromProto(field.type()),
                                   options.seed, static_cast<uint32_t>(declared));
  }

  // Refuses options for columns that do not exist: "kind.wrod" would otherwise be ignored.
  static absl::Status CheckColumnOptions(const proto::Source& source) {
    std::vector<std::string> names;
    for (const proto::Field& field : source.declared()) {
      names.push_back(field.name());
    }
    for (const auto& [option, value] : source.options()) {
      size_t point = option.find('.');
      if (point != std::string::npos &&
          std::find(names.begin(), names.end(), option.substr(point + 1)) == names.end()) {
        std::vector<std::string> near = NearNames(option.substr(point + 1), names);
        return absl::InvalidArgumentError(
            absl::StrCat("option ", option, ": the table has no such column",
                         near.empty() ? "" : absl::StrCat("; did you mean ", near[0], "?")));
      }
    }
    return absl::OkStatus();
  }

  Clock* clock_;
};

}  // namespace

std::unique_ptr<SourceConnector> NewGeneratorSourceConnector(Clock* clock) {
  return std::make_unique<GeneratorSourceConnector>(clock);
}

}  // namespace millrace::generator
