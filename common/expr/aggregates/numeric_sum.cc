// sum and avg of numeric: an exact sum for each display scale, because the result shows the largest
// scale among the present rows (1.5 + 2.25 = 3.75; after the second row is retracted, 1.5 again).
// Sums are integers, so the order of rows does not matter. Sums of narrow values have a fixed
// width; wide values have sums of their own.
//
// The partial column: three int64 counts of specials; per scale of narrow values int32 scale, int64
// count, the sum as 32 bytes; if there are wide ones int32 −1, then per scale int32 scale, int64
// count, uint8 1 if negative, uint32 bytes of the sum, its bytes.
#include <gmpxx.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/columnar/owned_values.h"
#include "common/expr/aggregates/aggregate_base.h"
#include "common/expr/aggregates/all.h"
#include "common/types/numeric.h"
#include "common/types/wide_numeric.h"

namespace millrace {
namespace {

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
  mpz_class ToBig() const {
    const auto upper = static_cast<__int128>(low >> 127);
    return (WideNumeric::FromInt128(high + upper) << 128) +
           WideNumeric::FromInt128(static_cast<__int128>(low));
  }
};

// The wide values of one scale.
struct WideSum {
  mpz_class sum;
  int64_t count = 0;
};

constexpr int32_t kWideSumsFollow = -1;

class NumericSumState {
 public:
  NumericSumState() = default;
  NumericSumState(const NumericSumState&) = delete;
  NumericSumState& operator=(const NumericSumState&) = delete;
  ~NumericSumState() { delete more_; }

