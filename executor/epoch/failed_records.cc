#include "executor/epoch/failed_records.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/types/sql_type.h"
#include "connectors/error_table.h"
#include "connectors/formats/utf8.h"

namespace millrace::executor {
namespace {

template <typename T>
void Set(const std::optional<T>& value, size_t row, Column* column) {
  if (value.has_value()) {
    column->mutable_values<T>()[row] = *value;
  } else {
    column->SetNull(row);
  }
}

// Writes bytes that are not valid text as hexadecimal digits.
void SetBytes(const std::optional<std::string_view>& bytes, size_t row, Column* column) {
  if (!bytes.has_value()) {
    column->SetNull(row);
  } else if (column->type().id == TypeId::kBytea || IsText(*bytes)) {
    column->SetTextCopy(row, *bytes);
  } else {
    column->SetTextCopy(row, absl::StrCat("\\x", absl::BytesToHexString(ToAbsl(*bytes))));
  }
}

void SetField(ErrorColumn field, const RawRecord& record, int64_t offset, const absl::Status& error,
              size_t row, Column* column) {
  switch (field) {
    case ErrorColumn::kError:
      return SetBytes(ToStd(error.message()), row, column);
    case ErrorColumn::kTopic:
      return SetBytes(record.topic, row, column);
    case ErrorColumn::kPartition:
      return Set(record.partition, row, column);
    case ErrorColumn::kOffset:
      return Set(std::make_optional(offset), row, column);
    case ErrorColumn::kTimestamp:
      return Set(record.timestamp_us, row, column);
    case ErrorColumn::kKey:
      return SetBytes(record.key, row, column);
    case ErrorColumn::kValue:
      return SetBytes(record.value, row, column);
  }
}

}  // namespace

Batch FailedRecords(const proto::Sink& table, const SourceChunk& chunk,
                    const std::map<uint32_t, absl::Status>& failed) {
  std::vector<ErrorColumn> fields;
  std::vector<std::shared_ptr<Column>> columns;
  for (const proto::Field& field : table.columns()) {
    const std::optional<ErrorColumn> known = FindErrorColumn(field.name());
    MILLRACE_CHECK(known.has_value()) << field.name();
    fields.push_back(*known);
    columns.push_back(std::make_shared<Column>(TypeFromProto(field.type()), failed.size()));
  }
  size_t row = 0;
  for (const auto& [record, error] : failed) {
    const RawRecord raw = chunk.raw == nullptr ? RawRecord() : chunk.raw(record);
    for (size_t i = 0; i < columns.size(); ++i) {
      SetField(fields[i], raw, chunk.offsets[record], error, row, columns[i].get());
    }
    ++row;
  }
  return Batch({columns.begin(), columns.end()}, failed.size());
}

}  // namespace millrace::executor
