#include "connectors/formats/json_encoder.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/types/jsonb_text.h"
#include "common/types/text_format.h"
#include "connectors/formats/encoded_text.h"
#include "connectors/formats/json_options.h"

namespace millrace {
namespace {

// As PostgreSQL's to_json prints them: a T between date and time, the zone with its minutes.
void AppendTimestamp(const Column& column, size_t row, std::string* out) {
  size_t begin = out->size();
  AppendValue(column, row, out);
  if (size_t space = out->find(' ', begin); space != std::string::npos) {
    (*out)[space] = 'T';
  }
  size_t zone = out->find('+', begin);
  if (zone != std::string::npos && out->size() == zone + 3) {
    *out += ":00";
  }
}

// NaN and infinities are no JSON numbers: they become strings.
void AppendNumber(const Column& column, size_t row, std::string* out) {
  std::string text;
  AppendValue(column, row, &text);
  bool is_number = text.back() >= '0' && text.back() <= '9';
  absl::StrAppend(out, is_number ? "" : "\"", text, is_number ? "" : "\"");
}

std::vector<std::string> NamesOf(const proto::Sink& sink) {
  std::vector<std::string> names;
  for (const proto::Field& column : sink.columns()) {
    names.push_back(column.name());
  }
  return names;
}

// A column's place in the object: the object it is in must be open when it is written.
struct Member {
  uint32_t column;
  std::vector<std::string> path;
};

class JsonEncoder : public FormatEncoder {
 public:
  JsonEncoder(const proto::Sink& sink, JsonOptions options) : options_(options) {
    upsert_ = sink.mode() == proto::SINK_UPSERT;
    for (int i = 0; i < sink.columns_size(); ++i) {
      value_.push_back(
          {static_cast<uint32_t>(i), JsonPath(sink.options(), sink.columns(i).name())});
    }
    for (uint32_t key : sink.key_columns()) {
      key_.push_back({key, {sink.columns(static_cast<int>(key)).name()}});
    }
  }

  absl::StatusOr<EncodedRecords> Encode(const Batch& batch) override {
    EncodedRecords out;
    out.records.reserve(batch.row_count());
    batch.rows().ForEach([&](uint32_t row) {
      EncodedRecords::Record record;
      if (upsert_) {
        record.key = options_.raw_key ? RawKey(batch, row) : Object(batch, key_, row);
      }
      if (!(upsert_ && batch.weight(row) < 0)) {
        record.value = Object(batch, value_, row);
      }
      out.records.push_back(record);
    });
    out.owners = text_.TakeOwners();
    return out;
  }

 private:
  std::string_view RawKey(const Batch& batch, uint32_t row) {
    const Column& column = *batch.column(key_[0].column);
    if (column.IsNull(row)) {
      return {};
    }
    line_.clear();
    AppendValue(column, row, &line_);
    return text_.Copy(line_);
  }

  std::string_view Object(const Batch& batch, const std::vector<Member>& members, uint32_t row) {
    line_.assign(1, '{');
    const std::vector<std::string>* open = nullptr;  // path whose parents are open
    for (const Member& member : members) {
      MoveTo(open, member.path);
      open = &member.path;
      AppendJsonString(member.path.back(), &line_);
      line_.push_back(':');
      AppendJsonValue(*batch.column(member.column), row, &line_);
    }
    line_.append(open == nullptr ? 1 : open->size(), '}');
    return text_.Copy(line_);
  }

  // Closes the objects that `to` is not in and opens those that it is in. Columns of one object
  // that do not stand together in the table would open it twice: validation refuses that.
  void MoveTo(const std::vector<std::string>* from, const std::vector<std::string>& to) {
    size_t depth = 0;
    if (from != nullptr) {
      while (depth + 1 < from->size() && depth + 1 < to.size() && (*from)[depth] == to[depth]) {
        ++depth;
      }
      line_.append(from->size() - 1 - depth, '}');
      line_.push_back(',');
    }
    for (; depth + 1 < to.size(); ++depth) {
      AppendJsonString(to[depth], &line_);
      line_ += ":{";
    }
  }

  JsonOptions options_;
  bool upsert_ = false;
  std::vector<Member> value_;
  std::vector<Member> key_;
  EncodedText text_;
  std::string line_;
};

}  // namespace

void AppendJsonValue(const Column& column, size_t row, std::string* out) {
  if (column.IsNull(row)) {
    *out += "null";
    return;
  }
  switch (column.type().id) {
    case TypeId::kBool:
      *out += column.value<uint8_t>(row) != 0 ? "true" : "false";
      return;
    case TypeId::kText:
      AppendJsonString(column.value<TextView>(row).view(), out);
      return;
    case TypeId::kJsonb:
      AppendValue(column, row, out);
      return;
    case TypeId::kInt16:
    case TypeId::kInt32:
    case TypeId::kInt64:
    case TypeId::kFloat32:
    case TypeId::kFloat64:
    case TypeId::kNumeric:
      AppendNumber(column, row, out);
      return;
    default:
      out->push_back('"');
      if (column.type().id == TypeId::kBytea) {
        out->push_back('\\');  // of the \x that follows
      }
      if (column.type().id == TypeId::kTimestamp || column.type().id == TypeId::kTimestampTz) {
        AppendTimestamp(column, row, out);
      } else {
        AppendValue(column, row, out);
      }
      out->push_back('"');
  }
}

absl::StatusOr<std::unique_ptr<FormatEncoder>> NewJsonEncoder(const proto::Sink& sink) {
  ASSIGN_OR_RETURN(JsonOptions options, ParseJsonOptions(sink.options(), NamesOf(sink)));
  return std::make_unique<JsonEncoder>(sink, options);
}

}  // namespace millrace
