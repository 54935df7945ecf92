#include "plan/logical/coercion.h"

#include <algorithm>
#include <array>

namespace millrace::plan {
namespace {

struct CastRow {
  TypeId from;
  TypeId to;
  CastContext context;
};

constexpr CastContext kI = CastContext::kImplicit;
constexpr CastContext kA = CastContext::kAssignment;
constexpr CastContext kE = CastContext::kExplicit;

// The rows of PostgreSQL 15's pg_cast for our types. Conversions through the text form follow the
// rule below.
constexpr std::array kCasts = {
    CastRow{TypeId::kInt16, TypeId::kInt32, kI},
    CastRow{TypeId::kInt16, TypeId::kInt64, kI},
    CastRow{TypeId::kInt16, TypeId::kFloat32, kI},
    CastRow{TypeId::kInt16, TypeId::kFloat64, kI},
    CastRow{TypeId::kInt16, TypeId::kNumeric, kI},
    CastRow{TypeId::kInt32, TypeId::kInt16, kA},
    CastRow{TypeId::kInt32, TypeId::kInt64, kI},
    CastRow{TypeId::kInt32, TypeId::kFloat32, kI},
    CastRow{TypeId::kInt32, TypeId::kFloat64, kI},
    CastRow{TypeId::kInt32, TypeId::kNumeric, kI},
    CastRow{TypeId::kInt32, TypeId::kBool, kE},
    CastRow{TypeId::kBool, TypeId::kInt32, kE},
    CastRow{TypeId::kInt64, TypeId::kInt16, kA},
    CastRow{TypeId::kInt64, TypeId::kInt32, kA},
    CastRow{TypeId::kInt64, TypeId::kFloat32, kI},
    CastRow{TypeId::kInt64, TypeId::kFloat64, kI},
    CastRow{TypeId::kInt64, TypeId::kNumeric, kI},
    CastRow{TypeId::kFloat32, TypeId::kInt16, kA},
    CastRow{TypeId::kFloat32, TypeId::kInt32, kA},
    CastRow{TypeId::kFloat32, TypeId::kInt64, kA},
    CastRow{TypeId::kFloat32, TypeId::kFloat64, kI},
    CastRow{TypeId::kFloat32, TypeId::kNumeric, kA},
    CastRow{TypeId::kFloat64, TypeId::kInt16, kA},
    CastRow{TypeId::kFloat64, TypeId::kInt32, kA},
    CastRow{TypeId::kFloat64, TypeId::kInt64, kA},
    CastRow{TypeId::kFloat64, TypeId::kFloat32, kA},
    CastRow{TypeId::kFloat64, TypeId::kNumeric, kA},
    CastRow{TypeId::kNumeric, TypeId::kInt16, kA},
    CastRow{TypeId::kNumeric, TypeId::kInt32, kA},
    CastRow{TypeId::kNumeric, TypeId::kInt64, kA},
    CastRow{TypeId::kNumeric, TypeId::kFloat32, kI},
    CastRow{TypeId::kNumeric, TypeId::kFloat64, kI},
    CastRow{TypeId::kDate, TypeId::kTimestamp, kI},
    CastRow{TypeId::kDate, TypeId::kTimestampTz, kI},
    CastRow{TypeId::kTimestamp, TypeId::kDate, kA},
    CastRow{TypeId::kTimestamp, TypeId::kTimestampTz, kI},
    CastRow{TypeId::kTimestampTz, TypeId::kDate, kA},
    CastRow{TypeId::kTimestampTz, TypeId::kTimestamp, kA},
    CastRow{TypeId::kJsonb, TypeId::kBool, kE},
    CastRow{TypeId::kJsonb, TypeId::kNumeric, kE},
    CastRow{TypeId::kJsonb, TypeId::kInt16, kE},
    CastRow{TypeId::kJsonb, TypeId::kInt32, kE},
    CastRow{TypeId::kJsonb, TypeId::kInt64, kE},
    CastRow{TypeId::kJsonb, TypeId::kFloat32, kE},
    CastRow{TypeId::kJsonb, TypeId::kFloat64, kE},
};

}  // namespace

TypeCategory CategoryOf(const SqlType& type) {
  switch (type.id) {
    case TypeId::kUnknown:
      return TypeCategory::kUnknown;
    case TypeId::kBool:
      return TypeCategory::kBoolean;
    case TypeId::kText:
      return TypeCategory::kString;
    case TypeId::kDate:
    case TypeId::kTimestamp:
    case TypeId::kTimestampTz:
      return TypeCategory::kDateTime;
    case TypeId::kInterval:
      return TypeCategory::kTimespan;
    case TypeId::kArray:
      return TypeCategory::kArray;
    case TypeId::kBytea:
    case TypeId::kJsonb:
      return TypeCategory::kUser;
    default:
      return TypeCategory::kNumeric;
  }
}

bool IsPreferred(const SqlType& type) {
  return type.id == TypeId::kBool || type.id == TypeId::kFloat64 || type.id == TypeId::kText ||
         type.id == TypeId::kTimestampTz || type.id == TypeId::kInterval;
}

bool SameType(const SqlType& a, const SqlType& b) { return a.id == b.id && a.element == b.element; }

SqlType WithoutModifiers(const SqlType& type) {
  return SqlType{.id = type.id, .element = type.element};
}

bool CanCast(const SqlType& from, const SqlType& to, CastContext context) {
  if (from.id == TypeId::kUnknown || SameType(from, to)) {
    return true;
  }
  // Every type has a text form. Storing it into text is an assignment cast; reading it back must be
  // asked for.
  if (to.id == TypeId::kText) {
    return context != CastContext::kImplicit;
  }
  if (from.id == TypeId::kText) {
    return context == CastContext::kExplicit;
  }
  return std::any_of(kCasts.begin(), kCasts.end(), [&](const CastRow& row) {
    return row.from == from.id && row.to == to.id && row.context <= context;
  });
}

std::optional<SqlType> CommonType(const std::vector<SqlType>& types) {
  SqlType common;
  for (const SqlType& type : types) {
    if (type.id == TypeId::kUnknown || SameType(type, common)) {
      continue;
    }
    if (common.id == TypeId::kUnknown) {
      common = type;
      continue;
    }
    if (CategoryOf(type) != CategoryOf(common)) {
      return std::nullopt;
    }
    if (!IsPreferred(common) && CanCast(common, type, CastContext::kImplicit) &&
        !CanCast(type, common, CastContext::kImplicit)) {
      common = type;
    }
  }
  if (common.id == TypeId::kUnknown) {
    return MakeType(TypeId::kText);
  }
  for (const SqlType& type : types) {
    if (!CanCast(type, common, CastContext::kImplicit)) {
      return std::nullopt;
    }
  }
  const bool all_alike =
      std::all_of(types.begin(), types.end(), [&](const SqlType& type) { return type == common; });
  return all_alike ? common : WithoutModifiers(common);
}

}  // namespace millrace::plan