  void Add(const Numeric& value, int64_t weight) {
    if (value.IsWide()) {
      WideSum& sum = GetMore().wide[value.scale];
      sum.sum += WideNumeric::From(value).unscaled * WideNumeric::FromInt128(weight);
      sum.count += weight;
    } else if (value.IsFinite()) {
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
  absl::StatusOr<NumericValue> Sum() const;

  size_t OwnedBytes() const {
    if (more_ == nullptr) {
      return 0;
    }
    size_t bytes = sizeof(More) + more_->sums.capacity() * sizeof(ScaleSum);
    for (const auto& [scale, wide] : more_->wide) {
      bytes +=
          sizeof(wide) + 4 * sizeof(void*) + mpz_size(wide.sum.get_mpz_t()) * sizeof(mp_limb_t);
    }
    return bytes;
  }

 private:
  struct More {
    std::vector<ScaleSum> sums;
    std::map<int32_t, WideSum> wide;  // by scale
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
  void EncodeWide(std::string* out) const;
  absl::Status AddEncodedWide(std::string_view encoded);
  // The sum, if all rows have the same scale, as is usual; nothing if it is not narrow.
  std::optional<NumericValue> NarrowSum() const;
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
  if (more_ != nullptr) {
    for (const auto& [scale, wide] : more_->wide) {
      count += wide.count;
    }
  }
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
  if (more_ != nullptr && !more_->wide.empty()) {
    EncodeWide(&out);
  }
  return out;
}

void NumericSumState::EncodeWide(std::string* out) const {
  AppendRaw(kWideSumsFollow, out);
  for (const auto& [scale, wide] : more_->wide) {
    std::string bytes((mpz_sizeinbase(wide.sum.get_mpz_t(), 2) + 7) / 8, '\0');
    size_t count = 0;
    mpz_export(bytes.data(), &count, -1, 1, 0, 0, wide.sum.get_mpz_t());
    AppendRaw(scale, out);
    AppendRaw(wide.count, out);
    AppendRaw(static_cast<uint8_t>(sgn(wide.sum) < 0 ? 1 : 0), out);
    AppendRaw(static_cast<uint32_t>(count), out);
    out->append(bytes, 0, count);
  }
}

absl::Status Damaged() { return absl::DataLossError("a partial sum of numerics is damaged"); }

absl::Status NumericSumState::AddEncoded(std::string_view encoded) {
  constexpr size_t kHeader = 3 * sizeof(int64_t);
  constexpr size_t kEntry = sizeof(int32_t) + sizeof(int64_t) + 2 * sizeof(__int128);
  if (encoded.size() < kHeader) {
    return Damaged();
  }
  int64_t specials[3];
  std::memcpy(specials, encoded.data(), sizeof(specials));
  if (specials[0] != 0 || specials[1] != 0 || specials[2] != 0) {
    GetMore().nans += specials[0];
    more_->infinities += specials[1];
    more_->negative_infinities += specials[2];
  }
  encoded.remove_prefix(kHeader);
  while (!encoded.empty()) {
    if (encoded.size() < sizeof(int32_t)) {
      return Damaged();
    }
    const auto scale = ReadRaw<int32_t>(encoded.data());
    if (scale == kWideSumsFollow) {
      return AddEncodedWide(encoded.substr(sizeof(scale)));
    }
    if (encoded.size() < kEntry || scale < 0 || scale > Numeric::kMaxNarrowDigits) {
      return Damaged();
    }
    ScaleSum& sum = SumOf(scale);
    sum.count += ReadRaw<int64_t>(encoded.data() + 4);
    sum.Add(ReadRaw<unsigned __int128>(encoded.data() + 12),
            ReadRaw<__int128>(encoded.data() + 28));
    encoded.remove_prefix(kEntry);
  }
  return absl::OkStatus();
}

absl::Status NumericSumState::AddEncodedWide(std::string_view encoded) {
  constexpr size_t kHead = sizeof(int32_t) + sizeof(int64_t) + sizeof(uint8_t) + sizeof(uint32_t);
  while (!encoded.empty()) {
    if (encoded.size() < kHead) {
      return Damaged();
    }
    const auto scale = ReadRaw<int32_t>(encoded.data());
    const auto bytes = ReadRaw<uint32_t>(encoded.data() + 13);
    if (scale < 0 || scale > Numeric::kMaxScale || bytes > encoded.size() - kHead) {
      return Damaged();
    }
    mpz_class sum;
    mpz_import(sum.get_mpz_t(), bytes, -1, 1, 0, 0, encoded.data() + kHead);
    WideSum& wide = GetMore().wide[scale];
    wide.count += ReadRaw<int64_t>(encoded.data() + 4);
    wide.sum += encoded[12] != 0 ? mpz_class(-sum) : sum;
    encoded.remove_prefix(kHead + bytes);
  }
  return absl::OkStatus();
}

std::optional<NumericValue> NumericSumState::NarrowSum() const {
  if (more_ != nullptr || !first_.FitsInt128()) {
    return std::nullopt;
  }
  const Numeric sum{.unscaled = static_cast<__int128>(first_.low),
                    .scale = first_.count == 0 && first_.IsZero() ? 0 : first_.scale};
  return sum.Check().ok() ? std::optional<NumericValue>(sum) : std::nullopt;
}

absl::StatusOr<NumericValue> NumericSumState::Sum() const {
  if (std::optional<NumericValue> narrow = NarrowSum(); narrow.has_value()) {
    return *std::move(narrow);
  }
  if (more_ != nullptr) {
    if (more_->nans != 0 || (more_->infinities != 0 && more_->negative_infinities != 0)) {
      return NumericValue(Numeric::NaN());
    }
    if (more_->infinities != 0 || more_->negative_infinities != 0) {
      return NumericValue(more_->infinities != 0 ? Numeric::Infinity()
                                                 : Numeric::Infinity().Negate());
    }
  }
  // A scale whose rows have all been retracted no longer shows.
  WideNumeric total;
  ForEachSum([&](const ScaleSum& sum) {
    if (sum.count != 0 || !sum.IsZero()) {
      total = WideNumeric::Add(total, {.unscaled = sum.ToBig(), .scale = sum.scale});
    }
  });
  if (more_ != nullptr) {
    for (const auto& [scale, wide] : more_->wide) {
      if (wide.count != 0 || sgn(wide.sum) != 0) {
        total = WideNumeric::Add(total, {.unscaled = wide.sum, .scale = scale});
      }
    }
  }
  return total.ToNumeric();
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
      ASSIGN_OR_RETURN(NumericValue sum, state.Sum());
      if (average_) {
        ASSIGN_OR_RETURN(sum, Numeric::Divide(sum, Numeric::FromInt64(rows)));
      }
      SetNumeric(sum, out.get(), i);
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
