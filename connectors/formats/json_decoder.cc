#include "connectors/formats/json_decoder.h"

#include <simdjson.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/types/text_format.h"
#include "connectors/formats/json_options.h"
#include "connectors/formats/utf8.h"

namespace millrace {
namespace {

namespace ondemand = simdjson::ondemand;

// A name in the document: leads to a column, to further names, or both ways are shut (it is
// skipped).
struct JsonNode {
  std::string name;
  int output = -1;
  std::vector<JsonNode> children;

  JsonNode* Child(std::string_view child) {
    for (JsonNode& node : children) {
      if (node.name == child) {
        return &node;
      }
    }
    return nullptr;
  }
};

absl::Status JsonError(simdjson::error_code error) {
  return absl::InvalidArgumentError(
      absl::StrCat("not a JSON object: ", simdjson::error_message(error)));
}

std::string_view TrimRight(std::string_view text) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\n' || text.back() == '\r' ||
                           text.back() == '\t')) {
    text.remove_suffix(1);
  }
  return text;
}

class JsonDecoder : public FormatDecoder {
 public:
  JsonDecoder(const proto::Source& source, JsonOptions options) : options_(options) {
    for (const proto::SourceColumn& column : source.columns()) {
      if (column.declared() < 0) {
        continue;
      }
      int output = static_cast<int>(outputs_.size());
      outputs_.push_back({TypeFromProto(column.type()), column.name()});
      AddPath(JsonPath(source.options(), column.name()), output, &value_root_);
      const auto& keys = source.primary_key();
      if (std::find(keys.begin(), keys.end(), column.name()) != keys.end()) {
        AddPath({column.name()}, output, &key_root_);
        key_output_ = output;
      }
    }
  }

  absl::StatusOr<std::vector<ColumnPtr>> Decode(const PayloadSpan& payloads,
                                                RowErrors* errors) override {
    columns_.clear();
    for (const Output& output : outputs_) {
      columns_.push_back(std::make_shared<Column>(output.type, payloads.count));
      columns_.back()->AddOwner(payloads.owner);
    }
    for (size_t row = 0; row < payloads.count; ++row) {
      seen_.assign(outputs_.size(), 0);
      if (absl::Status status = DecodeRecord(payloads, row); !status.ok()) {
        seen_.assign(outputs_.size(), 0);
        errors->Add(static_cast<uint32_t>(row), std::move(status));
      }
      for (size_t i = 0; i < outputs_.size(); ++i) {
        if (seen_[i] == 0) {
          columns_[i]->SetNull(row);
        }
      }
    }
    return std::vector<ColumnPtr>(columns_.begin(), columns_.end());
  }

 private:
  struct Output {
    SqlType type;
    std::string name;
  };

  static void AddPath(const std::vector<std::string>& path, int output, JsonNode* root) {
    JsonNode* node = root;
    for (const std::string& name : path) {
      JsonNode* child = node->Child(name);
      if (child == nullptr) {
        node->children.push_back({.name = name});
        child = &node->children.back();
      }
      node = child;
    }
    node->output = output;
  }

  absl::Status DecodeRecord(const PayloadSpan& payloads, size_t row) {
    if (payloads.values[row].data() != nullptr) {
      return DecodeDocument(payloads.values[row], value_root_, row);
    }
    std::string_view key = payloads.keys == nullptr ? std::string_view() : payloads.keys[row];
    if (key.data() == nullptr || key_output_ < 0) {
      return absl::OkStatus();
    }
    if (!options_.raw_key) {
      return Annotate(DecodeDocument(key, key_root_, row), "key");
    }
    if (!IsValidUtf8(key)) {
      return NotUtf8("the key");
    }
    seen_[key_output_] = 1;
    return Annotate(ParseValue(key, columns_[key_output_].get(), row), "key");
  }

