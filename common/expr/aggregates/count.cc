// count(*) and count(any): rows, and rows in which the argument is not NULL.
#include <memory>

#include "common/base/status.h"
#include "common/expr/aggregates/aggregate_base.h"
#include "common/expr/aggregates/all.h"

namespace millrace {
namespace {

class Count : public TypedAggregate<int64_t> {
 public:
  explicit Count(std::vector<SqlType> args)
      : TypedAggregate("count", std::move(args), MakeType(TypeId::kInt64),
                       MakeTypes({TypeId::kInt64})) {}

  void Update(const std::vector<ColumnPtr>& args, const int64_t* weights, RowSet rows,
              const uint32_t* groups, AggregateStates states, RowErrors*) const override {
    if (args.empty() || !args[0]->has_nulls()) {
      CountRows(weights, rows, groups, states);
      return;
    }
    ForEachNonNull(*args[0], rows, [&](uint32_t i, uint32_t row) {
      states.at<int64_t>(groups[i]) += WeightOf(weights, row);
    });
  }

  void EmitPartial(AggregateStates states, const uint32_t* groups, size_t count,
                   std::vector<ColumnPtr>* out) const override {
    auto counts = std::make_shared<Column>(MakeType(TypeId::kInt64), count);
    for (size_t i = 0; i < count; ++i) {
      counts->mutable_values<int64_t>()[i] = states.at<int64_t>(groups[i]);
    }
    out->push_back(std::move(counts));
  }

  absl::Status MergePartial(const std::vector<ColumnPtr>& partials, RowSet rows,
                            const uint32_t* groups, AggregateStates states) const override {
    const int64_t* counts = partials[0]->values<int64_t>();
    ForEachRow(rows,
               [&](uint32_t i, uint32_t row) { states.at<int64_t>(groups[i]) += counts[row]; });
    return absl::OkStatus();
  }

  absl::StatusOr<ColumnPtr> Finalize(AggregateStates states, const uint32_t* groups,
                                     size_t count) const override {
    auto out = std::make_shared<Column>(result_type(), count);
    for (size_t i = 0; i < count; ++i) {
      out->mutable_values<int64_t>()[i] = states.at<int64_t>(groups[i]);
    }
    return ColumnPtr(std::move(out));
  }

 private:
  // The hot loop of a word count: groups are dense from 0 to count whatever rows are selected.
  static void CountRows(const int64_t* weights, RowSet rows, const uint32_t* groups,
                        AggregateStates states) {
    if (weights != nullptr) {
      ForEachRow(rows,
                 [&](uint32_t i, uint32_t row) { states.at<int64_t>(groups[i]) += weights[row]; });
      return;
    }
    for (size_t i = 0; i < rows.count; ++i) {
      ++states.at<int64_t>(groups[i]);
    }
  }
};

constexpr TypeId kCountable[] = {
    TypeId::kBool,      TypeId::kInt16,       TypeId::kInt32,    TypeId::kInt64, TypeId::kFloat32,
    TypeId::kFloat64,   TypeId::kNumeric,     TypeId::kText,     TypeId::kBytea, TypeId::kDate,
    TypeId::kTimestamp, TypeId::kTimestampTz, TypeId::kInterval, TypeId::kJsonb};

}  // namespace

absl::Status RegisterCount(FunctionRegistry* registry) {
  RETURN_IF_ERROR(registry->Add(std::make_unique<Count>(std::vector<SqlType>())));
  for (TypeId id : kCountable) {
    RETURN_IF_ERROR(registry->Add(std::make_unique<Count>(MakeTypes({id}))));
  }
  return absl::OkStatus();
}

}  // namespace millrace
