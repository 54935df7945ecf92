// min and max for every type for which PostgreSQL has them, in two variants. Over inputs that only
// insert, a group keeps the winner; over inputs that can retract, it keeps every distinct value
// with its count.
#include <algorithm>
#include <map>
#include <memory>

#include "common/base/check.h"
#include "common/base/status.h"
#include "common/expr/aggregates/aggregate_base.h"
#include "common/expr/aggregates/all.h"
#include "common/expr/aggregates/ordered_value.h"

namespace millrace {
namespace {

enum class Winner { kMin, kMax };

const char* NameOf(Winner winner) { return winner == Winner::kMin ? "min" : "max"; }

// The best value so far; text is owned.
template <typename T>
class Best {
 public:
  using View = typename OrderedValue<T>::View;
  bool present() const { return present_; }
  View value() const { return value_; }
  void Set(const View& value) {
    value_ = value;
    present_ = true;
  }
  size_t OwnedBytes() const
    requires std::is_same_v<T, Numeric>
  {
    return value_.OwnedBytes();
  }

 private:
  typename OrderedValue<T>::Owned value_{};
  bool present_ = false;
};

template <>
class Best<TextView> {
 public:
  Best() = default;
  Best(const Best&) = delete;
  Best& operator=(const Best&) = delete;
  ~Best() { delete[] heap_; }

  bool present() const { return present_; }
  std::string_view value() const { return text_.view(); }
  void Set(std::string_view value) {
    present_ = true;
    if (value.size() <= TextView::kInlineBytes) {
      text_ = TextView(value);
      return;
    }
    if (value.size() > capacity_) {
      delete[] heap_;
      capacity_ = static_cast<uint32_t>(value.size());
      heap_ = new char[capacity_];
    }
    std::memcpy(heap_, value.data(), value.size());
    text_ = TextView(heap_, value.size());
  }
  size_t OwnedBytes() const { return capacity_; }

 private:
  TextView text_;
  char* heap_ = nullptr;
  uint32_t capacity_ = 0;
  bool present_ = false;
};

template <typename T>
using Values = std::map<typename OrderedValue<T>::Owned, int64_t, TotalOrder>;

// The distinct values and the count of each. Counts may be negative until all rows of a batch have
// come.
template <typename T>
class ValueCounts {
 public:
  ValueCounts() = default;
  ValueCounts(const ValueCounts&) = delete;
  ValueCounts& operator=(const ValueCounts&) = delete;
  ~ValueCounts() { delete values_; }

  void Add(const typename OrderedValue<T>::View& value, int64_t weight) {
    if (values_ == nullptr) {
      values_ = new Values<T>();
    }
    auto it = values_->find(value);
    if (it == values_->end()) {
      values_->emplace(typename OrderedValue<T>::Owned(value), weight);
    } else if ((it->second += weight) == 0) {
      values_->erase(it);
    }
  }
  const Values<T>* values() const { return values_; }
  // The winner among the present values; null = there is none. A value with a negative count is one
  // whose insertion has expired (state_ttl).
  const typename OrderedValue<T>::Owned* Find(Winner winner) const {
    auto is_there = [](const auto& entry) { return entry.second > 0; };
    if (values_ == nullptr) {
      return nullptr;
    }
    if (winner == Winner::kMin) {
      auto it = std::find_if(values_->begin(), values_->end(), is_there);
      return it == values_->end() ? nullptr : &it->first;
    }
    auto it = std::find_if(values_->rbegin(), values_->rend(), is_there);
    return it == values_->rend() ? nullptr : &it->first;
  }
  // Counts nodes, and not the text outside of string objects: an estimate that costs nothing.
  size_t OwnedBytes() const {
    constexpr size_t kNodeBytes = sizeof(typename Values<T>::value_type) + 4 * sizeof(void*);
    return values_ == nullptr ? 0 : sizeof(Values<T>) + values_->size() * kNodeBytes;
  }

 private:
  Values<T>* values_ = nullptr;
};

template <typename T>
class MinMaxOfMultiset : public TypedAggregate<ValueCounts<T>> {
 public:
  using Value = OrderedValue<T>;

  MinMaxOfMultiset(TypeId type, Winner winner)
      : TypedAggregate<ValueCounts<T>>(NameOf(winner), MakeTypes({type}), MakeType(type),
                                       MakeTypes({TypeId::kBytea})),
        winner_(winner) {}

  void Update(const std::vector<ColumnPtr>& args, const int64_t* weights, RowSet rows,
              const uint32_t* groups, AggregateStates states, RowErrors*) const override {
    ForEachNonNull(*args[0], rows, [&](uint32_t i, uint32_t row) {
      states.at<ValueCounts<T>>(groups[i]).Add(Value::Load(*args[0], row), WeightOf(weights, row));
    });
  }

  void EmitPartial(AggregateStates states, const uint32_t* groups, size_t count,
                   std::vector<ColumnPtr>* out) const override {
    auto columns = this->NewPartials(count);
    std::string bytes;
    for (size_t i = 0; i < count; ++i) {
      bytes.clear();
      if (const Values<T>* values = states.at<ValueCounts<T>>(groups[i]).values()) {
        for (const auto& [value, count] : *values) {
          Value::Append(value, &bytes);
          AppendRaw(count, &bytes);
        }
      }
      columns[0]->SetTextCopy(i, bytes);
    }
    this->Append(columns, out);
  }

