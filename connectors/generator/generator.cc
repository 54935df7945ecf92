#include "connectors/generator/generator.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/status.h"
#include "connectors/generator/column_generator.h"
#include "connectors/options.h"
#include "connectors/record_hash.h"

namespace millrace {
namespace {

// More rows than anyone reads; the difference of two such numbers still fits an int64.
constexpr int64_t kUnlimited = int64_t{1} << 60;
constexpr char kPrefix[] = "generator/";

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

absl::StatusOr<int64_t> PartitionNumber(const PartitionName& name, int64_t partitions) {
  int64_t number = -1;
  if (!absl::StartsWith(name, kPrefix) ||
      !absl::SimpleAtoi(name.substr(sizeof(kPrefix) - 1), &number) || number < 0 ||
      number >= partitions) {
    return absl::NotFoundError(absl::StrCat("there is no partition \"", name, "\"; there are ",
                                            kPrefix, "0 to ", kPrefix, partitions - 1));
  }
  return number;
}

// How many of `rows` partition `number` gets, when partitions take turns.
int64_t ShareOf(int64_t rows, int64_t number, int64_t partitions) {
  return (rows + partitions - 1 - number) / partitions;
}

class GeneratorEnumerator : public SourceEnumerator {
 public:
  GeneratorEnumerator(GeneratorOptions options, Clock* clock)
      : options_(options), clock_(clock), begin_ns_(clock->MonotonicNs()) {}

  absl::StatusOr<std::vector<PartitionName>> Discover(absl::Duration) override {
    std::vector<PartitionName> names;
    names.reserve(static_cast<size_t>(options_.partitions));
    for (int64_t i = 0; i < options_.partitions; ++i) {
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
    for (const PartitionName& partition : partitions) {
      RETURN_IF_ERROR(PartitionNumber(partition, options_.partitions).status());
      out.push_back({partition, Offset(0)});
    }
    return out;
  }

  absl::StatusOr<std::vector<PartitionEnd>> Ends(const std::vector<PartitionName>& partitions,
                                                 absl::Duration) override {
    int64_t due = Due();
    std::vector<PartitionEnd> out;
    for (const PartitionName& partition : partitions) {
      ASSIGN_OR_RETURN(int64_t number, PartitionNumber(partition, options_.partitions));
      Offset end(ShareOf(due, number, options_.partitions));
      out.push_back({partition, end, end});
    }
    return out;
  }

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

  absl::Status PublishOffsets(const std::vector<PartitionOffset>&, absl::Duration) override {
    return absl::OkStatus();
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
    RETURN_IF_ERROR(PartitionNumber(partition.name, options_.partitions).status());
    absl::MutexLock lock(&mutex_);
    positions_[partition.name] = partition.next.value();
    return absl::OkStatus();
  }

  void Unassign(const PartitionName& partition) override {
    absl::MutexLock lock(&mutex_);
    positions_.erase(partition);
  }

  absl::StatusOr<SourceChunk> Read(const PartitionName& partition, Offset end, size_t max_rows,
                                   uint64_t hash_seed, absl::Time) override {
    ASSIGN_OR_RETURN(int64_t number, PartitionNumber(partition, options_.partitions));
    GeneratedRange range{.partition = number, .partitions = options_.partitions};
    {
      absl::MutexLock lock(&mutex_);
      auto found = positions_.find(partition);
      if (found == positions_.end()) {
        return absl::FailedPreconditionError(
            absl::StrCat("partition ", partition, " is not assigned"));
      }
      range.begin = found->second;
      int64_t last =
          options_.rows > 0 ? ShareOf(options_.rows, number, options_.partitions) : kUnlimited;
      int64_t left = std::max<int64_t>(0, std::min(end.value(), last) - range.begin);
      range.count = std::min<size_t>(static_cast<size_t>(left), std::max<size_t>(max_rows, 1));
      found->second += static_cast<int64_t>(range.count);
      if (found->second >= last) {  // no rows lie behind
        found->second = std::max(found->second, end.value());
      }
    }
    return Build(range, end, hash_seed);
  }

  std::vector<PartitionOffset> FetchedTo() override {
    absl::MutexLock lock(&mutex_);
    std::vector<PartitionOffset> out;
    out.reserve(positions_.size());
    for (const auto& [name, position] : positions_) {
      out.push_back({name, Offset(position)});
    }
    return out;
  }

 private:
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
      columns.push_back(column.declared() >= 0 ? generators_[generator++].Generate(range)
                                               : Metadata(column.name(), range));
      chunk.bytes += static_cast<int64_t>(columns.back()->ByteSize());
    }
    chunk.batch = Batch(std::move(columns), range.count);
    return chunk;
  }

  static ColumnPtr Metadata(const std::string& name, const GeneratedRange& range) {
    bool is_offset = name == "_offset";
    auto column = std::make_shared<Column>(MakeType(is_offset ? TypeId::kInt64 : TypeId::kInt32),
                                           range.count);
    for (size_t i = 0; i < range.count; ++i) {
      if (is_offset) {
        column->mutable_values<int64_t>()[i] = range.begin + static_cast<int64_t>(i);
      } else {
        column->mutable_values<int32_t>()[i] = static_cast<int32_t>(range.partition);
      }
    }
    return column;
  }

  const proto::Source source_;
  const GeneratorOptions options_;
  const std::vector<ColumnGenerator> generators_;  // for the declared columns among source_.columns
  absl::Mutex mutex_;
  std::map<PartitionName, int64_t> positions_ ABSL_GUARDED_BY(mutex_);
};

class GeneratorSourceConnector : public SourceConnector {
 public:
  explicit GeneratorSourceConnector(Clock* clock) : clock_(clock) {}

  absl::Status Validate(const proto::Source& source) const override {
    RETURN_IF_ERROR(CheckOptionNames(
        source.options(), "generator",
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
    return {{"_partition", MakeType(TypeId::kInt32)}, {"_offset", MakeType(TypeId::kInt64)}};
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

}  // namespace millrace
