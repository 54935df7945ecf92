#include "connectors/formats/raw_format.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "connectors/formats/encoded_text.h"
#include "connectors/formats/utf8.h"

namespace millrace {
namespace {

// Which column of a table is what of the record.
struct RawLayout {
  int key = -1;
  int value = -1;
};

using Fields = google::protobuf::RepeatedPtrField<proto::Field>;

// `primary_key` −1: none.
absl::StatusOr<RawLayout> LayoutOf(const std::string& table, const Fields& fields,
                                   int primary_key) {
  RawLayout layout{.key = primary_key};
  if (layout.key < 0 && fields.size() == 2) {
    for (int i = 0; i < 2; ++i) {
      layout.key = fields[i].name() == "key" ? i : layout.key;
    }
  }
  for (int i = 0; i < fields.size(); ++i) {
    SqlType type = TypeFromProto(fields[i].type());
    if (type.id != TypeId::kText && type.id != TypeId::kBytea) {
      return absl::InvalidArgumentError(
          absl::StrCat("column ", fields[i].name(), " of table ", table, " is ", type.ToString(),
                       "; format raw has columns of type text or bytea only"));
    }
    if (i == layout.key) {
      continue;
    }
    if (layout.value >= 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("table ", table, " has the columns ", fields[layout.value].name(), " and ",
                       fields[i].name(),
                       " for the record's value; format raw has one (and one for the key, if it is "
                       "the PRIMARY KEY)"));
    }
    layout.value = i;
  }
  return layout;
}

absl::StatusOr<RawLayout> LayoutOf(const proto::Source& source) {
  if (source.primary_key_size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("the PRIMARY KEY of table ", source.table(),
                     " has several columns; with format raw it has one"));
  }
  int key = -1;
  for (int i = 0; i < source.declared_size() && source.primary_key_size() == 1; ++i) {
    key = source.declared(i).name() == source.primary_key(0) ? i : key;
  }
  return LayoutOf(source.table(), source.declared(), key);
}

absl::StatusOr<RawLayout> LayoutOf(const proto::Sink& sink) {
  if (sink.key_columns_size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("the PRIMARY KEY of table ", sink.table(),
                     " has several columns; with format raw it has one"));
  }
  return LayoutOf(sink.table(), sink.columns(),
                  sink.key_columns_size() == 1 ? static_cast<int>(sink.key_columns(0)) : -1);
}

class RawDecoder : public FormatDecoder {
 public:
  struct Output {
    SqlType type;
    bool is_key;
    std::string name;
  };

  explicit RawDecoder(std::vector<Output> outputs) : outputs_(std::move(outputs)) {}

  absl::StatusOr<std::vector<ColumnPtr>> Decode(const PayloadSpan& payloads,
                                                RowErrors* errors) override {
    std::vector<ColumnPtr> columns;
    columns.reserve(outputs_.size());
    for (const Output& output : outputs_) {
      columns.push_back(DecodeColumn(output, payloads, errors));
    }
    return columns;
  }

 private:
  static ColumnPtr DecodeColumn(const Output& output, const PayloadSpan& payloads,
                                RowErrors* errors) {
    const std::string_view* texts = output.is_key ? payloads.keys : payloads.values;
    auto column = std::make_shared<Column>(output.type, payloads.count);
    column->AddOwner(payloads.owner);
    auto* views = column->mutable_values<TextView>();
    bool check = output.type.id == TypeId::kText;
    for (size_t i = 0; i < payloads.count; ++i) {
      std::string_view text = texts[i];
      if (text.data() == nullptr) {
        views[i] = TextView();
        column->SetNull(i);
        continue;
      }
      if (check && !IsValidUtf8(text)) {
        errors->Add(static_cast<uint32_t>(i),
                    NotUtf8(absl::StrCat("the ", output.is_key ? "key" : "value", " (column ",
                                         output.name, ")")));
        text = std::string_view();
      }
      views[i] = TextView(text);
    }
    return column;
  }

  std::vector<Output> outputs_;
};

class RawEncoder : public FormatEncoder {
 public:
  RawEncoder(RawLayout layout, bool upsert) : layout_(layout), upsert_(upsert) {}

  absl::StatusOr<EncodedRecords> Encode(const Batch& batch) override {
    EncodedRecords out;
    out.records.reserve(batch.row_count());
    batch.rows().ForEach([&](uint32_t row) {
      EncodedRecords::Record record;
      record.key = Copy(batch, layout_.key, row);
      if (!(upsert_ && batch.weight(row) < 0)) {
        record.value = Copy(batch, layout_.value, row);
      }
      out.records.push_back(record);
    });
    out.owners = text_.TakeOwners();
    return out;
  }

 private:
  std::string_view Copy(const Batch& batch, int column, uint32_t row) {
    if (column < 0 || batch.column(column)->IsNull(row)) {
      return {};
    }
    return text_.Copy(batch.column(column)->value<TextView>(row).view());
  }

  RawLayout layout_;
  bool upsert_;
  EncodedText text_;
};

class RawFormat : public Format {
 public:
  const std::string& name() const override { return name_; }
  std::vector<std::string> Options() const override { return {}; }

  absl::Status ValidateSource(const proto::Source& source) const override {
    return LayoutOf(source).status();
  }

  absl::Status ValidateSink(const proto::Sink& sink) const override {
    ASSIGN_OR_RETURN(RawLayout layout, LayoutOf(sink));
    if (layout.value < 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "table ", sink.table(),
          " has no column for the record's value; format raw needs one of type text or bytea"));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<FormatDecoder>> CreateDecoder(
      const proto::Source& source) const override {
    ASSIGN_OR_RETURN(RawLayout layout, LayoutOf(source));
    std::vector<RawDecoder::Output> outputs;
    for (const proto::SourceColumn& column : source.columns()) {
      if (column.declared() >= 0) {
        outputs.push_back(
            {TypeFromProto(column.type()), column.declared() == layout.key, column.name()});
      }
    }
    return std::make_unique<RawDecoder>(std::move(outputs));
  }

  absl::StatusOr<std::unique_ptr<FormatEncoder>> CreateEncoder(
      const proto::Sink& sink) const override {
    ASSIGN_OR_RETURN(RawLayout layout, LayoutOf(sink));
    return std::make_unique<RawEncoder>(layout, sink.mode() == proto::SINK_UPSERT);
  }

 private:
  std::string name_ = "raw";
};

}  // namespace

std::unique_ptr<Format> NewRawFormat() { return std::make_unique<RawFormat>(); }

}  // namespace millrace
