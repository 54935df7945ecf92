#include "connectors/formats/json/json_decoder.h"

#include <simdjson.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/types/jsonb_text.h"
#include "connectors/formats/declared_columns.h"
#include "connectors/formats/json/json_options.h"
#include "connectors/formats/json/json_tree.h"
#include "connectors/formats/json/json_value.h"
#include "connectors/formats/utf8.h"

namespace millrace {
namespace {

namespace ondemand = simdjson::ondemand;

std::string_view TrimRight(std::string_view text) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\n' || text.back() == '\r' ||
                           text.back() == '\t')) {
    text.remove_suffix(1);
  }
  return text;
}

// Whether a name or string has an escape. Inline, since most are short and a call would cost more.
// REQUIRES: eight bytes behind the text can be read.
inline bool HasEscape(std::string_view text) {
  constexpr uint64_t kOnes = 0x0101010101010101ULL;
  constexpr size_t kShort = 32;
  if (text.size() > kShort) {
    return text.find('\\') != std::string_view::npos;
  }
  for (size_t at = 0; at < text.size(); at += 8) {
    uint64_t word;
    std::memcpy(&word, text.data() + at, sizeof(word));
    word ^= kOnes * '\\';
    uint64_t zeros = (word - kOnes) & ~word & (kOnes << 7);
    if (size_t left = text.size() - at; left < 8) {
      zeros &= (uint64_t{1} << (8 * left)) - 1;
    }
    if (zeros != 0) {
      return true;
    }
  }
  return false;
}

absl::Status NotAnObject(std::string_view reason, size_t offset) {
  return absl::InvalidArgumentError(
      absl::StrCat("not a JSON object: ", ToAbsl(reason), ", at byte ", offset + 1));
}

// Says in our words what is wrong with a record that simdjson refuses.
absl::Status Malformed(std::string_view record) {
  if (!IsText(record)) {
    return NotText("the record", record);
  }
  if (std::optional<JsonFault> fault = FindJsonFault(record, JsonRules::kJson); fault.has_value()) {
    return NotAnObject(fault->reason, fault->offset);
  }
  size_t begin = record.find_first_not_of(" \n\r\t");
  if (record[begin] != '{') {
    return NotAnObject("it begins with another kind of value", begin);
  }
  const std::optional<JsonFault> fault = FindJsonFault(record, JsonRules::kJsonb);
  return fault.has_value() ? NotAnObject(fault->reason, fault->offset)
                           : absl::InvalidArgumentError("not a JSON object");
}

class JsonDecoder : public FormatDecoder {
 public:
  JsonDecoder(const proto::Source& source, const JsonOptions& options)
      : raw_key_(options.raw_key), unit_us_(options.unit_us), columns_(source) {
    const auto& keys = source.primary_key();
    for (size_t i = 0; i < columns_.size(); ++i) {
      value_tree_.Add(options.paths[i], i);
      if (std::find(keys.begin(), keys.end(), columns_.name(i)) != keys.end()) {
        key_tree_.Add({columns_.name(i)}, i);
        key_column_ = i;
      }
    }
  }

  absl::StatusOr<std::vector<ColumnPtr>> Decode(const PayloadSpan& payloads,
                                                RowErrors* errors) override {
    columns_.Begin(payloads);
    for (size_t row = 0; row < payloads.count; ++row) {
      states_.assign(columns_.size(), State::kMissing);
      failures_.clear();
      absl::Status status = DecodeRecord(payloads, row);
      if (status.ok() && !failures_.empty()) {
        status = LastingFailure();
      }
      if (!status.ok()) {
        states_.assign(columns_.size(), State::kMissing);
        errors->Add(static_cast<uint32_t>(row), std::move(status));
      }
      for (size_t i = 0; i < columns_.size(); ++i) {
        if (states_[i] == State::kMissing) {
          columns_.SetNull(i, row);
        }
      }
    }
    return columns_.Finish();
  }

 private:
  // If a name appears twice, the last value counts, whatever the first was.
  enum class State : uint8_t { kMissing, kSet, kFailed };

  struct Failure {
    size_t column;
    absl::Status status;
  };

