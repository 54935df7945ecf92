// bool_and (alias every) and bool_or, kept as counts of true and of false, so that rows can be
// retracted.
#include <memory>

#include "common/base/status.h"
#include "common/expr/aggregates/aggregate_base.h"
#include "common/expr/aggregates/all.h"

namespace millrace {
namespace {

struct BoolState {
  int64_t falses = 0;
  int64_t trues = 0;
};

class BoolAggregate : public TypedAggregate<BoolState> {
 public:
  BoolAggregate(std::string name, bool conjunction)
      : TypedAggregate(std::move(name), MakeTypes({TypeId::kBool}), MakeType(TypeId::kBool),
                       MakeTypes({TypeId::kInt64, TypeId::kInt64})),
        conjunction_(conjunction) {}

  void Update(const std::vector<ColumnPtr>& args, const int64_t* weights, RowSet rows,
              const uint32_t* groups, AggregateStates states, RowErrors*) const override {
    const auto* values = args[0]->values<uint8_t>();
    ForEachNonNull(*args[0], rows, [&](uint32_t i, uint32_t row) {
      auto& state = states.at<BoolState>(groups[i]);
      (values[row] != 0 ? state.trues : state.falses) += WeightOf(weights, row);
    });
  }

  void EmitPartial(AggregateStates states, const uint32_t* groups, size_t count,
                   std::vector<ColumnPtr>* out) const override {
    auto columns = NewPartials(count);
    for (size_t i = 0; i < count; ++i) {
      columns[0]->mutable_values<int64_t>()[i] = states.at<BoolState>(groups[i]).falses;
      columns[1]->mutable_values<int64_t>()[i] = states.at<BoolState>(groups[i]).trues;
    }
    Append(columns, out);
  }

  absl::Status MergePartial(const std::vector<ColumnPtr>& partials, RowSet rows,
                            const uint32_t* groups, AggregateStates states) const override {
    ForEachRow(rows, [&](uint32_t i, uint32_t row) {
      auto& state = states.at<BoolState>(groups[i]);
      state.falses += partials[0]->value<int64_t>(row);
      state.trues += partials[1]->value<int64_t>(row);
    });
    return absl::OkStatus();
  }

  absl::StatusOr<ColumnPtr> Finalize(AggregateStates states, const uint32_t* groups,
                                     size_t count) const override {
    auto out = std::make_shared<Column>(result_type(), count);
    for (size_t i = 0; i < count; ++i) {
      const auto& state = states.at<BoolState>(groups[i]);
      bool result = conjunction_ ? state.falses == 0 : state.trues != 0;
      if (state.falses == 0 && state.trues == 0) {
        out->SetNull(i);
      } else {
        out->mutable_values<uint8_t>()[i] = result ? 1 : 0;
      }
    }
    return ColumnPtr(std::move(out));
  }

 private:
  const bool conjunction_;
};

}  // namespace

absl::Status RegisterBoolAndOr(FunctionRegistry* registry) {
  RETURN_IF_ERROR(registry->Add(std::make_unique<BoolAggregate>("bool_and", true)));
  RETURN_IF_ERROR(registry->Add(std::make_unique<BoolAggregate>("every", true)));
  return registry->Add(std::make_unique<BoolAggregate>("bool_or", false));
}

}  // namespace millrace
