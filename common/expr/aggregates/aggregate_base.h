// What the aggregates of this folder share: names and types, states as C++ objects, loops over
// rows. Aggregates are immutable and safe from any thread; a state belongs to one thread at a time.
#ifndef MILLRACE_COMMON_EXPR_AGGREGATES_AGGREGATE_BASE_H_
#define MILLRACE_COMMON_EXPR_AGGREGATES_AGGREGATE_BASE_H_

#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/expr/aggregate_function.h"

namespace millrace {

// Types by id, for signatures.
inline std::vector<SqlType> MakeTypes(std::initializer_list<TypeId> ids) {
  std::vector<SqlType> types;
  for (TypeId id : ids) {
    types.push_back(MakeType(id));
  }
  return types;
}

// Calls fn(i, row) for each selected row, i counting from 0.
template <typename Fn>
void ForEachRow(RowSet rows, Fn&& fn) {
  if (rows.rows == nullptr) {
    for (uint32_t i = 0; i < rows.count; ++i) {
      fn(i, i);
    }
  } else {
    for (uint32_t i = 0; i < rows.count; ++i) {
      fn(i, rows.rows[i]);
    }
  }
}

// The same, leaving out rows in which `column` is NULL.
template <typename Fn>
void ForEachNonNull(const Column& column, RowSet rows, Fn&& fn) {
  if (column.has_nulls()) {
    ForEachRow(rows, [&](uint32_t i, uint32_t row) {
      if (!column.IsNull(row)) {
        fn(i, row);
      }
    });
  } else {
    ForEachRow(rows, fn);
  }
}

inline int64_t WeightOf(const int64_t* weights, uint32_t row) {
  return weights == nullptr ? 1 : weights[row];
}

// An int128 as two bigint columns, low half first.
inline void StoreInt128(__int128 value, size_t row, Column* low, Column* high) {
  low->mutable_values<int64_t>()[row] = static_cast<int64_t>(static_cast<uint64_t>(value));
  high->mutable_values<int64_t>()[row] = static_cast<int64_t>(value >> 64);
}
inline __int128 LoadInt128(const Column& low, const Column& high, size_t row) {
  return static_cast<__int128>(high.value<int64_t>(row)) * (static_cast<__int128>(1) << 64) +
         static_cast<uint64_t>(low.value<int64_t>(row));
}

// Bytes written one after another into a value for a bytea partial column, and read back.
template <typename T>
void AppendRaw(const T& value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(T));
}
template <typename T>
T ReadRaw(const char* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

// An aggregate whose state is a State, constructed empty by State().
// REQUIRES: State may be moved with memcpy (no pointers into itself) and needs no more than 16-byte
// alignment.
template <typename State>
class TypedAggregate : public AggregateFunction {
 public:
  TypedAggregate(std::string name, std::vector<SqlType> args, SqlType result,
                 std::vector<SqlType> partials)
      : name_(std::move(name)),
        arg_types_(std::move(args)),
        result_(result),
        partials_(std::move(partials)) {
    static_assert(alignof(State) <= 16);
  }

  const std::string& name() const override { return name_; }
  const std::vector<SqlType>& arg_types() const override { return arg_types_; }
  SqlType result_type() const override { return result_; }
  const std::vector<SqlType>& partial_types() const override { return partials_; }
  bool commutes() const override { return true; }

  size_t state_size() const override { return (sizeof(State) + 7) / 8 * 8; }
  void Init(void* state) const override { new (state) State(); }
  void Destroy(void* state) const override { static_cast<State*>(state)->~State(); }
  bool needs_destroy() const override { return !std::is_trivially_destructible_v<State>; }
  size_t OwnedBytes(const void* state) const override {
    if constexpr (requires(const State& s) { s.OwnedBytes(); }) {
      return static_cast<const State*>(state)->OwnedBytes();
    }
    return 0;
  }

 protected:
  // A column for every partial type, `rows` long, filled by the caller.
  std::vector<std::shared_ptr<Column>> NewPartials(size_t rows) const {
    std::vector<std::shared_ptr<Column>> columns;
    columns.reserve(partials_.size());
    for (const SqlType& type : partials_) {
      columns.push_back(std::make_shared<Column>(type, rows));
    }
    return columns;
  }
  static void Append(const std::vector<std::shared_ptr<Column>>& columns,
                     std::vector<ColumnPtr>* out) {
    out->insert(out->end(), columns.begin(), columns.end());
  }

 private:
  const std::string name_;
  const std::vector<SqlType> arg_types_;
  const SqlType result_;
  const std::vector<SqlType> partials_;
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_AGGREGATES_AGGREGATE_BASE_H_
