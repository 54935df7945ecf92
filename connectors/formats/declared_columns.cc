#include "connectors/formats/declared_columns.h"

#include <utility>

#include "common/types/jsonb_text.h"
#include "common/types/text_format.h"

namespace millrace {
namespace {

// Whether the text is digits with at most a sign and a point, and so few that every number type
// takes them: such a value need not be parsed to be checked.
bool IsSmallNumber(std::string_view text, TypeId type) {
  const size_t most = type == TypeId::kFloat64 ? 300 : 36;
  size_t at = !text.empty() && text[0] == '-' ? 1 : 0;
  if (at == text.size() || text.size() > most || text[at] == '.') {
    return false;
  }
  size_t points = 0;
  for (; at < text.size(); ++at) {
    if (text[at] == '.') {
      ++points;
    } else if (text[at] < '0' || text[at] > '9') {
      return false;
    }
  }
  return points <= 1;
}

// Returns the error that ParseValue would give, without keeping the value.
absl::Status Check(std::string_view text, const SqlType& type, Column* scratch) {
  switch (type.id) {
    case TypeId::kText:
      return absl::OkStatus();
    case TypeId::kJsonb:
      if (!FindJsonFault(text, JsonRules::kJsonb).has_value()) {
        return absl::OkStatus();
      }
      break;
    case TypeId::kBytea:
      return ParseBytea(text).status();
    case TypeId::kArray:
      break;
    case TypeId::kFloat32:
    case TypeId::kFloat64:
    case TypeId::kNumeric:
      if (type.precision == 0 && IsSmallNumber(text, type.id)) {
        return absl::OkStatus();
      }
      break;
    default:
      return ParseValue(text, scratch, 0);
  }
  Column thrown_away(
      type,
      1);  // a new scratch column, since bytes outside of the cell would pile up in an old one
  return ParseValue(text, &thrown_away, 0);
}

}  // namespace

DeclaredColumns::DeclaredColumns(const proto::Source& source) {
  for (const proto::Field& field : source.declared()) {
    SqlType type = TypeFromProto(field.type());
    columns_.push_back(
        {.type = type, .name = field.name(), .values = std::make_shared<Column>(type, 1)});
  }
  for (const proto::SourceColumn& column : source.columns()) {
    if (column.declared() >= 0) {
      auto declared = static_cast<size_t>(column.declared());
      columns_[declared].read = true;
      outputs_.push_back(declared);
    }
  }
}

void DeclaredColumns::Begin(const PayloadSpan& payloads) {
  for (Declared& column : columns_) {
    if (column.read) {
      column.values = std::make_shared<Column>(column.type, payloads.count);
      column.values->AddOwner(payloads.owner);
    }
  }
}

std::vector<ColumnPtr> DeclaredColumns::Finish() {
  std::vector<ColumnPtr> columns;
  columns.reserve(outputs_.size());
  for (size_t output : outputs_) {
    columns.push_back(columns_[output].values);
  }
  return columns;
}

absl::Status DeclaredColumns::Parse(size_t column, size_t row, std::string_view text) {
  Declared& declared = columns_[column];
  return declared.read ? ParseValue(text, declared.values.get(), row)
                       : Check(text, declared.type, declared.values.get());
}

}  // namespace millrace
