#include "connectors/formats/raw/raw_format.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "connectors/formats/declared_columns.h"
#include "connectors/formats/encoded_text.h"
#include "connectors/formats/utf8.h"

namespace millrace {
namespace {

// Which part of the record each column of a table holds.
struct RawLayout {
  int key = -1;
  int value = -1;
};

using Fields = google::protobuf::RepeatedPtrField<proto::Field>;

// `primary_key`: −1 = none.
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
  RawDecoder(const proto::Source& source, RawLayout layout) : layout_(layout), columns_(source) {}

  absl::StatusOr<std::vector<ColumnPtr>> Decode(const PayloadSpan& payloads,
                                                RowErrors* errors) override {
    columns_.Begin(payloads);
    if (layout_.key >= 0) {
      DecodeColumn(static_cast<size_t>(layout_.key), "key", payloads.keys, payloads.count, errors);
    }
    if (layout_.value >= 0) {
      DecodeColumn(static_cast<size_t>(layout_.value), "value", payloads.values, payloads.count,
                   errors);
    }
    return columns_.Finish();
  }

 private:
  void DecodeColumn(size_t column, const char* part, const std::string_view* texts, size_t count,
                    RowErrors* errors) {
    const bool check = columns_.type(column).id == TypeId::kText;
    for (size_t row = 0; row < count; ++row) {
      std::string_view text = texts[row];
      if (text.data() == nullptr) {
        columns_.SetTextView(column, row, {});
        columns_.SetNull(column, row);
        continue;
      }
      if (check && !IsText(text)) {
        absl::Status status =
            NotText(absl::StrCat("the ", part, " (column ", columns_.name(column), ")"), text);
        errors->Add(static_cast<uint32_t>(row),
                    absl::InvalidArgumentError(absl::StrCat(
                        status.message(), "; declare the column as bytea to take any bytes")));
        text = std::string_view();
      }
      columns_.SetTextView(column, row, text);
    }
  }

  const RawLayout layout_;
  DeclaredColumns columns_;
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
  FormatTraits traits() const override {
    return {.file_extension = "txt",
            .line_ends = LineEnds::kAnywhere,
            .empty_line = EmptyLine::kRecord};
  }
  std::vector<std::string> Options(FormatRole) const override { return {}; }

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
    return std::make_unique<RawDecoder>(source, layout);
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
