#include "connectors/kafka/sink/record_encoder.h"

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "connectors/formats/encoded_text.h"

namespace millrace::kafka {
std::vector<std::pair<std::string, SqlType>> KafkaSinkMetadataColumns() {
  return {{"_key", MakeType(TypeId::kText)},
          {"_headers", MakeType(TypeId::kJsonb)},
          {"_partition", MakeType(TypeId::kInt32)}};
}

absl::StatusOr<KafkaSinkColumns> SplitKafkaSinkColumns(const proto::Sink& sink) {
  KafkaSinkColumns out;
  out.payload = sink;
  out.payload.clear_columns();
  out.payload.clear_key_columns();
  std::vector<uint32_t> new_index(static_cast<size_t>(sink.columns_size()));
  for (int i = 0; i < sink.columns_size(); ++i) {
    const proto::Field& column = sink.columns(i);
    TypeId type = TypeFromProto(column.type()).id;
    int* metadata = column.name() == "_key"         ? &out.key
                    : column.name() == "_headers"   ? &out.headers
                    : column.name() == "_partition" ? &out.partition
                                                    : nullptr;
    if (metadata == nullptr) {
      new_index[static_cast<size_t>(i)] = static_cast<uint32_t>(out.payload_columns.size());
      out.payload_columns.push_back(static_cast<uint32_t>(i));
      *out.payload.add_columns() = column;
      continue;
    }
    bool fits = metadata == &out.key       ? type == TypeId::kText || type == TypeId::kBytea
                : metadata == &out.headers ? type == TypeId::kJsonb
                                           : type == TypeId::kInt32;
    if (!fits) {
      return absl::InvalidArgumentError(
          absl::StrCat("column ", column.name(), " of table ", sink.table(), " has type ",
                       TypeFromProto(column.type()).ToString(),
                       "; _key is text, _headers jsonb, _partition integer"));
    }
    *metadata = i;
  }
  for (uint32_t key : sink.key_columns()) {
    if (static_cast<int>(key) == out.key || static_cast<int>(key) == out.headers ||
        static_cast<int>(key) == out.partition) {
      return absl::InvalidArgumentError(absl::StrCat("the PRIMARY KEY of table ", sink.table(),
                                                     " cannot hold a metadata column"));
    }
    out.payload.add_key_columns(new_index[key]);
  }
  if (sink.mode() == proto::SINK_UPSERT && out.key >= 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "table ", sink.table(), " has a PRIMARY KEY, which is its records' key: leave _key out"));
  }
  return out;
}

absl::StatusOr<std::unique_ptr<KafkaRecordEncoder>> KafkaRecordEncoder::Create(
    const proto::Sink& sink, const Format* format) {
  ASSIGN_OR_RETURN(KafkaSinkColumns columns, SplitKafkaSinkColumns(sink));
  ASSIGN_OR_RETURN(std::unique_ptr<FormatEncoder> encoder, format->CreateEncoder(columns.payload));
  return std::unique_ptr<KafkaRecordEncoder>(
      new KafkaRecordEncoder(std::move(columns), std::move(encoder)));
}

absl::StatusOr<KafkaRecordEncoder::Encoded> KafkaRecordEncoder::Encode(const Batch& rows,
                                                                       RowErrors* refused) {
  std::vector<ColumnPtr> payload;
  payload.reserve(columns_.payload_columns.size());
  for (uint32_t column : columns_.payload_columns) {
    payload.push_back(rows.column(column));
  }
  Batch payload_rows(std::move(payload), rows.physical_rows());
  payload_rows.set_selection(rows.selection());
  payload_rows.set_weights(rows.weight_column());
  ASSIGN_OR_RETURN(EncodedRecords formatted, encoder_->Encode(payload_rows));
  Encoded encoded;
  encoded.owners = std::move(formatted.owners);
  encoded.records.reserve(formatted.records.size());
  for (const EncodedRecords::Record& record : formatted.records) {
    encoded.records.push_back({.key = record.key, .value = record.value});
  }
  AddMetadata(rows, &encoded, refused);
  return encoded;
}

void KafkaRecordEncoder::AddMetadata(const Batch& rows, Encoded* encoded, RowErrors* refused) {
  if (columns_.key < 0 && columns_.headers < 0 && columns_.partition < 0) {
    return;
  }
  EncodedText keys;
  RowSet selected = rows.rows();
  for (size_t i = 0; i < selected.count; ++i) {
    uint32_t row = selected[i];
    KafkaRecord& record = encoded->records[i];
    if (columns_.key >= 0 && !rows.column(static_cast<size_t>(columns_.key))->IsNull(row)) {
      record.key =
          keys.Copy(rows.column(static_cast<size_t>(columns_.key))->value<TextView>(row).view());
    }
    if (columns_.headers >= 0 && !rows.column(static_cast<size_t>(columns_.headers))->IsNull(row)) {
      absl::StatusOr<KafkaHeaders> headers = ParseKafkaHeaders(
          rows.column(static_cast<size_t>(columns_.headers))->value<TextView>(row).view());
      if (headers.ok()) {
        record.headers = std::make_unique<KafkaHeaders>(*std::move(headers));
      } else {
        refused->Add(row, headers.status());
      }
    }
    if (columns_.partition >= 0 &&
        !rows.column(static_cast<size_t>(columns_.partition))->IsNull(row)) {
      record.partition = rows.column(static_cast<size_t>(columns_.partition))->value<int32_t>(row);
      if (record.partition < 0) {
        refused->Add(row, absl::InvalidArgumentError(absl::StrCat(
                              "_partition is ", record.partition, "; partitions count from 0")));
      }
    }
  }
  for (TextOwner& owner : keys.TakeOwners()) {
    encoded->owners.push_back(std::move(owner));
  }
}

}  // namespace millrace::kafka
