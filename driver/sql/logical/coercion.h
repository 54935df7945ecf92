// PostgreSQL's rules about which type becomes which: pg_cast's contexts, type categories, and the
// common type of CASE, COALESCE, IN and friends (chapter "Type Conversion"). Pure functions; type
// modifiers play no part but in a common type.
#ifndef MILLRACE_DRIVER_SQL_LOGICAL_COERCION_H_
#define MILLRACE_DRIVER_SQL_LOGICAL_COERCION_H_

#include <optional>
#include <vector>

#include "common/types/sql_type.h"

namespace millrace {

// How much the user asked for the conversion. Each context allows what the ones before it allow.
enum class CastContext {
  kImplicit,    // in any expression
  kAssignment,  // storing a value into a column
  kExplicit,    // CAST, ::
};

enum class TypeCategory {
  kUnknown,
  kBoolean,
  kNumeric,
  kString,
  kDateTime,
  kTimespan,
  kArray,
  kUser
};

TypeCategory CategoryOf(const SqlType& type);
// The type that PostgreSQL leans to within its category (float8, text, timestamptz, boolean,
// interval).
bool IsPreferred(const SqlType& type);

// Same type when modifiers are ignored.
bool SameType(const SqlType& a, const SqlType& b);

// numeric for numeric(5,2): what a value is once nothing says that it came from that column.
SqlType WithoutModifiers(const SqlType& type);

// Whether `from` may become `to`. Untyped literals may become anything.
bool CanCast(const SqlType& from, const SqlType& to, CastContext context);

// The type that all of `types` become (select_common_type): unknown only if none is known and then
// text. Nothing when two belong to different categories or do not convert. It has modifiers only if
// all of `types` are that type with those (exprTypmod): numeric(5,2) and integer, or an untyped
// NULL, meet in numeric.
std::optional<SqlType> CommonType(const std::vector<SqlType>& types);

}  // namespace millrace

#endif  // MILLRACE_DRIVER_SQL_LOGICAL_COERCION_H_
