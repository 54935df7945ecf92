#include "common/types/jsonb_scan.h"

#include <algorithm>

#include "common/types/jsonb_order.h"

namespace millrace {
namespace {

size_t EndOfString(std::string_view json, size_t at) {
  for (++at; at < json.size() && json[at] != '"'; ++at) {
    if (json[at] == '\\') {
      ++at;
    }
  }
  return std::min(at + 1, json.size());
}

size_t EndOfNested(std::string_view json, size_t at) {
  size_t depth = 0;
  while (at < json.size()) {
    char c = json[at];
    if (c == '"') {
      at = EndOfString(json, at);
      continue;
    }
    if (c == '{' || c == '[') {
      ++depth;
    } else if ((c == '}' || c == ']') && --depth == 0) {
      return at + 1;
    }
    ++at;
  }
  return at;
}

uint32_t HexValue(std::string_view digits) {
  uint32_t value = 0;
  for (char c : digits) {
    value = value * 16 + static_cast<uint32_t>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
  }
  return value;
}

void Unescape(std::string_view text, std::string* out) {
  out->clear();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out->push_back(text[i]);
      continue;
    }
    if (++i == text.size()) {
      return;
    }
    char c = text[i];
    switch (c) {
      case 'b':
        out->push_back('\b');
        break;
      case 'f':
        out->push_back('\f');
        break;
      case 'n':
        out->push_back('\n');
        break;
      case 'r':
        out->push_back('\r');
        break;
      case 't':
        out->push_back('\t');
        break;
      case 'u':  // canonical text escapes nothing that takes more than a byte
        out->push_back(static_cast<char>(HexValue(text.substr(i + 1, 4))));
        i += 4;
        break;
      default:
        out->push_back(c);
    }
  }
}

bool IsNested(JsonbKind kind) { return kind == JsonbKind::kObject || kind == JsonbKind::kArray; }

bool ContainsPart(std::string_view json, std::string_view part, int depth);

// Whether some element of the array contains `part` (is equal to it when it is a scalar).
bool SomeElementContains(std::string_view array, std::string_view part, int depth) {
  bool found = false;
  ForEachElement(array, [&](std::string_view element) {
    found = KindOf(element) == KindOf(part) && ContainsPart(element, part, depth + 1);
    return !found;
  });
  return found;
}

// `json` and `part` stand within `depth` others.
bool ContainsPart(std::string_view json, std::string_view part, int depth) {
  if (depth > kMaxJsonbDepth) {
    return false;
  }
  JsonbKind kind = KindOf(json);
  JsonbKind part_kind = KindOf(part);
  if (kind == JsonbKind::kArray && !IsNested(part_kind)) {
    return SomeElementContains(json, part, depth);  // an array contains its scalars
  }
  if (kind != part_kind) {
    return false;
  }
  bool contains = true;
  if (kind == JsonbKind::kObject) {
    ForEachMember(part, [&](std::string_view key, std::string_view value) {
      std::optional<std::string_view> member = FindMember(json, key);
      contains = member.has_value() && KindOf(*member) == KindOf(value) &&
                 ContainsPart(*member, value, depth + 1);
      return contains;
    });
    return contains;
  }
  if (kind == JsonbKind::kArray) {
    ForEachElement(part, [&](std::string_view element) {
      contains = SomeElementContains(json, element, depth);
      return contains;
    });
    return contains;
  }
  return JsonbEqual(json, part);
}

}  // namespace

bool NestsTooDeeply(std::string_view json) {
  int open = 0;
  for (size_t at = 0; at < json.size();) {
    switch (json[at]) {
      case '"':
        at = EndOfString(json, at);
        continue;
      case '{':
      case '[':
        ++open;
        break;
      case '}':
      case ']':
        --open;
        break;
      default:
        break;
    }
    ++at;
    // The innermost array or object is within all others that are open; a value in it is one level
    // deeper.
    const bool holds_a_value = at < json.size() && json[at] != ']' && json[at] != '}';
    if (open > kMaxJsonbDepth + 1 || (open > kMaxJsonbDepth && holds_a_value)) {
      return true;
    }
  }
  return false;
}

JsonbKind KindOf(std::string_view json) {
  switch (json.empty() ? 'n' : json[0]) {
    case '{':
      return JsonbKind::kObject;
    case '[':
      return JsonbKind::kArray;
    case '"':
      return JsonbKind::kString;
    case 't':
    case 'f':
      return JsonbKind::kBoolean;
    case 'n':
      return JsonbKind::kNull;
    default:
      return JsonbKind::kNumber;
  }
}

std::string_view KindName(JsonbKind kind) {
  switch (kind) {
    case JsonbKind::kObject:
      return "object";
    case JsonbKind::kArray:
      return "array";
    case JsonbKind::kString:
      return "string";
    case JsonbKind::kNumber:
      return "number";
    case JsonbKind::kBoolean:
      return "boolean";
    case JsonbKind::kNull:
      break;
  }
  return "null";
}

size_t EndOfJsonb(std::string_view json, size_t at) {
  if (at >= json.size()) {
    return json.size();
  }
  switch (json[at]) {
    case '"':
      return EndOfString(json, at);
    case '{':
    case '[':
      return EndOfNested(json, at);
    default:
      break;
  }
  while (at < json.size() && json[at] != ',' && json[at] != ']' && json[at] != '}') {
    ++at;
  }
  return at;
}

std::optional<std::string_view> FindMember(std::string_view json, std::string_view quoted_key) {
  std::optional<std::string_view> found;
  if (KindOf(json) == JsonbKind::kObject) {
    ForEachMember(json, [&](std::string_view key, std::string_view value) {
      if (key == quoted_key) {
        found = value;
      }
      return !found.has_value();
    });
  }
  return found;
}

size_t CountElements(std::string_view json) {
  size_t count = 0;
  ForEachElement(json, [&count](std::string_view) { return ++count > 0; });
  return count;
}

std::optional<std::string_view> FindElement(std::string_view json, int64_t index) {
  std::optional<std::string_view> found;
  if (KindOf(json) != JsonbKind::kArray) {
    return found;
  }
  if (index < 0) {
    index += static_cast<int64_t>(CountElements(json));
  }
  if (index < 0) {
    return found;
  }
  ForEachElement(json, [&](std::string_view element) {
    if (index-- == 0) {
      found = element;
    }
    return !found.has_value();
  });
  return found;
}

std::string_view JsonbToText(std::string_view json, std::string* storage) {
  if (KindOf(json) != JsonbKind::kString) {
    return json;
  }
  std::string_view inside = json.substr(1, json.size() - 2);
  if (inside.find('\\') == std::string_view::npos) {
    return inside;
  }
  Unescape(inside, storage);
  return *storage;
}

bool JsonbContains(std::string_view json, std::string_view part) {
  return ContainsPart(json, part, 0);
}

}  // namespace millrace
