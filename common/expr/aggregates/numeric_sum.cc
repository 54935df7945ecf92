// sum and avg of numeric: exact sums kept apart by display scale, because the result shows the
// largest scale among the rows that are there (1.5 + 2.25 = 3.75; without the second row 1.5
// again).
#include <boost/multiprecision/cpp_int.hpp>
#include <memory>

#include "common/base/status.h"
#include "common/expr/aggregates/aggregate_base.h"
#include "common/expr/aggregates/all.h"
#include "common/types/numeric.h"

namespace millrace {
namespace {

using boost::multiprecision::cpp_int;

// The values of one scale. The sum is a 256-bit two's complement number: 127 bits of a value times
// 63 of a weight leave room for 2^65 rows.
struct ScaleSum {
  unsigned __int128 low = 0;
  __int128 high = 0;
  int64_t count = 0;
  int32_t scale = -1;  // -1 = not in use

  void Add(unsigned __int128 other_low, __int128 other_high) {
    low += other_low;
    high += other_high + (low < other_low ? 1 : 0);
  }
  void Add(__int128 value) { Add(static_cast<unsigned __int128>(value), value < 0 ? -1 : 0); }
  void AddTimes(__int128 value, int64_t weight) {
    if (weight == 1) {
      Add(value);
      return;
    }
    // value = upper · 2^64 + lower; both products fit 128 bits.
    __int128 lower = static_cast<__int128>(static_cast<uint64_t>(value)) * weight;
    __int128 upper = (value >> 64) * weight;
    Add(lower);
    Add(static_cast<unsigned __int128>(upper) << 64, upper >> 64);
  }
  bool FitsInt128() const { return high == (static_cast<__int128>(low) < 0 ? -1 : 0); }
  bool IsZero() const { return low == 0 && high == 0; }
  cpp_int ToBig() const { return (cpp_int(high) << 128) + cpp_int(low); }
};

class NumericSumState {
 public:
  NumericSumState() = default;
  NumericSumState(const NumericSumState&) = delete;
  NumericSumState& operator=(const NumericSumState&) = delete;
  ~NumericSumState() { delete more_; }

  void Add(const Numeric& value, int64_t weight) {
    if (value.IsFinite()) {
      ScaleSum& sum = SumOf(value.scale);
      sum.AddTimes(value.unscaled, weight);
      sum.count += weight;
    } else {
      SpecialCount(value.kind) += weight;
    }
  }

  std::string Encode() const;
  absl::Status AddEncoded(std::string_view encoded);

  int64_t count() const;
  // REQUIRES: count() ≠ 0.
  absl::StatusOr<Numeric> Sum() const;

  size_t OwnedBytes() const {
    return more_ == nullptr ? 0 : sizeof(More) + more_->sums.capacity() * sizeof(ScaleSum);
  }

 private:
  struct More {
    std::vector<ScaleSum> sums;
    int64_t nans = 0;
    int64_t infinities = 0;
    int64_t negative_infinities = 0;
  };

  More& GetMore() {
    if (more_ == nullptr) {
      more_ = new More();
    }
    return *more_;
  }
  int64_t& SpecialCount(Numeric::Kind kind) {
    More& more = GetMore();
    return kind == Numeric::Kind::kNaN        ? more.nans
           : kind == Numeric::Kind::kInfinity ? more.infinities
                                              : more.negative_infinities;
  }
  ScaleSum& SumOf(int32_t scale);
  template <typename Fn>
  void ForEachSum(Fn&& fn) const {
    if (first_.scale >= 0) {
      fn(first_);
    }
    if (more_ != nullptr) {
      for (const ScaleSum& sum : more_->sums) {
        fn(sum);
      }
    }
  }