  absl::Status DecodeDocument(std::string_view text, JsonNode& root, size_t row) {
    // simdjson reads past the end: it needs padding that payloads lack.
    if (padded_.size() < text.size() + simdjson::SIMDJSON_PADDING) {
      padded_.resize(2 * text.size() + simdjson::SIMDJSON_PADDING);
    }
    std::memcpy(padded_.data(), text.data(), text.size());
    std::memset(padded_.data() + text.size(), 0, simdjson::SIMDJSON_PADDING);
    payload_ = text.data();
    ondemand::document document;
    if (auto error = parser_.iterate(padded_.data(), text.size(), padded_.size()).get(document);
        error) {
      return JsonError(error);
    }
    ondemand::object object;
    if (auto error = document.get_object().get(object); error) {
      return JsonError(error);
    }
    RETURN_IF_ERROR(DecodeObject(object, &root, row));
    const char* after = nullptr;
    if (document.current_location().get(after) == simdjson::SUCCESS) {
      return absl::InvalidArgumentError("not a JSON object: text after its end");
    }
    return absl::OkStatus();
  }

  absl::Status DecodeObject(ondemand::object object, JsonNode* node, size_t row) {
    for (simdjson::simdjson_result<ondemand::field> item : object) {
      ondemand::field field;
      if (auto error = std::move(item).get(field); error) {
        return JsonError(error);
      }
      std::string_view name;
      if (auto error = field.unescaped_key().get(name); error) {
        return JsonError(error);
      }
      JsonNode* child = node->Child(name);
      ondemand::value value = field.value();
      RETURN_IF_ERROR(child == nullptr ? Skip(value) : DecodeField(value, child, row));
    }
    return absl::OkStatus();
  }

  // Values nobody asked for must still be JSON.
  static absl::Status Skip(ondemand::value value) {
    ondemand::json_type type;
    if (auto error = value.type().get(type); error) {
      return JsonError(error);
    }
    return absl::OkStatus();
  }

  absl::Status DecodeField(ondemand::value value, JsonNode* node, size_t row) {
    ondemand::json_type type;
    if (auto error = value.type().get(type); error) {
      return JsonError(error);
    }
    if (node->output >= 0) {
      if (absl::Status status = SetValue(value, type, node->output, row); !status.ok()) {
        return Annotate(status, absl::StrCat("column ", outputs_[node->output].name));
      }
      return absl::OkStatus();
    }
    if (type != ondemand::json_type::object) {
      return absl::OkStatus();  // the path ends early: missing
    }
    ondemand::object object;
    if (auto error = value.get_object().get(object); error) {
      return JsonError(error);
    }
    return DecodeObject(object, node, row);
  }

  absl::Status SetValue(ondemand::value value, ondemand::json_type type, int output, size_t row) {
    if (type == ondemand::json_type::null) {
      bool is_null = false;
      if (auto error = value.is_null().get(is_null); error || !is_null) {
        return absl::InvalidArgumentError("not a JSON value");
      }
      seen_[output] = 0;  // of a name that appears twice the last value counts
      return absl::OkStatus();
    }
    seen_[output] = 1;
    Column* column = columns_[output].get();
    if (column->type().id == TypeId::kJsonb) {
      return ParseRaw(value, type, column, row);
    }
    switch (type) {
      case ondemand::json_type::string:
        return SetString(value, column, row);
      case ondemand::json_type::number:
        return SetNumber(value, column, row);
      default:
        return ParseRaw(value, type, column, row);
    }
  }

  absl::Status SetString(ondemand::value value, Column* column, size_t row) {
    std::string_view token = value.raw_json_token();
    std::string_view text;
    if (auto error = value.get_string().get(text); error) {
      return JsonError(error);
    }
    if (column->type().id != TypeId::kText) {
      return ParseValue(text, column, row);
    }
    std::string_view quoted = TrimRight(token);
    if (quoted.size() == text.size() + 2) {  // no escapes: the text stands in the payload as it is
      const char* begin = payload_ + (token.data() + 1 - padded_.data());
      column->mutable_values<TextView>()[row] = TextView(begin, text.size());
    } else {
      column->SetTextCopy(row, text);
    }
    return absl::OkStatus();
  }

