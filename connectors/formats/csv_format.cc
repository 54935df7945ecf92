#include "connectors/formats/csv_format.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/types/text_format.h"
#include "connectors/formats/csv_record.h"
#include "connectors/formats/encoded_text.h"
#include "connectors/formats/utf8.h"
#include "connectors/options.h"

namespace millrace {
namespace {

struct CsvOptions {
  char delimiter = ',';
  std::string null_string;
};

absl::StatusOr<CsvOptions> OptionsOf(const OptionMap& options) {
  CsvOptions out;
  std::string delimiter = OptionOr(options, "delimiter", ",");
  if (delimiter == "\\t") {
    delimiter = "\t";
  }
  if (delimiter.size() != 1 || delimiter[0] == '"' || delimiter[0] == '\n' ||
      delimiter[0] == '\r') {
    return absl::InvalidArgumentError(
        absl::StrCat("option delimiter = '", delimiter,
                     "': allowed is one character other than a quote or a line end, or \\t"));
  }
  out.delimiter = delimiter[0];
  out.null_string = OptionOr(options, "null_string", "");
  RETURN_IF_ERROR(BoolOption(options, "header", false).status());
  return out;
}

class CsvDecoder : public FormatDecoder {
 public:
  CsvDecoder(const proto::Source& source, CsvOptions options)
      : options_(std::move(options)), field_count_(source.declared_size()) {
    for (const proto::SourceColumn& column : source.columns()) {
      if (column.declared() >= 0) {
        outputs_.push_back(
            {TypeFromProto(column.type()), static_cast<size_t>(column.declared()), column.name()});
      }
    }
  }

  absl::StatusOr<std::vector<ColumnPtr>> Decode(const PayloadSpan& payloads,
                                                RowErrors* errors) override {
    std::vector<std::shared_ptr<Column>> columns;
    for (const Output& output : outputs_) {
      columns.push_back(std::make_shared<Column>(output.type, payloads.count));
      columns.back()->AddOwner(payloads.owner);
    }
    for (size_t row = 0; row < payloads.count; ++row) {
      if (absl::Status status = DecodeRecord(payloads.values[row], row, &columns); !status.ok()) {
        for (auto& column : columns) {
          column->SetNull(row);
        }
        errors->Add(static_cast<uint32_t>(row), std::move(status));
      }
    }
    return std::vector<ColumnPtr>(columns.begin(), columns.end());
  }

 private:
  struct Output {
    SqlType type;
    size_t field;
    std::string name;
  };

  absl::Status DecodeRecord(std::string_view record, size_t row,
                            std::vector<std::shared_ptr<Column>>* columns) {
    if (record.data() == nullptr) {  // a tombstone has no fields
      for (auto& column : *columns) {
        column->SetNull(row);
      }
      return absl::OkStatus();
    }
    if (!IsValidUtf8(record)) {
      return NotUtf8("the record");
    }
    RETURN_IF_ERROR(SplitCsvRecord(record, options_.delimiter, &fields_));
    if (fields_.size() != field_count_) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the record has ", fields_.size(), " fields, the table ", field_count_, " columns: \"",
          ToAbsl(record.substr(0, 100)), record.size() > 100 ? "…" : "", "\""));
    }
    for (size_t i = 0; i < outputs_.size(); ++i) {
      if (absl::Status status = Set(fields_[outputs_[i].field], row, (*columns)[i].get());
          !status.ok()) {
        return Annotate(status, absl::StrCat("column ", outputs_[i].name));
      }
    }
    return absl::OkStatus();
  }

  absl::Status Set(const CsvField& field, size_t row, Column* column) {
    if (!field.quoted && field.text == options_.null_string) {
      column->SetNull(row);
      return absl::OkStatus();
    }
    std::string_view text = field.text;
    if (field.escaped) {
      unescaped_.clear();
      AppendUnescaped(field, &unescaped_);
      text = unescaped_;
    }
    if (column->type().id != TypeId::kText) {
      return ParseValue(text, column, row);
    }
    if (field.escaped) {
      column->SetTextCopy(row, text);
    } else {
      column->mutable_values<TextView>()[row] = TextView(text);
    }
    return absl::OkStatus();
  }

  CsvOptions options_;
  size_t field_count_;
  std::vector<Output> outputs_;
  std::vector<CsvField> fields_;
  std::string unescaped_;
};