  absl::Status MergePartial(const std::vector<ColumnPtr>& partials, RowSet rows,
                            const uint32_t* groups, AggregateStates states) const override {
    absl::Status status;
    ForEachRow(rows, [&](uint32_t i, uint32_t row) {
      status.Update(
          Merge(partials[0]->value<TextView>(row).view(), &states.at<ValueCounts<T>>(groups[i])));
    });
    return status;
  }

  absl::StatusOr<ColumnPtr> Finalize(AggregateStates states, const uint32_t* groups,
                                     size_t count) const override {
    auto out = std::make_shared<Column>(this->result_type(), count);
    for (size_t i = 0; i < count; ++i) {
      const auto* best = states.at<ValueCounts<T>>(groups[i]).Find(winner_);
      if (best == nullptr) {
        out->SetNull(i);
      } else {
        Value::Store(*best, i, out.get());
      }
    }
    return ColumnPtr(std::move(out));
  }

 private:
  static absl::Status Merge(std::string_view bytes, ValueCounts<T>* state) {
    for (size_t position = 0; position < bytes.size();) {
      typename Value::View value{};
      if (!Value::Read(bytes, &position, &value) || bytes.size() - position < sizeof(int64_t)) {
        return absl::DataLossError("partial values of min or max are damaged");
      }
      state->Add(value, ReadRaw<int64_t>(bytes.data() + position));
      position += sizeof(int64_t);
    }
    return absl::OkStatus();
  }

  const Winner winner_;
};

template <typename T>
class MinMax : public TypedAggregate<Best<T>> {
 public:
  using Value = OrderedValue<T>;

  MinMax(TypeId type, Winner winner)
      : TypedAggregate<Best<T>>(NameOf(winner), MakeTypes({type}), MakeType(type),
                                MakeTypes({type})),
        winner_(winner) {}

  std::unique_ptr<AggregateFunction> ForRetractions() const override {
    return std::make_unique<MinMaxOfMultiset<T>>(this->result_type().id, winner_);
  }

  void Update(const std::vector<ColumnPtr>& args, const int64_t* weights, RowSet rows,
              const uint32_t* groups, AggregateStates states, RowErrors*) const override {
    ForEachNonNull(*args[0], rows, [&](uint32_t i, uint32_t row) {
      MILLRACE_CHECK(weights == nullptr || weights[row] > 0)
          << "min or max over insertions was given a retraction";
      Offer(Value::Load(*args[0], row), &states.at<Best<T>>(groups[i]));
    });
  }

  void EmitPartial(AggregateStates states, const uint32_t* groups, size_t count,
                   std::vector<ColumnPtr>* out) const override {
    auto columns = this->NewPartials(count);
    for (size_t i = 0; i < count; ++i) {
      Store(states.at<Best<T>>(groups[i]), i, columns[0].get());
    }
    this->Append(columns, out);
  }

  absl::Status MergePartial(const std::vector<ColumnPtr>& partials, RowSet rows,
                            const uint32_t* groups, AggregateStates states) const override {
    ForEachNonNull(*partials[0], rows, [&](uint32_t i, uint32_t row) {
      Offer(Value::Load(*partials[0], row), &states.at<Best<T>>(groups[i]));
    });
    return absl::OkStatus();
  }

  absl::StatusOr<ColumnPtr> Finalize(AggregateStates states, const uint32_t* groups,
                                     size_t count) const override {
    auto out = std::make_shared<Column>(this->result_type(), count);
    for (size_t i = 0; i < count; ++i) {
      Store(states.at<Best<T>>(groups[i]), i, out.get());
    }
    return ColumnPtr(std::move(out));
  }

 private:
  void Offer(const typename Value::View& value, Best<T>* best) const {
    if (!best->present() || (winner_ == Winner::kMin ? TotalLess(value, best->value())
                                                     : TotalLess(best->value(), value))) {
      best->Set(value);
    }
  }
  static void Store(const Best<T>& best, size_t row, Column* out) {
    if (best.present()) {
      Value::Store(best.value(), row, out);
    } else {
      out->SetNull(row);
    }
  }

  const Winner winner_;
};

template <typename T>
absl::Status Register(TypeId type, FunctionRegistry* registry) {
  RETURN_IF_ERROR(registry->Add(std::make_unique<MinMax<T>>(type, Winner::kMin)));
  return registry->Add(std::make_unique<MinMax<T>>(type, Winner::kMax));
}

}  // namespace

absl::Status RegisterMinMax(FunctionRegistry* registry) {
  RETURN_IF_ERROR(Register<int16_t>(TypeId::kInt16, registry));
  RETURN_IF_ERROR(Register<int32_t>(TypeId::kInt32, registry));
  RETURN_IF_ERROR(Register<int64_t>(TypeId::kInt64, registry));
  RETURN_IF_ERROR(Register<float>(TypeId::kFloat32, registry));
  RETURN_IF_ERROR(Register<double>(TypeId::kFloat64, registry));
  RETURN_IF_ERROR(Register<Numeric>(TypeId::kNumeric, registry));
  RETURN_IF_ERROR(Register<TextView>(TypeId::kText, registry));
  RETURN_IF_ERROR(Register<int32_t>(TypeId::kDate, registry));
  RETURN_IF_ERROR(Register<int64_t>(TypeId::kTimestamp, registry));
  RETURN_IF_ERROR(Register<int64_t>(TypeId::kTimestampTz, registry));
  return Register<Interval>(TypeId::kInterval, registry);
}

}  // namespace millrace
