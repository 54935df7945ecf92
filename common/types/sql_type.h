// The engine's SQL types and the C++ values that columns hold for them. Plain values,
// thread-compatible.
#ifndef MILLRACE_COMMON_TYPES_SQL_TYPE_H_
#define MILLRACE_COMMON_TYPES_SQL_TYPE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace millrace {

namespace proto {
class Type;
}

// Numbered as proto/plan.proto's TypeKind. In brackets: what a column's values buffer holds per
// row.
enum class TypeId : uint8_t {
  kUnknown = 0,       // untyped NULL or literal, before binding
  kBool = 1,          // uint8_t, 0 or 1
  kInt16 = 2,         // int16_t
  kInt32 = 3,         // int32_t
  kInt64 = 4,         // int64_t
  kFloat32 = 5,       // float
  kFloat64 = 6,       // double
  kNumeric = 7,       // Numeric (common/types/numeric.h), 32 bytes
  kText = 8,          // TextView (common/columnar/text_view.h), 16 bytes, UTF-8
  kBytea = 9,         // TextView
  kDate = 10,         // int32_t, days since 1970-01-01
  kTimestamp = 11,    // int64_t, microseconds since 1970-01-01 00:00
  kTimestampTz = 12,  // int64_t, microseconds since 1970-01-01 00:00 UTC
  kInterval = 13,     // Interval (common/types/interval.h), 16 bytes
  kJsonb = 14,        // TextView: text as PostgreSQL prints jsonb; equality: jsonb_order.h
  kArray = 15,        // ListView (common/columnar/column.h) into a child column
};

// A type with its modifiers.
struct SqlType {
  TypeId id = TypeId::kUnknown;
  // numeric(precision, scale), or an array's elements of that type; 0 = unconstrained.
  int32_t precision = 0;
  int32_t scale = 0;
  TypeId element = TypeId::kUnknown;  // of kArray

  friend bool operator==(const SqlType&, const SqlType&) = default;

  bool IsText() const {
    return id == TypeId::kText || id == TypeId::kBytea || id == TypeId::kJsonb;
  }
  bool IsInteger() const {
    return id == TypeId::kInt16 || id == TypeId::kInt32 || id == TypeId::kInt64;
  }
  bool IsFloat() const { return id == TypeId::kFloat32 || id == TypeId::kFloat64; }
  bool IsNumber() const { return IsInteger() || IsFloat() || id == TypeId::kNumeric; }

  // What an array of this type holds. REQUIRES: kArray.
  SqlType ElementType() const {
    return SqlType{.id = element, .precision = precision, .scale = scale};
  }

  // Bytes per row in a column's values buffer.
  int32_t ByteWidth() const;

  // As PostgreSQL names it in messages: "bigint", "double precision", "numeric(10,2)", "text[]",
  // "numeric(10,2)[]".
  std::string ToString() const;
};

// Short names for the unmodified types.
constexpr SqlType MakeType(TypeId id) { return SqlType{.id = id}; }

// element[]. REQUIRES: `element` is no array.
constexpr SqlType ArrayOf(const SqlType& element) {
  return SqlType{.id = TypeId::kArray,
                 .precision = element.precision,
                 .scale = element.scale,
                 .element = element.id};
}

// A type by PostgreSQL's internal or SQL name without modifiers ("int8", "bigint", "float8",
// "varchar", "timestamptz"). NOT_FOUND lists the supported ones.
absl::StatusOr<SqlType> TypeByName(std::string_view name);

SqlType TypeFromProto(const proto::Type& type);
void TypeToProto(const SqlType& type, proto::Type* out);

}  // namespace millrace

#endif  // MILLRACE_COMMON_TYPES_SQL_TYPE_H_
