#include "connectors/formats/json_format.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "connectors/formats/json_decoder.h"
#include "connectors/formats/json_encoder.h"
#include "connectors/formats/json_options.h"

namespace millrace {
namespace {

// Columns of one nested object must stand together, so that it is written once.
absl::Status CheckTogether(const proto::Sink& sink) {
  std::vector<std::string> finished;  // objects that were left
  std::vector<std::string> open;
  for (const proto::Field& column : sink.columns()) {
    std::vector<std::string> path = JsonPath(sink.options(), column.name());
    path.pop_back();
    size_t common = 0;
    while (common < open.size() && common < path.size() && open[common] == path[common]) {
      ++common;
    }
    for (size_t depth = common; depth < open.size(); ++depth) {
      finished.push_back(
          absl::StrJoin(open.begin(), open.begin() + static_cast<long>(depth) + 1, "."));
    }
    for (size_t depth = common; depth < path.size(); ++depth) {
      std::string opened =
          absl::StrJoin(path.begin(), path.begin() + static_cast<long>(depth) + 1, ".");
      for (const std::string& done : finished) {
        if (done == opened) {
          return absl::InvalidArgumentError(
              absl::StrCat("the columns of table ", sink.table(), " in the object ", opened,
                           " must stand together; ", column.name(), " is apart from the others"));
        }
      }
    }
    open = std::move(path);
  }
  return absl::OkStatus();
}

class JsonFormat : public Format {
 public:
  const std::string& name() const override { return name_; }
  std::vector<std::string> Options() const override {
    return {"key.format", "path.<column>", "timestamp_unit"};
  }

  absl::Status ValidateSource(const proto::Source& source) const override {
    std::vector<std::string> names;
    for (const proto::Field& column : source.declared()) {
      names.push_back(column.name());
    }
    ASSIGN_OR_RETURN(JsonOptions options, ParseJsonOptions(source.options(), names));
    return CheckRawKey(options, source.primary_key_size(), source.table());
  }

  absl::Status ValidateSink(const proto::Sink& sink) const override {
    std::vector<std::string> names;
    for (const proto::Field& column : sink.columns()) {
      names.push_back(column.name());
    }
    ASSIGN_OR_RETURN(JsonOptions options, ParseJsonOptions(sink.options(), names));
    RETURN_IF_ERROR(CheckRawKey(options, sink.key_columns_size(), sink.table()));
    return CheckTogether(sink);
  }

  absl::StatusOr<std::unique_ptr<FormatDecoder>> CreateDecoder(
      const proto::Source& source) const override {
    return NewJsonDecoder(source);
  }
  absl::StatusOr<std::unique_ptr<FormatEncoder>> CreateEncoder(
      const proto::Sink& sink) const override {
    return NewJsonEncoder(sink);
  }

 private:
  static absl::Status CheckRawKey(const JsonOptions& options, int keys, const std::string& table) {
    if (options.raw_key && keys > 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("table ", table, " has key.format = 'raw' and a PRIMARY KEY of ", keys,
                       " columns; a raw key is one column: use 'json'"));
    }
    return absl::OkStatus();
  }

  std::string name_ = "json";
};

}  // namespace

std::unique_ptr<Format> NewJsonFormat() { return std::make_unique<JsonFormat>(); }

}  // namespace millrace
