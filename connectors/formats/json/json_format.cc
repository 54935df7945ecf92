#include "connectors/formats/json/json_format.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "connectors/formats/json/json_decoder.h"
#include "connectors/formats/json/json_encoder.h"
#include "connectors/formats/json/json_options.h"

namespace millrace {
namespace {

// Columns of one nested object must stand together, so that it is written once.
absl::Status CheckTogether(const std::vector<JsonPath>& paths, const proto::Sink& sink) {
  std::vector<JsonPath> finished;  // objects that are complete
  JsonPath open;
  for (size_t column = 0; column < paths.size(); ++column) {
    const JsonPath object(paths[column].begin(), paths[column].end() - 1);
    auto [left, entered] = std::mismatch(open.begin(), open.end(), object.begin(), object.end());
    for (; left != open.end(); ++left) {
      finished.emplace_back(open.begin(), left + 1);
    }
    for (; entered != object.end(); ++entered) {
      const JsonPath opened(object.begin(), entered + 1);
      if (std::find(finished.begin(), finished.end(), opened) != finished.end()) {
        return absl::InvalidArgumentError(absl::StrCat(
            "the columns of table ", sink.table(), " in the object ", JsonPathText(opened),
            " must stand together; ", sink.columns(static_cast<int>(column)).name(),
            " is apart from the others"));
      }
    }
    open = object;
  }
  return absl::OkStatus();
}

template <typename Fields>
std::vector<std::string> NamesOf(const Fields& fields) {
  std::vector<std::string> names;
  for (const proto::Field& field : fields) {
    names.push_back(field.name());
  }
  return names;
}

class JsonFormat : public Format {
 public:
  const std::string& name() const override { return name_; }
  FormatTraits traits() const override {
    return {.file_extension = "json",
            .line_ends = LineEnds::kNowhere,
            .empty_line = EmptyLine::kSkipped};
  }
  std::vector<std::string> Options(FormatRole role) const override {
    std::vector<std::string> options = {"path.<column>"};
    if (!role.in_files) {
      options.emplace_back("key.format");
    }
    if (!role.sink) {
      options.emplace_back("timestamp_unit");
    }
    return options;
  }

  absl::Status ValidateSource(const proto::Source& source) const override {
    ASSIGN_OR_RETURN(JsonOptions options,
                     ParseJsonOptions(source.options(), NamesOf(source.declared())));
    return CheckRawKey(options, source.primary_key_size(), source.table());
  }

  absl::Status ValidateSink(const proto::Sink& sink) const override {
    const std::vector<std::string> names = NamesOf(sink.columns());
    ASSIGN_OR_RETURN(JsonOptions options, ParseJsonOptions(sink.options(), names));
    RETURN_IF_ERROR(CheckRawKey(options, sink.key_columns_size(), sink.table()));
    RETURN_IF_ERROR(CheckPathsApart(options.paths, names));
    return CheckTogether(options.paths, sink);
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
