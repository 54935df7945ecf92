#include "connectors/kafka/client/headers.h"

#include <algorithm>
#include <cctype>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/types/jsonb_scan.h"
#include "common/types/jsonb_text.h"
#include "connectors/formats/utf8.h"

namespace millrace::kafka {
namespace {

constexpr size_t kShownBytes = 100;

absl::Status NotHeaders(std::string_view json) {
  return absl::InvalidArgumentError(absl::StrCat(
      "_headers must be a list such as [{\"key\": \"trace\", \"value\": \"1\"}], with \"bytes\": "
      "\"\\\\x…\" instead of \"value\" for what is no text, or an object of names and values; it "
      "is ",
      ToAbsl(json.substr(0, kShownBytes)), json.size() > kShownBytes ? "…" : ""));
}

std::string TextOf(std::string_view json) {
  std::string storage;
  return std::string(JsonbToText(json, &storage));
}

std::optional<std::string> BytesOf(std::string_view json) {
  constexpr std::string_view kPrefix = "\\x";
  const std::string text = TextOf(json);
  if (KindOf(json) != JsonbKind::kString || text.substr(0, kPrefix.size()) != kPrefix ||
      text.size() % 2 != 0 ||
      !std::all_of(text.begin() + kPrefix.size(), text.end(),
                   [](unsigned char c) { return std::isxdigit(c) != 0; })) {
    return std::nullopt;
  }
  return absl::HexStringToBytes(text.substr(kPrefix.size()));
}

std::optional<std::string> ValueOf(std::string_view json) {
  return KindOf(json) == JsonbKind::kNull ? std::nullopt : std::make_optional(TextOf(json));
}

// One {"key": …, "value": …} of the list.
absl::Status ParseElement(std::string_view element, KafkaHeaders* headers) {
  if (KindOf(element) != JsonbKind::kObject) {
    return NotHeaders(element);
  }
  const auto key = FindMember(element, "\"key\"");
  const auto value = FindMember(element, "\"value\"");
  const auto bytes = FindMember(element, "\"bytes\"");
  const bool has_key = key.has_value() && KindOf(*key) == JsonbKind::kString;
  size_t members = 0;
  ForEachMember(element, [&members](std::string_view, std::string_view) { return ++members > 0; });
  if (!has_key || members != 2 || value.has_value() == bytes.has_value()) {
    return NotHeaders(element);
  }
  std::optional<std::string> content = bytes.has_value() ? BytesOf(*bytes) : ValueOf(*value);
  if (bytes.has_value() && !content.has_value()) {
    return NotHeaders(element);
  }
  headers->emplace_back(TextOf(*key), std::move(content));
  return absl::OkStatus();
}

}  // namespace

absl::Status AppendKafkaHeader(std::string_view name, std::optional<std::string_view> value,
                               std::string* out) {
  if (!IsText(name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the name of a header is not valid UTF-8: ",
                     absl::CHexEscape(ToAbsl(name.substr(0, kShownBytes))),
                     "; leave _headers out to read the record without them"));
  }
  const bool is_text = !value.has_value() || IsText(*value);
  // In jsonb's order of members: by the length of the name.
  *out += "{\"key\": ";
  AppendJsonString(name, out);
  if (!value.has_value()) {
    *out += ", \"value\": null}";
  } else if (is_text) {
    *out += ", \"value\": ";
    AppendJsonString(*value, out);
    *out += "}";
  } else {
    absl::StrAppend(out, ", \"bytes\": \"\\\\x", absl::BytesToHexString(ToAbsl(*value)), "\"}");
  }
  return absl::OkStatus();
}

absl::StatusOr<KafkaHeaders> ParseKafkaHeaders(std::string_view jsonb) {
  KafkaHeaders headers;
  absl::Status status;
  switch (KindOf(jsonb)) {
    case JsonbKind::kArray:
      ForEachElement(jsonb, [&](std::string_view element) {
        status = ParseElement(element, &headers);
        return status.ok();
      });
      break;
    case JsonbKind::kObject:
      ForEachMember(jsonb, [&headers](std::string_view key, std::string_view value) {
        headers.emplace_back(TextOf(key), ValueOf(value));
        return true;
      });
      break;
    default:
      status = NotHeaders(jsonb);
  }
  if (!status.ok()) {
    return status;
  }
  return headers;
}

}  // namespace millrace::kafka