  // The newest failure of the first column whose failure no later value has replaced.
  absl::Status LastingFailure() {
    auto failed = std::find(states_.begin(), states_.end(), State::kFailed);
    for (size_t i = failures_.size(); i-- > 0 && failed != states_.end();) {
      if (failures_[i].column == static_cast<size_t>(failed - states_.begin())) {
        return failures_[i].status;
      }
    }
    return absl::OkStatus();
  }

  absl::Status DecodeRecord(const PayloadSpan& payloads, size_t row) {
    if (payloads.values[row].data() != nullptr) {
      return DecodeDocument(payloads.values[row], &value_tree_, row);
    }
    std::string_view key = payloads.keys == nullptr ? std::string_view() : payloads.keys[row];
    if (key.data() == nullptr || !key_column_.has_value()) {
      return absl::OkStatus();
    }
    if (!raw_key_) {
      return Annotate(DecodeDocument(key, &key_tree_, row), "key");
    }
    if (!IsText(key)) {
      return NotText("the key", key);
    }
    states_[*key_column_] = State::kSet;
    return Annotate(columns_.Parse(*key_column_, row, key),
                    absl::StrCat("key: column ", columns_.name(*key_column_)));
  }

  absl::Status DecodeDocument(std::string_view record, JsonTree* tree, size_t row) {
    // simdjson reads past the end, so the record is copied to memory with padding.
    if (padded_.size() < record.size() + simdjson::SIMDJSON_PADDING) {
      padded_.resize(2 * record.size() + simdjson::SIMDJSON_PADDING);
    }
    std::memcpy(padded_.data(), record.data(), record.size());
    std::memset(padded_.data() + record.size(), 0, simdjson::SIMDJSON_PADDING);
    record_ = record;
    ondemand::document document;
    ondemand::object object;
    if (parser_.iterate(padded_.data(), record.size(), padded_.size()).get(document) !=
            simdjson::SUCCESS ||
        document.get_object().get(object) != simdjson::SUCCESS ||
        !DecodeObject(object, tree, row) || !document.at_end()) {
      return Malformed(record);
    }
    return absl::OkStatus();
  }

  // This function and those it calls return false if the record is not JSON. A value that is valid
  // JSON but does not fit its column becomes a failure of the column.
  bool DecodeObject(ondemand::object object, JsonTree* tree, size_t row) {
    for (simdjson::simdjson_result<ondemand::field> item : object) {
      ondemand::field field;
      std::string_view name;
      if (std::move(item).get(field) != simdjson::SUCCESS || !NameOf(field, &name)) {
        return false;
      }
      JsonTree* child = tree->Find(name);
      ondemand::value value = field.value();
      if (child == nullptr ? !Skip(value) : !DecodeField(value, child, row)) {
        return false;
      }
    }
    return true;
  }

  static bool NameOf(ondemand::field& field, std::string_view* name) {
    std::string_view quoted = TrimRight(field.key_raw_json_token());
    if (quoted.size() < 2) {
      return false;
    }
    *name = quoted.substr(1, quoted.size() - 2);
    return !HasEscape(*name) || field.unescaped_key().get(*name) == simdjson::SUCCESS;
  }

  // A value of a name that the table does not have must still begin like a value.
  static bool Skip(ondemand::value value) {
    ondemand::json_type type;
    return value.type().get(type) == simdjson::SUCCESS;
  }

  bool DecodeField(ondemand::value value, JsonTree* tree, size_t row) {
    for (size_t column : tree->beneath()) {
      states_[column] = State::kMissing;
    }
    ondemand::json_type type;
    if (value.type().get(type) != simdjson::SUCCESS) {
      return false;
    }
    if (type == ondemand::json_type::object) {
      return DecodeNested(value, tree, row);
    }
    if (type == ondemand::json_type::array) {
      return DecodeArray(value, tree, row);
    }
    return DecodeScalar(value, type, tree, row);
  }

