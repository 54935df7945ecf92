// sum and avg of real and double precision over exact sums. Results as in PostgreSQL: sum(real) is
// real, the others are double precision; the last digits are those of the exactly rounded sum, in
// whatever order the rows came.
#include <memory>

#include "common/base/status.h"
#include "common/expr/aggregates/aggregate_base.h"
#include "common/expr/aggregates/all.h"
#include "common/expr/aggregates/exact_sum.h"

namespace millrace {
namespace {

struct FloatSumState {
  ExactSum sum;
  int64_t count = 0;  // of values that are not NULL

  size_t OwnedBytes() const { return sum.OwnedBytes(); }
};

template <typename T>
class FloatSum : public TypedAggregate<FloatSumState> {
 public:
  FloatSum(TypeId arg, bool average)
      : TypedAggregate(average ? "avg" : "sum", MakeTypes({arg}),
                       MakeType(average ? TypeId::kFloat64 : arg),
                       MakeTypes({TypeId::kBytea, TypeId::kInt64})),
        average_(average) {}

  void Update(const std::vector<ColumnPtr>& args, const int64_t* weights, RowSet rows,
              const uint32_t* groups, AggregateStates states, RowErrors*) const override {
    const T* values = args[0]->values<T>();
    ForEachNonNull(*args[0], rows, [&](uint32_t i, uint32_t row) {
      auto& state = states.at<FloatSumState>(groups[i]);
      int64_t weight = WeightOf(weights, row);
      state.sum.Add(values[row], weight);
      state.count += weight;
    });
  }

  void EmitPartial(AggregateStates states, const uint32_t* groups, size_t count,
                   std::vector<ColumnPtr>* out) const override {
    auto columns = NewPartials(count);
    for (size_t i = 0; i < count; ++i) {
      const auto& state = states.at<FloatSumState>(groups[i]);
      columns[0]->SetTextCopy(i, state.sum.Encode());
      columns[1]->template mutable_values<int64_t>()[i] = state.count;
    }
    Append(columns, out);
  }

  absl::Status MergePartial(const std::vector<ColumnPtr>& partials, RowSet rows,
                            const uint32_t* groups, AggregateStates states) const override {
    absl::Status status;
    ForEachRow(rows, [&](uint32_t i, uint32_t row) {
      auto& state = states.at<FloatSumState>(groups[i]);
      status.Update(state.sum.AddEncoded(partials[0]->value<TextView>(row).view()));
      state.count += partials[1]->value<int64_t>(row);
    });
    return status;
  }

  absl::StatusOr<ColumnPtr> Finalize(AggregateStates states, const uint32_t* groups,
                                     size_t count) const override {
    auto out = std::make_shared<Column>(result_type(), count);
    for (size_t i = 0; i < count; ++i) {
      const auto& state = states.at<FloatSumState>(groups[i]);
      if (state.count == 0) {
        out->SetNull(i);
      } else if (average_) {
        ASSIGN_OR_RETURN(double sum, state.sum.ToDouble());
        out->template mutable_values<double>()[i] = sum / static_cast<double>(state.count);
      } else {
        RETURN_IF_ERROR(StoreSum(state.sum, i, out.get()));
      }
    }
    return ColumnPtr(std::move(out));
  }

 private:
  static absl::Status StoreSum(const ExactSum& sum, size_t row, Column* out) {
    if constexpr (std::is_same_v<T, float>) {
      ASSIGN_OR_RETURN(out->mutable_values<float>()[row], sum.ToFloat());
    } else {
      ASSIGN_OR_RETURN(out->mutable_values<double>()[row], sum.ToDouble());
    }
    return absl::OkStatus();
  }

  const bool average_;
};

}  // namespace

absl::Status RegisterFloatSums(FunctionRegistry* registry) {
  for (bool average : {false, true}) {
    RETURN_IF_ERROR(registry->Add(std::make_unique<FloatSum<float>>(TypeId::kFloat32, average)));
    RETURN_IF_ERROR(registry->Add(std::make_unique<FloatSum<double>>(TypeId::kFloat64, average)));
  }
  return absl::OkStatus();
}

}  // namespace millrace
