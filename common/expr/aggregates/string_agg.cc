// string_agg(text, text): the values in order of (partition, offset), each but the first with its
// own row's delimiter in front. It is the only aggregate whose result depends on order, and it
// cannot retract.
#include <memory>

#include "common/base/check.h"
#include "common/base/status.h"
#include "common/expr/aggregates/aggregate_base.h"
#include "common/expr/aggregates/all.h"

namespace millrace {
namespace {

// All delimiters and values so far. The first delimiter is kept, because it is needed when this
// state is merged behind another one.
class StringAggState {
 public:
  StringAggState() = default;
  StringAggState(const StringAggState&) = delete;
  StringAggState& operator=(const StringAggState&) = delete;
  ~StringAggState() { delete text_; }

  void Add(std::string_view delimiter, std::string_view value) {
    Append(delimiter, static_cast<int64_t>(delimiter.size()));
    text_->append(value);
  }
  // `text` begins with a delimiter of `first_delimiter` bytes.
  void Append(std::string_view text, int64_t first_delimiter) {
    if (text_ == nullptr) {
      text_ = new std::string();
      first_delimiter_ = first_delimiter;
    }
    text_->append(text);
  }

  bool empty() const { return text_ == nullptr; }
  const std::string& text() const { return *text_; }
  int64_t first_delimiter() const { return first_delimiter_; }
  size_t OwnedBytes() const {
    return text_ == nullptr ? 0 : sizeof(std::string) + text_->capacity();
  }

 private:
  std::string* text_ = nullptr;
  int64_t first_delimiter_ = 0;
};

class StringAgg : public TypedAggregate<StringAggState> {
 public:
  StringAgg()
      : TypedAggregate("string_agg", MakeTypes({TypeId::kText, TypeId::kText}),
                       MakeType(TypeId::kText), MakeTypes({TypeId::kBytea, TypeId::kInt64})) {}

  bool commutes() const override { return false; }
  bool append_only() const override { return true; }

  void Update(const std::vector<ColumnPtr>& args, const int64_t* weights, RowSet rows,
              const uint32_t* groups, AggregateStates states, RowErrors*) const override {
    ForEachNonNull(*args[0], rows, [&](uint32_t i, uint32_t row) {
      int64_t weight = WeightOf(weights, row);
      MILLRACE_CHECK(weight > 0) << "string_agg was given a retraction";
      std::string_view delimiter = args[1]->IsNull(row) ? "" : args[1]->value<TextView>(row).view();
      for (; weight > 0; --weight) {
        states.at<StringAggState>(groups[i]).Add(delimiter, args[0]->value<TextView>(row).view());
      }
    });
  }

  void EmitPartial(AggregateStates states, const uint32_t* groups, size_t count,
                   std::vector<ColumnPtr>* out) const override {
    auto columns = NewPartials(count);
    for (size_t i = 0; i < count; ++i) {
      const auto& state = states.at<StringAggState>(groups[i]);
      columns[1]->mutable_values<int64_t>()[i] = state.first_delimiter();
      if (state.empty()) {
        columns[0]->SetNull(i);
      } else {
        columns[0]->SetTextCopy(i, state.text());
      }
    }
    Append(columns, out);
  }

  absl::Status MergePartial(const std::vector<ColumnPtr>& partials, RowSet rows,
                            const uint32_t* groups, AggregateStates states) const override {
    absl::Status status;
    ForEachNonNull(*partials[0], rows, [&](uint32_t i, uint32_t row) {
      const std::string_view text = partials[0]->value<TextView>(row).view();
      const auto delimiter = partials[1]->value<int64_t>(row);
      if (delimiter < 0 || static_cast<size_t>(delimiter) > text.size()) {
        status.Update(absl::DataLossError("a partial string_agg is damaged"));
        return;
      }
      states.at<StringAggState>(groups[i]).Append(text, delimiter);
    });
    return status;
  }

  absl::StatusOr<ColumnPtr> Finalize(AggregateStates states, const uint32_t* groups,
                                     size_t count) const override {
    auto out = std::make_shared<Column>(result_type(), count);
    for (size_t i = 0; i < count; ++i) {
      const auto& state = states.at<StringAggState>(groups[i]);
      if (state.empty()) {
        out->SetNull(i);
      } else {
        std::string_view text = state.text();
        out->SetTextCopy(i, text.substr(static_cast<size_t>(state.first_delimiter())));
      }
    }
    return ColumnPtr(std::move(out));
  }
};

}  // namespace

absl::Status RegisterStringAgg(FunctionRegistry* registry) {
  return registry->Add(std::make_unique<StringAgg>());
}

}  // namespace millrace