  absl::Status SetNumber(ondemand::value value, Column* column, size_t row) {
    switch (column->type().id) {
      case TypeId::kInt64:
        if (int64_t number; value.get_int64().get(number) == simdjson::SUCCESS) {
          column->mutable_values<int64_t>()[row] = number;
          return absl::OkStatus();
        }
        break;
      case TypeId::kFloat64:
        if (double number; value.get_double().get(number) == simdjson::SUCCESS) {
          column->mutable_values<double>()[row] = number;
          return absl::OkStatus();
        }
        break;
      case TypeId::kTimestamp:
      case TypeId::kTimestampTz:
        return SetEpoch(value, column, row);
      case TypeId::kDate:
      case TypeId::kInterval:
        return absl::InvalidArgumentError(
            absl::StrCat("a number is no ", column->type().ToString(), "; a string is expected"));
      default:
        break;
    }
    return ParseRaw(value, ondemand::json_type::number, column, row);
  }

  absl::Status SetEpoch(ondemand::value value, Column* column, size_t row) const {
    int64_t whole = 0;
    int64_t micros = 0;
    if (value.get_int64().get(whole) == simdjson::SUCCESS) {
      if (__builtin_mul_overflow(whole, options_.unit_us, &micros)) {
        return absl::OutOfRangeError("timestamp out of range");
      }
    } else {
      double number = 0;
      if (value.get_double().get(number) != simdjson::SUCCESS ||
          !(std::abs(number) < 9e18 / options_.unit_us)) {
        return absl::OutOfRangeError("timestamp out of range");
      }
      micros = static_cast<int64_t>(std::llround(number * static_cast<double>(options_.unit_us)));
    }
    column->mutable_values<int64_t>()[row] = micros;
    return absl::OkStatus();
  }

  // Reads the value's own text as the column's type, once it is known to be JSON.
  static absl::Status ParseRaw(ondemand::value value, ondemand::json_type type, Column* column,
                               size_t row) {
    std::string_view text = value.raw_json_token();
    if (type == ondemand::json_type::object) {
      ondemand::object object;
      if (auto error = value.get_object().get(object); error) {
        return JsonError(error);
      }
      if (auto error = object.raw_json().get(text); error) {
        return JsonError(error);
      }
    } else if (type == ondemand::json_type::array) {
      ondemand::array array;
      if (auto error = value.get_array().get(array); error) {
        return JsonError(error);
      }
      if (auto error = array.raw_json().get(text); error) {
        return JsonError(error);
      }
    } else if (type == ondemand::json_type::boolean) {
      bool ignored = false;
      if (auto error = value.get_bool().get(ignored); error) {
        return JsonError(error);
      }
    } else if (type == ondemand::json_type::number) {
      double ignored = 0;
      if (auto error = value.get_double().get(ignored); error) {
        return JsonError(error);
      }
    }
    text = TrimRight(text);
    if (column->type().id == TypeId::kText) {
      column->SetTextCopy(row, text);
      return absl::OkStatus();
    }
    return ParseValue(text, column, row);
  }

  JsonOptions options_;
  std::vector<Output> outputs_;
  JsonNode value_root_;
  JsonNode key_root_;
  int key_output_ = -1;  // of the last key column: the only one with a raw key
  ondemand::parser parser_;
  std::vector<char> padded_;
  const char* payload_ = nullptr;  // what padded_ is a copy of
  std::vector<std::shared_ptr<Column>> columns_;
  std::vector<uint8_t> seen_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<FormatDecoder>> NewJsonDecoder(const proto::Source& source) {
  std::vector<std::string> names;
  for (const proto::Field& field : source.declared()) {
    names.push_back(field.name());
  }
  ASSIGN_OR_RETURN(JsonOptions options, ParseJsonOptions(source.options(), names));
  return std::make_unique<JsonDecoder>(source, options);
}

}  // namespace millrace