  bool DecodeScalar(ondemand::value value, ondemand::json_type type, const JsonTree* tree,
                    size_t row) {
    JsonValue found;
    found.token = TrimRight(value.raw_json_token());
    switch (type) {
      case ondemand::json_type::null:
        return found.token == "null";
      case ondemand::json_type::boolean:
        found.kind = JsonValue::Kind::kBool;
        if (found.token != "true" && found.token != "false") {
          return false;
        }
        break;
      case ondemand::json_type::number:
        found.kind = JsonValue::Kind::kNumber;
        if (!IsJsonNumber(found.token)) {
          return false;
        }
        break;
      default:
        if (!ReadString(value, &found)) {
          return FailString(found.token, tree);
        }
    }
    Store(&found, tree, row);
    return true;
  }

  bool DecodeArray(ondemand::value value, const JsonTree* tree, size_t row) {
    if (tree->columns().empty()) {
      return true;  // the path ends early, so the value is missing
    }
    ondemand::array array;
    JsonValue found;
    found.kind = JsonValue::Kind::kArray;
    return value.get_array().get(array) == simdjson::SUCCESS &&
           array.raw_json().get(found.token) == simdjson::SUCCESS && StoreNested(&found, tree, row);
  }

  bool DecodeNested(ondemand::value value, JsonTree* tree, size_t row) {
    ondemand::object object;
    if (value.get_object().get(object) != simdjson::SUCCESS) {
      return false;
    }
    if (!tree->columns().empty()) {
      JsonValue found;
      found.kind = JsonValue::Kind::kObject;
      if (object.raw_json().get(found.token) != simdjson::SUCCESS ||
          !StoreNested(&found, tree, row) || object.reset().error() != simdjson::SUCCESS) {
        return false;
      }
    }
    return !tree->has_children() || DecodeObject(object, tree, row);
  }

  // simdjson does not check objects and arrays whose text is asked for: it only looks for their
  // end.
  bool StoreNested(JsonValue* value, const JsonTree* tree, size_t row) {
    value->token = TrimRight(value->token);
    if (FindJsonFault(value->token, JsonRules::kJson).has_value()) {
      return false;
    }
    Store(value, tree, row);
    return true;
  }

  // False if an escape stands for a character that text cannot hold.
  static bool ReadString(ondemand::value value, JsonValue* found) {
    found->kind = JsonValue::Kind::kString;
    found->text = found->token.substr(1, found->token.size() - 2);
    found->escaped = HasEscape(found->text);
    return !found->escaped || (value.get_string().get(found->text) == simdjson::SUCCESS &&
                               found->text.find('\0') == std::string_view::npos);
  }

  bool FailString(std::string_view token, const JsonTree* tree) {
    if (FindJsonFault(token, JsonRules::kJson).has_value()) {
      return false;
    }
    std::optional<JsonFault> fault = FindJsonFault(token, JsonRules::kJsonb);
    for (size_t column : tree->columns()) {
      Fail(column, token,
           absl::InvalidArgumentError(fault.has_value() ? fault->reason : "it cannot be text"));
    }
    return true;
  }

  void Store(JsonValue* value, const JsonTree* tree, size_t row) {
    value->in_payload = record_.data() + OffsetOf(value->token);
    for (size_t column : tree->columns()) {
      if (absl::Status status = StoreJsonValue(*value, unit_us_, column, row, &columns_);
          status.ok()) {
        states_[column] = State::kSet;
      } else {
        Fail(column, value->token, status);
      }
    }
  }

  void Fail(size_t column, std::string_view token, const absl::Status& status) {
    states_[column] = State::kFailed;
    failures_.push_back(
        {column, absl::Status(status.code(),
                              absl::StrCat("column ", columns_.name(column), ": ", status.message(),
                                           " (at byte ", OffsetOf(token) + 1, " of the record)"))});
  }

  size_t OffsetOf(std::string_view token) const {
    return static_cast<size_t>(token.data() - padded_.data());
  }

  const bool raw_key_;
  const int64_t unit_us_;
  DeclaredColumns columns_;
  JsonTree value_tree_;
  JsonTree key_tree_;
  std::optional<size_t> key_column_;  // the last column of the key; with a raw key, the only one
  ondemand::parser parser_;
  std::vector<char> padded_;
  std::string_view record_;  // the record that padded_ is a copy of
  std::vector<State> states_;
  std::vector<Failure> failures_;
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
