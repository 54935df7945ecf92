// PostgreSQL's rules for conversions between types: pg_cast's contexts, type categories, and the
// common type of CASE, COALESCE, IN and the like (chapter "Type Conversion"). Pure functions. Type
// modifiers matter only for a common type.
#ifndef MILLRACE_PLAN_LOGICAL_COERCION_H_
#define MILLRACE_PLAN_LOGICAL_COERCION_H_

#include <optional>
#include <vector>

#include "common/types/sql_type.h"

namespace millrace::plan {

// How explicitly the user asked for the conversion. Each context allows what the ones before it
// allow.
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
// Whether PostgreSQL prefers the type within its category (float8, text, timestamptz, boolean,
// interval).
bool IsPreferred(const SqlType& type);

// Whether the types are the same except for modifiers.
bool SameType(const SqlType& a, const SqlType& b);

// numeric for numeric(5,2): the type of a value that is no longer tied to its column.
SqlType WithoutModifiers(const SqlType& type);

// Whether `from` may become `to`. Untyped literals may become anything.
bool CanCast(const SqlType& from, const SqlType& to, CastContext context);

// The common type of `types` (select_common_type): unknown only if all of them are unknown, and
// then text. Nothing if two of them belong to different categories or do not convert. It has
// modifiers only if all of `types` are that type with those modifiers (exprTypmod): numeric(5,2)
// and integer, or numeric(5,2) and an untyped NULL, have numeric in common.
std::optional<SqlType> CommonType(const std::vector<SqlType>& types);

}  // namespace millrace::plan

#endif  // MILLRACE_PLAN_LOGICAL_COERCION_H_