  ScaleSum first_;
  More* more_ = nullptr;
};

ScaleSum& NumericSumState::SumOf(int32_t scale) {
  if (first_.scale == scale) {
    return first_;
  }
  if (first_.scale < 0) {
    first_.scale = scale;
    return first_;
  }
  for (ScaleSum& sum : GetMore().sums) {
    if (sum.scale == scale) {
      return sum;
    }
  }
  more_->sums.push_back(ScaleSum{.scale = scale});
  return more_->sums.back();
}

int64_t NumericSumState::count() const {
  int64_t count =
      more_ == nullptr ? 0 : more_->nans + more_->infinities + more_->negative_infinities;
  ForEachSum([&](const ScaleSum& sum) { count += sum.count; });
  return count;
}

std::string NumericSumState::Encode() const {
  std::string out;
  AppendRaw(more_ == nullptr ? int64_t{0} : more_->nans, &out);
  AppendRaw(more_ == nullptr ? int64_t{0} : more_->infinities, &out);
  AppendRaw(more_ == nullptr ? int64_t{0} : more_->negative_infinities, &out);
  ForEachSum([&](const ScaleSum& sum) {
    AppendRaw(sum.scale, &out);
    AppendRaw(sum.count, &out);
    AppendRaw(sum.low, &out);
    AppendRaw(sum.high, &out);
  });
  return out;
}

absl::Status NumericSumState::AddEncoded(std::string_view encoded) {
  constexpr size_t kHeader = 3 * sizeof(int64_t);
  constexpr size_t kEntry = sizeof(int32_t) + sizeof(int64_t) + 2 * sizeof(__int128);
  constexpr int32_t kMaxScale = 16383;  // PostgreSQL's
  if (encoded.size() < kHeader || (encoded.size() - kHeader) % kEntry != 0) {
    return absl::DataLossError("a partial sum of numerics is damaged");
  }
  int64_t specials[3];
  std::memcpy(specials, encoded.data(), sizeof(specials));
  if (specials[0] != 0 || specials[1] != 0 || specials[2] != 0) {
    GetMore().nans += specials[0];
    more_->infinities += specials[1];
    more_->negative_infinities += specials[2];
  }
  for (const char* entry = encoded.data() + kHeader; entry != encoded.data() + encoded.size();
       entry += kEntry) {
    const auto scale = ReadRaw<int32_t>(entry);
    if (scale < 0 || scale > kMaxScale) {
      return absl::DataLossError("a partial sum of numerics is damaged: no numeric has its scale");
    }
    ScaleSum& sum = SumOf(scale);
    sum.count += ReadRaw<int64_t>(entry + 4);
    sum.Add(ReadRaw<unsigned __int128>(entry + 12), ReadRaw<__int128>(entry + 28));
  }
  return absl::OkStatus();
}

// Digits that a Numeric cannot hold.
absl::Status Overflow() {
  return absl::OutOfRangeError("value overflows numeric format: more than 38 digits");
}

absl::StatusOr<Numeric> FromBig(const cpp_int& value, int32_t scale) {
  static const cpp_int kLimit = boost::multiprecision::pow(cpp_int(10), Numeric::kMaxDigits);
  if (abs(value) >= kLimit) {
    return Overflow();
  }
  return Numeric{.unscaled = value.convert_to<__int128>(), .scale = scale};
}

absl::StatusOr<Numeric> NumericSumState::Sum() const {
  if (more_ != nullptr) {
    if (more_->nans != 0 || (more_->infinities != 0 && more_->negative_infinities != 0)) {
      return Numeric{.kind = Numeric::Kind::kNaN};
    }
    if (more_->infinities != 0 || more_->negative_infinities != 0) {
      return Numeric{.kind = more_->infinities != 0 ? Numeric::Kind::kInfinity
                                                    : Numeric::Kind::kNegativeInfinity};
    }
  }
  // A scale whose rows have all been taken back no longer shows.
  int32_t scale = 0;
  ForEachSum([&](const ScaleSum& sum) {
    if (sum.count != 0 || !sum.IsZero()) {
      scale = std::max(scale, sum.scale);
    }
  });
  cpp_int total = 0;
  ForEachSum([&](const ScaleSum& sum) {
    if (!sum.IsZero()) {
      total += sum.ToBig() *
               boost::multiprecision::pow(cpp_int(10), static_cast<unsigned>(scale - sum.scale));
    }
  });
  return FromBig(total, scale);
}

class NumericSum : public TypedAggregate<NumericSumState> {
 public:
  explicit NumericSum(bool average)
      : TypedAggregate(average ? "avg" : "sum", MakeTypes({TypeId::kNumeric}),
                       MakeType(TypeId::kNumeric), MakeTypes({TypeId::kBytea})),
        average_(average) {}

  void Update(const std::vector<ColumnPtr>& args, const int64_t* weights, RowSet rows,
              const uint32_t* groups, AggregateStates states, RowErrors*) const override {
    const auto* values = args[0]->values<Numeric>();
    ForEachNonNull(*args[0], rows, [&](uint32_t i, uint32_t row) {
      states.at<NumericSumState>(groups[i]).Add(values[row], WeightOf(weights, row));
    });
  }

  void EmitPartial(AggregateStates states, const uint32_t* groups, size_t count,
                   std::vector<ColumnPtr>* out) const override {
    auto columns = NewPartials(count);
    for (size_t i = 0; i < count; ++i) {
      columns[0]->SetTextCopy(i, states.at<NumericSumState>(groups[i]).Encode());
    }
    Append(columns, out);
  }

  absl::Status MergePartial(const std::vector<ColumnPtr>& partials, RowSet rows,
                            const uint32_t* groups, AggregateStates states) const override {
    absl::Status status;
    ForEachRow(rows, [&](uint32_t i, uint32_t row) {
      status.Update(states.at<NumericSumState>(groups[i]).AddEncoded(
          partials[0]->value<TextView>(row).view()));
    });
    return status;
  }

  absl::StatusOr<ColumnPtr> Finalize(AggregateStates states, const uint32_t* groups,
                                     size_t count) const override {
    auto out = std::make_shared<Column>(result_type(), count);
    for (size_t i = 0; i < count; ++i) {
      const auto& state = states.at<NumericSumState>(groups[i]);
      int64_t rows = state.count();
      if (rows == 0) {
        out->SetNull(i);
        continue;
      }
      ASSIGN_OR_RETURN(Numeric sum, state.Sum());
      if (average_) {
        ASSIGN_OR_RETURN(sum, Numeric::Divide(sum, Numeric::FromInt64(rows)));
      }
      out->mutable_values<Numeric>()[i] = sum;
    }
    return ColumnPtr(std::move(out));
  }

 private:
  const bool average_;
};

}  // namespace

absl::Status RegisterNumericSums(FunctionRegistry* registry) {
  RETURN_IF_ERROR(registry->Add(std::make_unique<NumericSum>(false)));
  return registry->Add(std::make_unique<NumericSum>(true));
}

}  // namespace millrace
