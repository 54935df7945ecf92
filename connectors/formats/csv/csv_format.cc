#include "connectors/formats/csv/csv_format.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/types/text_format.h"
#include "connectors/formats/csv/csv_record.h"
#include "connectors/formats/declared_columns.h"
#include "connectors/formats/encoded_text.h"
#include "connectors/formats/utf8.h"
#include "connectors/shared/options.h"

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
  const char special[] = {out.delimiter, '"', '\n', '\r'};
  if (out.null_string.find_first_of(special, 0, sizeof(special)) != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        "option null_string = '", out.null_string,
        "': it may hold no delimiter, quote or line end, or it would not be read as it "
        "is written"));
  }
  RETURN_IF_ERROR(BoolOption(options, "header", false).status());
  return out;
}

// A record is one line; some producers include the line end.
std::string_view WithoutLineEnd(std::string_view record) {
  if (record.ends_with('\n')) {
    record.remove_suffix(1);
  }
  if (record.ends_with('\r')) {
    record.remove_suffix(1);
  }
  return record;
}

class CsvDecoder : public FormatDecoder {
 public:
  CsvDecoder(const proto::Source& source, CsvOptions options)
      : options_(std::move(options)), columns_(source) {}

  absl::StatusOr<std::vector<ColumnPtr>> Decode(const PayloadSpan& payloads,
                                                RowErrors* errors) override {
    columns_.Begin(payloads);
    for (size_t row = 0; row < payloads.count; ++row) {
      if (payloads.values[row].data() == nullptr) {  // a tombstone has no fields
        SetNulls(row);
      } else if (absl::Status status = DecodeRecord(payloads.values[row], row); !status.ok()) {
        SetNulls(row);
        errors->Add(static_cast<uint32_t>(row), std::move(status));
      }
    }
    return columns_.Finish();
  }

 private:
  void SetNulls(size_t row) {
    for (size_t i = 0; i < columns_.size(); ++i) {
      columns_.SetNull(i, row);
    }
  }

  absl::Status DecodeRecord(std::string_view payload, size_t row) {
    std::string_view record = WithoutLineEnd(payload);
    if (!IsText(record)) {
      return NotText("the record", record);
    }
    RETURN_IF_ERROR(SplitCsvRecord(record, options_.delimiter, &fields_));
    if (fields_.size() != columns_.size()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the record has ", fields_.size(), " fields, the table ", columns_.size(), " columns: \"",
          ToAbsl(record.substr(0, 100)), record.size() > 100 ? "…" : "", "\""));
    }
    for (size_t i = 0; i < fields_.size(); ++i) {
      if (absl::Status status = Set(i, row); !status.ok()) {
        return absl::Status(
            status.code(),
            absl::StrCat("column ", columns_.name(i), ": ", status.message(), " (field ", i + 1,
                         ", at byte ", fields_[i].text.data() - record.data() + 1,
                         " of the record)"));
      }
    }
    return absl::OkStatus();
  }

  absl::Status Set(size_t column, size_t row) {
    const CsvField& field = fields_[column];
    if (!field.quoted && field.text == options_.null_string) {
      columns_.SetNull(column, row);
      return absl::OkStatus();
    }
    std::string_view text = field.text;
    if (field.escaped) {
      unescaped_.clear();
      AppendUnescaped(field, &unescaped_);
      text = unescaped_;
    }
    if (columns_.type(column).id != TypeId::kText) {
      return columns_.Parse(column, row, text);
    }
    if (field.escaped) {
      columns_.SetTextCopy(column, row, text);
    } else {
      columns_.SetTextView(column, row, text);
    }
    return absl::OkStatus();
  }

  const CsvOptions options_;
  DeclaredColumns columns_;
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
  FormatTraits traits() const override {
    return {.file_extension = "csv",
            .line_ends = LineEnds::kQuoted,
            .empty_line = EmptyLine::kRecordOfOneColumn};  // with NULL in it
  }
  std::vector<std::string> Options(FormatRole role) const override {
    std::vector<std::string> options = {"delimiter", "null_string"};
    if (role.in_files) {
      options.emplace_back("header");
    }
    return options;
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

  // The sink's column names as a record.
  absl::StatusOr<std::string> FileHeader(const proto::Sink& sink) const override {
    ASSIGN_OR_RETURN(CsvOptions options, OptionsOf(sink.options()));
    std::string line;
    for (const proto::Field& column : sink.columns()) {
      if (&column != &sink.columns(0)) {
        line.push_back(options.delimiter);
      }
      AppendCsvField(column.name(), options.delimiter, false, &line);
    }
    line.push_back('\n');
    return line;
  }

 private:
  std::string name_ = "csv";
};

}  // namespace

std::unique_ptr<Format> NewCsvFormat() { return std::make_unique<CsvFormat>(); }

absl::StatusOr<char> CsvDelimiter(const OptionMap& options) {
  ASSIGN_OR_RETURN(const CsvOptions parsed, OptionsOf(options));
  return parsed.delimiter;
}

}  // namespace millrace
