// Values of ordered SQL types, as min and max keep them: a total order, copies that own their text,
// and bytes for partial columns. The order is SQL's; values that are equal but print differently
// are ordered by representation, so that the winner does not depend on the order of rows.
#ifndef MILLRACE_COMMON_EXPR_AGGREGATES_ORDERED_VALUE_H_
#define MILLRACE_COMMON_EXPR_AGGREGATES_ORDERED_VALUE_H_

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>

#include "common/columnar/column.h"
#include "common/columnar/owned_values.h"
#include "common/columnar/text_view.h"
#include "common/expr/aggregates/aggregate_base.h"
#include "common/types/interval.h"
#include "common/types/numeric.h"

namespace millrace {

inline bool TotalLess(std::string_view a, std::string_view b) { return a < b; }
inline bool TotalLess(const Numeric& a, const Numeric& b) {
  auto order = Numeric::Compare(a, b);
  return order < 0 || (order == 0 && a.scale < b.scale);
}
inline bool TotalLess(const Interval& a, const Interval& b) {
  return std::make_tuple(a.SortKey(), a.months, a.days) <
         std::make_tuple(b.SortKey(), b.months, b.days);
}
// NaN is the largest and equals itself; −0 comes before 0.
template <typename T>
  requires std::is_floating_point_v<T>
bool TotalLess(T a, T b) {
  if (std::isnan(a) || std::isnan(b)) {
    return !std::isnan(a) && std::isnan(b);
  }
  return a < b || (a == b && std::signbit(a) && !std::signbit(b));
}
template <typename T>
  requires std::is_integral_v<T>
bool TotalLess(T a, T b) {
  return a < b;
}

// How a value of column type T is viewed, owned and written.
template <typename T>
struct OrderedValue {
  using View = T;
  using Owned = T;
  static View Load(const Column& column, uint32_t row) { return column.value<T>(row); }
  static void Store(const View& value, size_t row, Column* out) {
    out->mutable_values<T>()[row] = value;
  }

  static void Append(const Owned& value, std::string* out) { AppendRaw(value, out); }
  // Reads a value at *position and moves on; false when the bytes end too early.
  static bool Read(std::string_view bytes, size_t* position, View* value) {
    if (bytes.size() - *position < sizeof(T)) {
      return false;
    }
    *value = ReadRaw<T>(bytes.data() + *position);
    *position += sizeof(T);
    return true;
  }
};

template <>
struct OrderedValue<Numeric> {
  using View = Numeric;
  using Owned = NumericValue;
  static View Load(const Column& column, uint32_t row) { return column.value<Numeric>(row); }
  static void Store(const View& value, size_t row, Column* out) { SetNumeric(value, out, row); }

  static void Append(const Owned& value, std::string* out) { value->AppendBytes(out); }
  static bool Read(std::string_view bytes, size_t* position, View* value) {
    std::string_view rest = bytes.substr(*position);
    const absl::StatusOr<Numeric> cut = Numeric::CutBytes(&rest);
    if (cut.ok()) {
      *value = *cut;
      *position = bytes.size() - rest.size();
    }
    return cut.ok();
  }
};

template <>
struct OrderedValue<TextView> {
  using View = std::string_view;
  using Owned = std::string;
  static View Load(const Column& column, uint32_t row) {
    return column.value<TextView>(row).view();
  }
  static void Store(View value, size_t row, Column* out) { out->SetTextCopy(row, value); }

  static void Append(const Owned& value, std::string* out) {
    AppendRaw(static_cast<uint32_t>(value.size()), out);
    out->append(value);
  }
  static bool Read(std::string_view bytes, size_t* position, View* value) {
    if (bytes.size() - *position < sizeof(uint32_t)) {
      return false;
    }
    size_t size = ReadRaw<uint32_t>(bytes.data() + *position);
    *position += sizeof(uint32_t);
    if (bytes.size() - *position < size) {
      return false;
    }
    *value = bytes.substr(*position, size);
    *position += size;
    return true;
  }
};

struct TotalOrder {
  using is_transparent = void;
  template <typename A, typename B>
  bool operator()(const A& a, const B& b) const {
    if constexpr (std::is_convertible_v<A, std::string_view>) {
      return TotalLess(std::string_view(a), std::string_view(b));
    } else {
      return TotalLess(a, b);
    }
  }
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_AGGREGATES_ORDERED_VALUE_H_
