#include "common/types/sql_type.h"

#include <array>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "proto/plan.pb.h"

namespace millrace {
namespace {

struct TypeRow {
  TypeId id;
  int32_t byte_width;
  const char* name;                    // in messages
  std::array<const char*, 4> aliases;  // accepted besides
};

constexpr std::array<TypeRow, 16> kTypes = {{
    {TypeId::kUnknown, 1, "unknown", {}},
    {TypeId::kBool, 1, "boolean", {"bool"}},
    {TypeId::kInt16, 2, "smallint", {"int2"}},
    {TypeId::kInt32, 4, "integer", {"int4", "int"}},
    {TypeId::kInt64, 8, "bigint", {"int8"}},
    {TypeId::kFloat32, 4, "real", {"float4"}},
    {TypeId::kFloat64, 8, "double precision", {"float8", "float"}},
    {TypeId::kNumeric, 32, "numeric", {"decimal"}},
    {TypeId::kText, 16, "text", {"varchar", "string", "character varying"}},
    {TypeId::kBytea, 16, "bytea", {}},
    {TypeId::kDate, 4, "date", {}},
    {TypeId::kTimestamp, 8, "timestamp without time zone", {"timestamp"}},
    {TypeId::kTimestampTz, 8, "timestamp with time zone", {"timestamptz"}},
    {TypeId::kInterval, 16, "interval", {}},
    {TypeId::kJsonb, 16, "jsonb", {}},
    {TypeId::kArray, 8, "array", {}},
}};

const TypeRow& Row(TypeId id) { return kTypes[static_cast<size_t>(id)]; }

bool Matches(const TypeRow& row, std::string_view name) {
  if (name == row.name) {
    return true;
  }
  for (const char* alias : row.aliases) {
    if (alias != nullptr && name == alias) {
      return true;
    }
  }
  return false;
}

}  // namespace

int32_t SqlType::ByteWidth() const { return Row(id).byte_width; }

std::string SqlType::ToString() const {
  if (id == TypeId::kArray) {
    return absl::StrCat(ElementType().ToString(), "[]");
  }
  if (id == TypeId::kNumeric && precision > 0) {
    return absl::StrCat("numeric(", precision, ",", scale, ")");
  }
  return Row(id).name;
}

absl::StatusOr<SqlType> TypeByName(std::string_view name) {
  for (const TypeRow& row : kTypes) {
    if (row.id != TypeId::kUnknown && row.id != TypeId::kArray && Matches(row, name)) {
      return MakeType(row.id);
    }
  }
  std::string known;
  for (const TypeRow& row : kTypes) {
    if (row.id != TypeId::kUnknown && row.id != TypeId::kArray) {
      absl::StrAppend(&known, known.empty() ? "" : ", ", row.name);
    }
  }
  return absl::NotFoundError(
      absl::StrCat("type \"", ToAbsl(name), "\" is not supported; supported are: ", known));
}

SqlType TypeFromProto(const proto::Type& type) {
  return SqlType{.id = static_cast<TypeId>(type.kind()),
                 .precision = type.precision(),
                 .scale = type.scale(),
                 .element = static_cast<TypeId>(type.element())};
}

void TypeToProto(const SqlType& type, proto::Type* out) {
  out->set_kind(static_cast<proto::TypeKind>(type.id));
  out->set_precision(type.precision);
  out->set_scale(type.scale);
  out->set_element(static_cast<proto::TypeKind>(type.element));
}

}  // namespace millrace
