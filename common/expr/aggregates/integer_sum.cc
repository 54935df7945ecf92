// sum and avg of integers: an exact 128-bit sum and a count. sum(smallint), sum(integer) are
// bigint; sum(bigint) and all averages are numeric, as in PostgreSQL.
#include <limits>
#include <memory>

#include "common/base/status.h"
#include "common/columnar/owned_values.h"
#include "common/expr/aggregates/aggregate_base.h"
#include "common/expr/aggregates/all.h"
#include "common/types/numeric.h"

namespace millrace {
namespace {

struct IntegerSumState {
  __int128 sum = 0;
  int64_t count = 0;  // of values that are not NULL
};

enum class SumResult { kBigint, kNumeric, kAverage };

template <typename T>
class IntegerSum : public TypedAggregate<IntegerSumState> {
 public:
  IntegerSum(TypeId arg, SumResult result)
      : TypedAggregate(result == SumResult::kAverage ? "avg" : "sum", MakeTypes({arg}),
                       MakeType(result == SumResult::kBigint ? TypeId::kInt64 : TypeId::kNumeric),
                       MakeTypes({TypeId::kInt64, TypeId::kInt64, TypeId::kInt64})),
        result_(result) {}

  void Update(const std::vector<ColumnPtr>& args, const int64_t* weights, RowSet rows,
              const uint32_t* groups, AggregateStates states, RowErrors*) const override {
    const T* values = args[0]->values<T>();
    ForEachNonNull(*args[0], rows, [&](uint32_t i, uint32_t row) {
      auto& state = states.at<IntegerSumState>(groups[i]);
      int64_t weight = WeightOf(weights, row);
      state.sum += static_cast<__int128>(values[row]) * weight;
      state.count += weight;
    });
  }

  void EmitPartial(AggregateStates states, const uint32_t* groups, size_t count,
                   std::vector<ColumnPtr>* out) const override {
    auto columns = NewPartials(count);
    for (size_t i = 0; i < count; ++i) {
      const auto& state = states.at<IntegerSumState>(groups[i]);
      StoreInt128(state.sum, i, columns[0].get(), columns[1].get());
      columns[2]->template mutable_values<int64_t>()[i] = state.count;
    }
    Append(columns, out);
  }

  absl::Status MergePartial(const std::vector<ColumnPtr>& partials, RowSet rows,
                            const uint32_t* groups, AggregateStates states) const override {
    ForEachRow(rows, [&](uint32_t i, uint32_t row) {
      auto& state = states.at<IntegerSumState>(groups[i]);
      state.sum += LoadInt128(*partials[0], *partials[1], row);
      state.count += partials[2]->value<int64_t>(row);
    });
    return absl::OkStatus();
  }

  absl::StatusOr<ColumnPtr> Finalize(AggregateStates states, const uint32_t* groups,
                                     size_t count) const override {
    auto out = std::make_shared<Column>(result_type(), count);
    for (size_t i = 0; i < count; ++i) {
      const auto& state = states.at<IntegerSumState>(groups[i]);
      if (state.count == 0) {
        out->SetNull(i);
      } else {
        RETURN_IF_ERROR(FinalizeOne(state, i, out.get()));
      }
    }
    return ColumnPtr(std::move(out));
  }

 private:
  absl::Status FinalizeOne(const IntegerSumState& state, size_t row, Column* out) const {
    if (result_ == SumResult::kBigint) {
      if (state.sum > std::numeric_limits<int64_t>::max() ||
          state.sum < std::numeric_limits<int64_t>::min()) {
        return absl::OutOfRangeError("bigint out of range");
      }
      out->mutable_values<int64_t>()[row] = static_cast<int64_t>(state.sum);
      return absl::OkStatus();
    }
    NumericValue sum = Numeric::FromInt128(state.sum);
    if (result_ == SumResult::kAverage) {
      ASSIGN_OR_RETURN(sum, Numeric::Divide(sum, Numeric::FromInt64(state.count)));
    }
    SetNumeric(sum, out, row);
    return absl::OkStatus();
  }

  const SumResult result_;
};

template <typename T>
absl::Status Register(TypeId arg, SumResult sum, FunctionRegistry* registry) {
  RETURN_IF_ERROR(registry->Add(std::make_unique<IntegerSum<T>>(arg, sum)));
  return registry->Add(std::make_unique<IntegerSum<T>>(arg, SumResult::kAverage));
}

}  // namespace

absl::Status RegisterIntegerSums(FunctionRegistry* registry) {
  RETURN_IF_ERROR(Register<int16_t>(TypeId::kInt16, SumResult::kBigint, registry));
  RETURN_IF_ERROR(Register<int32_t>(TypeId::kInt32, SumResult::kBigint, registry));
  return Register<int64_t>(TypeId::kInt64, SumResult::kNumeric, registry);
}

}  // namespace millrace
