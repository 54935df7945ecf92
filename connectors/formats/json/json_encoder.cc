#include "connectors/formats/json/json_encoder.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/types/json_value_text.h"
#include "common/types/jsonb_text.h"
#include "common/types/text_format.h"
#include "connectors/formats/encoded_text.h"
#include "connectors/formats/json/json_options.h"

namespace millrace {
namespace {

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
  JsonPath path;
};

class JsonEncoder : public FormatEncoder {
 public:
  JsonEncoder(const proto::Sink& sink, JsonOptions options)
      : raw_key_(options.raw_key), upsert_(sink.mode() == proto::SINK_UPSERT) {
    for (int i = 0; i < sink.columns_size(); ++i) {
      value_.push_back(
          {static_cast<uint32_t>(i), std::move(options.paths[static_cast<size_t>(i)])});
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
        record.key = raw_key_ ? RawKey(batch, row) : Object(batch, key_, row);
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
    const JsonPath* open = nullptr;  // path whose parents are open
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
  void MoveTo(const JsonPath* from, const JsonPath& to) {
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

  const bool raw_key_;
  const bool upsert_;
  std::vector<Member> value_;
  std::vector<Member> key_;
  EncodedText text_;
  std::string line_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<FormatEncoder>> NewJsonEncoder(const proto::Sink& sink) {
  ASSIGN_OR_RETURN(JsonOptions options, ParseJsonOptions(sink.options(), NamesOf(sink)));
  return std::make_unique<JsonEncoder>(sink, std::move(options));
}

}  // namespace millrace
