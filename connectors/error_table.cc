#include "connectors/error_table.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/types/sql_type.h"

namespace millrace {
namespace {

struct Description {
  ErrorColumn column;
  std::string name;
  std::vector<SqlType> types;  // allowed types, the usual one first
};

const std::vector<Description>& Descriptions() {
  static const std::vector<Description>& all = *new std::vector<Description>{
      {ErrorColumn::kError, "error", {MakeType(TypeId::kText)}},
      {ErrorColumn::kTopic, "topic", {MakeType(TypeId::kText)}},
      {ErrorColumn::kPartition, "partition", {MakeType(TypeId::kInt32)}},
      {ErrorColumn::kOffset, "offset", {MakeType(TypeId::kInt64)}},
      {ErrorColumn::kTimestamp, "timestamp", {MakeType(TypeId::kTimestampTz)}},
      {ErrorColumn::kKey, "key", {MakeType(TypeId::kBytea), MakeType(TypeId::kText)}},
      {ErrorColumn::kValue, "value", {MakeType(TypeId::kBytea), MakeType(TypeId::kText)}}};
  return all;
}

const Description* Find(std::string_view name) {
  const auto found = std::find_if(Descriptions().begin(), Descriptions().end(),
                                  [name](const Description& one) { return one.name == name; });
  return found == Descriptions().end() ? nullptr : &*found;
}

std::string TypesOf(const Description& column) {
  return absl::StrJoin(column.types, " or ",
                       [](std::string* out, const SqlType& type) { out->append(type.ToString()); });
}

std::string AllowedColumns() {
  return absl::StrJoin(Descriptions(), ", ", [](std::string* out, const Description& one) {
    absl::StrAppend(out, "\"", one.name, "\" ", TypesOf(one));
  });
}

}  // namespace

std::optional<ErrorColumn> FindErrorColumn(std::string_view name) {
  const Description* found = Find(name);
  return found == nullptr ? std::nullopt : std::make_optional(found->column);
}

absl::Status CheckErrorTable(const proto::Sink& table) {
  const std::string what = absl::StrCat("table \"", table.table(), "\" cannot take failed records");
  for (const proto::Field& field : table.columns()) {
    const Description* known = Find(field.name());
    if (known == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(what, ": they have no column \"", field.name(),
                                                     "\", only ", AllowedColumns()));
    }
    const SqlType type = TypeFromProto(field.type());
    if (std::find(known->types.begin(), known->types.end(), type) == known->types.end()) {
      return absl::InvalidArgumentError(absl::StrCat(what, ": its column \"", field.name(),
                                                     "\" must be of type ", TypesOf(*known),
                                                     ", not ", type.ToString()));
    }
  }
  if (table.key_columns_size() > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(what,
                     ": it has a PRIMARY KEY, and failed records replace no other; leave the "
                     "key out"));
  }
  return absl::OkStatus();
}

}  // namespace millrace
