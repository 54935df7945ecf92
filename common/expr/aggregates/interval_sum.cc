// sum and avg of interval: months, days and microseconds summed apart.
#include <cmath>
#include <limits>
#include <memory>

#include "common/base/status.h"
#include "common/expr/aggregates/aggregate_base.h"
#include "common/expr/aggregates/all.h"
#include "common/types/interval.h"

namespace millrace {
namespace {

struct IntervalSumState {
  __int128 micros = 0;
  int64_t months = 0;
  int64_t days = 0;
  int64_t count = 0;  // of values that are not NULL
};

template <typename Narrow, typename Wide>
bool Fits(Wide value) {
  return value >= std::numeric_limits<Narrow>::min() && value <= std::numeric_limits<Narrow>::max();
}

absl::StatusOr<Interval> Sum(const IntervalSumState& state) {
  if (!Fits<int32_t>(state.months) || !Fits<int32_t>(state.days) || !Fits<int64_t>(state.micros)) {
    return absl::OutOfRangeError("interval out of range");
  }
  return Interval{.months = static_cast<int32_t>(state.months),
                  .days = static_cast<int32_t>(state.days),
                  .micros = static_cast<int64_t>(state.micros)};
}

// PostgreSQL rounds the fractions it carries down to microseconds (TSROUND).
double RoundToMicros(double value) { return std::rint(value * 1e6) / 1e6; }

// As PostgreSQL's interval_div: fractions of months become days of 30, fractions of days seconds.
Interval Divide(const Interval& sum, double divisor) {
  constexpr double kSecondsPerDay = 86400;
  Interval out;
  out.months = static_cast<int32_t>(sum.months / divisor);
  out.days = static_cast<int32_t>(sum.days / divisor);
  double days = RoundToMicros((sum.months / divisor - out.months) * 30);
  double seconds = (sum.days / divisor - out.days + days - static_cast<int>(days)) * kSecondsPerDay;
  seconds = RoundToMicros(seconds);
  if (std::abs(seconds) >= kSecondsPerDay) {
    int whole_days = static_cast<int>(seconds / kSecondsPerDay);
    out.days += whole_days;
    seconds -= whole_days * kSecondsPerDay;
  }
  out.days += static_cast<int32_t>(days);
  out.micros =
      static_cast<int64_t>(std::rint(static_cast<double>(sum.micros) / divisor + seconds * 1e6));
  return out;
}

class IntervalSum : public TypedAggregate<IntervalSumState> {
 public:
  explicit IntervalSum(bool average)
      : TypedAggregate(average ? "avg" : "sum", MakeTypes({TypeId::kInterval}),
                       MakeType(TypeId::kInterval),
                       MakeTypes({TypeId::kInt64, TypeId::kInt64, TypeId::kInt64, TypeId::kInt64,
                                  TypeId::kInt64})),
        average_(average) {}

  void Update(const std::vector<ColumnPtr>& args, const int64_t* weights, RowSet rows,
              const uint32_t* groups, AggregateStates states, RowErrors*) const override {
    const auto* values = args[0]->values<Interval>();
    ForEachNonNull(*args[0], rows, [&](uint32_t i, uint32_t row) {
      auto& state = states.at<IntervalSumState>(groups[i]);
      int64_t weight = WeightOf(weights, row);
      state.months += values[row].months * weight;
      state.days += values[row].days * weight;
      state.micros += static_cast<__int128>(values[row].micros) * weight;
      state.count += weight;
    });
  }

  void EmitPartial(AggregateStates states, const uint32_t* groups, size_t count,
                   std::vector<ColumnPtr>* out) const override {
    auto columns = NewPartials(count);
    for (size_t i = 0; i < count; ++i) {
      const auto& state = states.at<IntervalSumState>(groups[i]);
      StoreInt128(state.micros, i, columns[0].get(), columns[1].get());
      columns[2]->mutable_values<int64_t>()[i] = state.months;
      columns[3]->mutable_values<int64_t>()[i] = state.days;
      columns[4]->mutable_values<int64_t>()[i] = state.count;
    }
    Append(columns, out);
  }

  absl::Status MergePartial(const std::vector<ColumnPtr>& partials, RowSet rows,
                            const uint32_t* groups, AggregateStates states) const override {
    ForEachRow(rows, [&](uint32_t i, uint32_t row) {
      auto& state = states.at<IntervalSumState>(groups[i]);
      state.micros += LoadInt128(*partials[0], *partials[1], row);
      state.months += partials[2]->value<int64_t>(row);
      state.days += partials[3]->value<int64_t>(row);
      state.count += partials[4]->value<int64_t>(row);
    });
    return absl::OkStatus();
  }

  absl::StatusOr<ColumnPtr> Finalize(AggregateStates states, const uint32_t* groups,
                                     size_t count) const override {
    auto out = std::make_shared<Column>(result_type(), count);
    for (size_t i = 0; i < count; ++i) {
      const auto& state = states.at<IntervalSumState>(groups[i]);
      if (state.count == 0) {
        out->SetNull(i);
        continue;
      }
      ASSIGN_OR_RETURN(Interval sum, Sum(state));
      out->mutable_values<Interval>()[i] =
          average_ ? Divide(sum, static_cast<double>(state.count)) : sum;
    }
    return ColumnPtr(std::move(out));
  }

 private:
  const bool average_;
};

}  // namespace

absl::Status RegisterIntervalSums(FunctionRegistry* registry) {
  RETURN_IF_ERROR(registry->Add(std::make_unique<IntervalSum>(false)));
  return registry->Add(std::make_unique<IntervalSum>(true));
}

}  // namespace millrace