class CsvEncoder : public FormatEncoder {
 public:
  CsvEncoder(const proto::Sink& sink, CsvOptions options)
      : options_(std::move(options)),
        keys_(sink.key_columns().begin(), sink.key_columns().end()),
        upsert_(sink.mode() == proto::SINK_UPSERT) {
    for (int i = 0; i < sink.columns_size(); ++i) {
      all_.push_back(i);
    }
  }

  absl::StatusOr<EncodedRecords> Encode(const Batch& batch) override {
    EncodedRecords out;
    out.records.reserve(batch.row_count());
    batch.rows().ForEach([&](uint32_t row) {
      EncodedRecords::Record record;
      if (upsert_) {
        record.key = Line(batch, keys_, row);
      }
      if (!(upsert_ && batch.weight(row) < 0)) {
        record.value = Line(batch, all_, row);
      }
      out.records.push_back(record);
    });
    out.owners = text_.TakeOwners();
    return out;
  }

 private:
  std::string_view Line(const Batch& batch, const std::vector<uint32_t>& columns, uint32_t row) {
    line_.clear();
    for (size_t i = 0; i < columns.size(); ++i) {
      if (i > 0) {
        line_.push_back(options_.delimiter);
      }
      const Column& column = *batch.column(columns[i]);
      if (column.IsNull(row)) {
        line_ += options_.null_string;
        continue;
      }
      field_.clear();
      AppendValue(column, row, &field_);
      AppendCsvField(field_, options_.delimiter, field_ == options_.null_string, &line_);
    }
    return text_.Copy(line_);
  }

  CsvOptions options_;
  std::vector<uint32_t> keys_;
  std::vector<uint32_t> all_;
  bool upsert_;
  EncodedText text_;
  std::string line_;
  std::string field_;
};

class CsvFormat : public Format {
 public:
  const std::string& name() const override { return name_; }
  std::vector<std::string> Options() const override {
    return {"delimiter", "header", "null_string"};
  }

  absl::Status ValidateSource(const proto::Source& source) const override {
    if (source.declared().empty()) {
      return absl::InvalidArgumentError(absl::StrCat("table ", source.table(), " has no columns"));
    }
    return OptionsOf(source.options()).status();
  }
  absl::Status ValidateSink(const proto::Sink& sink) const override {
    return OptionsOf(sink.options()).status();
  }

  absl::StatusOr<std::unique_ptr<FormatDecoder>> CreateDecoder(
      const proto::Source& source) const override {
    ASSIGN_OR_RETURN(CsvOptions options, OptionsOf(source.options()));
    return std::make_unique<CsvDecoder>(source, std::move(options));
  }
  absl::StatusOr<std::unique_ptr<FormatEncoder>> CreateEncoder(
      const proto::Sink& sink) const override {
    ASSIGN_OR_RETURN(CsvOptions options, OptionsOf(sink.options()));
    return std::make_unique<CsvEncoder>(sink, std::move(options));
  }

 private:
  std::string name_ = "csv";
};

}  // namespace

std::unique_ptr<Format> NewCsvFormat() { return std::make_unique<CsvFormat>(); }

absl::StatusOr<std::string> CsvHeader(const proto::Sink& sink) {
  ASSIGN_OR_RETURN(CsvOptions options, OptionsOf(sink.options()));
  std::string line;
  for (const proto::Field& column : sink.columns()) {
    if (&column != &sink.columns(0)) {
      line.push_back(options.delimiter);
    }
    AppendCsvField(column.name(), options.delimiter, false, &line);
  }
  return line;
}

}  // namespace millrace
