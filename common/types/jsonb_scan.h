// Reads canonical jsonb text (common/types/jsonb_text.h) in place: members and elements are views
// into it. For text that is not canonical, results mean nothing, but nothing is read beyond the
// text and every function ends. Pure functions. For equality and order see jsonb_order.h.
#ifndef MILLRACE_COMMON_TYPES_JSONB_SCAN_H_
#define MILLRACE_COMMON_TYPES_JSONB_SCAN_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

// How many arrays and objects may enclose a value. Deeper JSON would overflow the stack (PostgreSQL
// stops at some thousands), so it is refused where it is read or made. Functions that walk a value
// by recursion also stop here, whatever text they are given.
constexpr int kMaxJsonbDepth = 1000;

// Whether some value is enclosed by more than kMaxJsonbDepth others.
bool NestsTooDeeply(std::string_view json);

enum class JsonbKind { kObject, kArray, kString, kNumber, kBoolean, kNull };

JsonbKind KindOf(std::string_view json);
// "object", "array", "string", "number", "boolean", "null": jsonb_typeof.
std::string_view KindName(JsonbKind kind);

// Where the value at `at` ends.
size_t EndOfJsonb(std::string_view json, size_t at);

// Calls fn(value) for the elements of an array until it returns false.
template <typename Fn>
void ForEachElement(std::string_view json, Fn&& fn) {
  size_t at = 1;
  while (at < json.size() && json[at] != ']') {
    const size_t end = EndOfJsonb(json, at);
    if (end == at || !fn(json.substr(at, end - at))) {
      return;
    }
    at = end < json.size() && json[end] == ',' ? end + 2 : end;
  }
}

// Calls fn(quoted_key, value) for the members of an object until it returns false.
template <typename Fn>
void ForEachMember(std::string_view json, Fn&& fn) {
  size_t at = 1;
  while (at < json.size() && json[at] != '}') {
    const size_t key_end = EndOfJsonb(json, at);
    const size_t value = key_end + 2;
    if (key_end == at || value >= json.size()) {
      return;
    }
    const size_t end = EndOfJsonb(json, value);
    if (end == value || !fn(json.substr(at, key_end - at), json.substr(value, end - value))) {
      return;
    }
    at = end < json.size() && json[end] == ',' ? end + 2 : end;
  }
}

// A member by its quoted key; nothing when there is none or `json` is no object.
std::optional<std::string_view> FindMember(std::string_view json, std::string_view quoted_key);
// An element, from the end when negative; nothing when there is none or `json` is no array.
std::optional<std::string_view> FindElement(std::string_view json, int64_t index);
size_t CountElements(std::string_view json);

// The result of ->>: a string without quotes and escapes, other values unchanged. Views `json` if
// nothing is escaped, else text that is put into `storage`. REQUIRES: not JSON null.
std::string_view JsonbToText(std::string_view json, std::string* storage);

// Whether `json` contains `part`, in the meaning of the operator @>. Deeper than kMaxJsonbDepth,
// nothing contains anything.
bool JsonbContains(std::string_view json, std::string_view part);

}  // namespace millrace

#endif  // MILLRACE_COMMON_TYPES_JSONB_SCAN_H_
