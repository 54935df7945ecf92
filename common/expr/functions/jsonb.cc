// Operators and functions on jsonb. Values found inside are views into the argument.
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/expr/functions/datetime.h"
#include "common/expr/functions/families.h"
#include "common/expr/in_zone.h"
#include "common/types/datetime_text.h"
#include "common/types/interval_text.h"
#include "common/types/jsonb_scan.h"
#include "common/types/jsonb_text.h"
#include "common/types/number_text.h"

namespace millrace {
namespace {

constexpr SqlType kJsonbType = MakeType(TypeId::kJsonb);
constexpr SqlType kTextType = MakeType(TypeId::kText);

std::string QuotedKey(std::string_view key) {
  std::string quoted;
  AppendJsonString(key, &quoted);
  return quoted;
}

// Stores a value that was found inside of an argument: as jsonb, or as text (JSON null is SQL NULL
// then).
void StoreFound(const std::optional<std::string_view>& found, bool as_text, uint32_t row,
                Column* out) {
  if (!found.has_value() || (as_text && KindOf(*found) == JsonbKind::kNull)) {
    out->SetNull(row);
    return;
  }
  if (!as_text) {
    out->mutable_values<TextView>()[row] = TextView(*found);
    return;
  }
  std::string storage;
  std::string_view text = JsonbToText(*found, &storage);
  if (storage.empty()) {
    out->mutable_values<TextView>()[row] = TextView(text);
  } else {
    out->SetTextCopy(row, text);
  }
}

ScalarFunction Access(const char* name, SqlType key, bool as_text, ScalarFunction::Kernel kernel) {
  ScalarFunction function;
  function.name = name;
  function.arg_types = {kJsonbType, key};
  function.result = as_text ? kTextType : kJsonbType;
  function.infallible = true;
  function.kernel = std::move(kernel);
  return function;
}

// An element by its number. PostgreSQL holds a scalar that stands alone as an array of one.
std::optional<std::string_view> Element(std::string_view json, int32_t index) {
  const JsonbKind kind = KindOf(json);
  if (kind == JsonbKind::kArray || kind == JsonbKind::kObject) {
    return FindElement(json, index);
  }
  return index == 0 || index == -1 ? std::make_optional(json) : std::nullopt;
}

void AddMemberAccess(FunctionList* list, const char* name, bool as_text) {
  list->Add(Access(name, kTextType, as_text,
                   [as_text](const std::vector<FunctionArg>& args,
                             const FunctionCallContext& context, Column* out) {
                     ArgReader<JsonbView> json(args[0]);
                     std::string key;
                     context.rows.ForEach([&](uint32_t row) {
                       if (key.empty() || !args[1].constant) {
                         key = QuotedKey(args[1].value<TextView>(row).view());
                       }
                       StoreFound(FindMember(json[row].text, key), as_text, row, out);
                     });
                   }));
  list->Add(Access(name, MakeType(TypeId::kInt32), as_text,
                   [as_text](const std::vector<FunctionArg>& args,
                             const FunctionCallContext& context, Column* out) {
                     ArgReader<JsonbView> json(args[0]);
                     ArgReader<int32_t> index(args[1]);
                     context.rows.ForEach([&](uint32_t row) {
                       StoreFound(Element(json[row].text, index[row]), as_text, row, out);
                     });
                   }));
}

// The index that a step of a path means, as strtol reads it: blanks and a sign may be in front.
std::optional<int32_t> IndexOf(std::string_view step) {
  step.remove_prefix(std::min(step.find_first_not_of(" \t\n\v\f\r"), step.size()));
  if (step.starts_with('+') && !step.starts_with("+-")) {
    step.remove_prefix(1);
  }
  int32_t index = 0;
  const char* const end = step.data() + step.size();
  const auto [read, error] = std::from_chars(step.data(), end, index);
  return error == std::errc() && read == end ? std::make_optional(index) : std::nullopt;
}

// One step of a path: a key of an object or, when it is a number, an index of an array.
std::optional<std::string_view> Step(std::string_view json, std::string_view step) {
  if (KindOf(json) == JsonbKind::kArray) {
    const std::optional<int32_t> index = IndexOf(step);
    return index.has_value() ? FindElement(json, *index) : std::nullopt;
  }
  return FindMember(json, QuotedKey(step));
}

void AddPathAccess(FunctionList* list, const char* name, bool as_text) {
  list->Add(Access(
      name, ArrayOf(TypeId::kText), as_text,
      [as_text](const std::vector<FunctionArg>& args, const FunctionCallContext& context,
                Column* out) {
        ArgReader<JsonbView> json(args[0]);
        context.rows.ForEach([&](uint32_t row) {
          const ListView& path = args[1].value<ListView>(row);
          const Column& steps = *args[1].column->child();
          std::optional<std::string_view> found = json[row].text;
          for (uint32_t i = path.begin; i < path.begin + path.size && found.has_value(); ++i) {
            found = steps.IsNull(i) ? std::nullopt : Step(*found, steps.value<TextView>(i).view());
          }
          StoreFound(found, as_text, row, out);
        });
      }));
}

void AddVariadicPath(FunctionList* list, const char* name, bool as_text) {
  ScalarFunction function =
      Access(name, kTextType, as_text,
             [as_text](const std::vector<FunctionArg>& args, const FunctionCallContext& context,
                       Column* out) {
               ArgReader<JsonbView> json(args[0]);
               context.rows.ForEach([&](uint32_t row) {
                 std::optional<std::string_view> found = json[row].text;
                 for (size_t i = 1; i < args.size() && found.has_value(); ++i) {
                   found = Step(*found, args[i].value<TextView>(row).view());
                 }
                 StoreFound(found, as_text, row, out);
               });
             });
  function.variadic = true;
  list->Add(std::move(function));
}

absl::StatusOr<int32_t> ArrayLength(std::string_view json) {
  switch (KindOf(json)) {
    case JsonbKind::kArray:
      return static_cast<int32_t>(CountElements(json));
    case JsonbKind::kObject:
      return absl::InvalidArgumentError("cannot get array length of a non-array");
    default:
      return absl::InvalidArgumentError("cannot get array length of a scalar");
  }
}

// Whether the text is a key of the object, an element of the array, or the string itself.
bool Exists(std::string_view json, std::string_view text) {
  std::string quoted = QuotedKey(text);
  bool found = false;
  switch (KindOf(json)) {
    case JsonbKind::kObject:
      return FindMember(json, quoted).has_value();
    case JsonbKind::kArray:
      ForEachElement(json, [&](std::string_view element) {
        found = element == quoted;
        return !found;
      });
      return found;
    default:
      return json == quoted;
  }
}

std::string_view Inside(std::string_view json) { return json.substr(1, json.size() - 2); }

absl::StatusOr<JsonbString> Recanonicalize(const std::string& json) {
  JsonbString result;
  RETURN_IF_ERROR(AppendCanonicalJsonb(json, &result.text));
  return result;
}

// For what may be a level deeper than its parts. What is too deep is refused here, as an error of
// the row: another process would refuse the whole batch.
absl::StatusOr<JsonbString> CheckDepth(std::string json) {
  if (NestsTooDeeply(json)) {
    return absl::InvalidArgumentError(
        absl::StrCat("JSON is nested deeper than ", kMaxJsonbDepth, " levels"));
  }
  return JsonbString{std::move(json)};
}

// Objects are merged, the right one winning; anything else is joined as arrays.
absl::StatusOr<JsonbString> Join(std::string_view a, std::string_view b) {
  bool a_object = KindOf(a) == JsonbKind::kObject;
  bool b_object = KindOf(b) == JsonbKind::kObject;
  std::string_view a_inside =
      a_object && b_object ? Inside(a) : (KindOf(a) == JsonbKind::kArray ? Inside(a) : a);
  std::string_view b_inside =
      a_object && b_object ? Inside(b) : (KindOf(b) == JsonbKind::kArray ? Inside(b) : b);
  absl::string_view separator = a_inside.empty() || b_inside.empty() ? "" : ", ";
  std::string inside = absl::StrCat(ToAbsl(a_inside), separator, ToAbsl(b_inside));
  if (a_object && b_object) {
    return Recanonicalize(absl::StrCat("{", inside, "}"));
  }
  std::string joined = absl::StrCat("[", inside, "]");
  return CheckDepth(std::move(joined));  // an argument that was no array is a level deeper now
}

absl::StatusOr<JsonbString> DeleteKey(std::string_view json, std::string_view key) {
  std::string quoted = QuotedKey(key);
  std::string kept;
  auto keep = [&kept](absl::string_view text) {
    absl::StrAppend(&kept, kept.empty() ? "" : ", ", text);
  };
  switch (KindOf(json)) {
    case JsonbKind::kObject:
      ForEachMember(json, [&](std::string_view member, std::string_view value) {
        if (member != quoted) {
          keep(absl::StrCat(ToAbsl(member), ": ", ToAbsl(value)));
        }
        return true;
      });
      return JsonbString{absl::StrCat("{", kept, "}")};
    case JsonbKind::kArray:
      ForEachElement(json, [&](std::string_view element) {
        if (element != quoted) {
          keep(ToAbsl(element));
        }
        return true;
      });
      return JsonbString{absl::StrCat("[", kept, "]")};
    default:
      return absl::InvalidArgumentError("cannot delete from scalar");
  }
}

// A value in JSON, as to_jsonb shows it.
std::string JsonOf(bool value) { return value ? "true" : "false"; }
std::string JsonOf(int16_t value) { return absl::StrCat(value); }
std::string JsonOf(int32_t value) { return absl::StrCat(value); }
std::string JsonOf(int64_t value) { return absl::StrCat(value); }
std::string JsonOf(const Numeric& value) {
  return value.IsFinite() ? value.ToString() : QuotedKey(value.ToString());
}
std::string JsonOf(std::string_view value) { return QuotedKey(value); }
std::string JsonOf(ByteaView value) {
  return QuotedKey(absl::StrCat("\\x", absl::BytesToHexString(ToAbsl(value.bytes))));
}
std::string JsonOf(JsonbView value) { return std::string(value.text); }

template <typename T>
std::string JsonOfFloat(T value) {
  std::string text;
  AppendNumber(value, &text);
  std::string json;
  // NaN and infinities are strings.
  return AppendCanonicalJsonb(text, &json).ok() ? json : QuotedKey(text);
}
std::string JsonOf(float value) { return JsonOfFloat(value); }
std::string JsonOf(double value) { return JsonOfFloat(value); }

std::string JsonOf(Date value) {
  std::string text;
  AppendDate(value.days, &text);
  return QuotedKey(text);
}
std::string JsonOf(Timestamp value) {
  std::string text;
  AppendIsoTimestamp(value.micros, &text);
  return QuotedKey(text);
}
std::string JsonOf(TimestampTz value, const TimeZone& zone = TimeZone()) {
  std::string text;
  AppendIsoTimestampTz(value.micros, zone, &text);
  return QuotedKey(text);
}
std::string JsonOf(const Interval& value) {
  std::string text;
  AppendInterval(value, &text);
  return QuotedKey(text);
}

template <typename T, typename ToJson>
std::string JsonOfArray(const Column& elements, const ListView& list, ToJson to_json) {
  std::string json = "[";
  for (uint32_t i = list.begin; i < list.begin + list.size; ++i) {
    absl::StrAppend(
        &json, i == list.begin ? "" : ", ",
        elements.IsNull(i)
            ? "null"
            : to_json(SqlValue<T>::Load(elements.value<typename SqlValue<T>::Physical>(i))));
  }
  return json + "]";
}

template <typename T>
void AddToJsonb(FunctionList* list) {
  list->Add("to_jsonb", [](T value) { return JsonbString{JsonOf(value)}; });
  ScalarFunction function;
  function.name = "to_jsonb";
  function.arg_types = {ArrayOf(SqlValue<T>::kTypeId)};
  function.result = kJsonbType;
  function.kernel = [](const std::vector<FunctionArg>& args, const FunctionCallContext& context,
                       Column* out) {
    context.rows.ForEach([&](uint32_t row) {
      StoreResult(CheckDepth(JsonOfArray<T>(*args[0].column->child(), args[0].value<ListView>(row),
                                            [](T value) { return JsonOf(value); })),
                  row, context.errors, out);
    });
  };
  list->Add(std::move(function));
}

absl::StatusOr<JsonbString> MomentsInZone(const Column& moments, const ListView& list,
                                          std::string_view name) {
  ASSIGN_OR_RETURN(const TimeZone* zone, SessionZoneOf(name));
  return JsonbString{JsonOfArray<TimestampTz>(
      moments, list, [zone](TimestampTz moment) { return JsonOf(moment, *zone); })};
}

// A timestamptz, and an array of them, on the clock of the script's zone.
void AddToJsonbInZone(FunctionList* list) {
  list->Add(absl::StrCat("to_jsonb", kInZone),
            [](TimestampTz value, std::string_view name) -> absl::StatusOr<JsonbString> {
              ASSIGN_OR_RETURN(const TimeZone* zone, SessionZoneOf(name));
              return JsonbString{JsonOf(value, *zone)};
            });
  ScalarFunction function;
  function.name = absl::StrCat("to_jsonb", kInZone);
  function.arg_types = {ArrayOf(TypeId::kTimestampTz), kTextType};
  function.result = kJsonbType;
  function.kernel = [](const std::vector<FunctionArg>& args, const FunctionCallContext& context,
                       Column* out) {
    context.rows.ForEach([&](uint32_t row) {
      StoreResult(MomentsInZone(*args[0].column->child(), args[0].value<ListView>(row),
                                args[1].value<TextView>(row).view()),
                  row, context.errors, out);
    });
  };
  list->Add(std::move(function));
}

void AddToJsonb(FunctionList* list) {
  AddToJsonb<bool>(list);
  AddToJsonb<int16_t>(list);
  AddToJsonb<int32_t>(list);
  AddToJsonb<int64_t>(list);
  AddToJsonb<float>(list);
  AddToJsonb<double>(list);
  AddToJsonb<Numeric>(list);
  AddToJsonb<std::string_view>(list);
  AddToJsonb<ByteaView>(list);
  AddToJsonb<Date>(list);
  AddToJsonb<Timestamp>(list);
  AddToJsonb<TimestampTz>(list);
  AddToJsonb<Interval>(list);
  AddToJsonb<JsonbView>(list);
  AddToJsonbInZone(list);
}

}  // namespace

void AddJsonb(FunctionList* list) {
  AddMemberAccess(list, "->", false);
  AddMemberAccess(list, "->>", true);
  AddPathAccess(list, "#>", false);
  AddPathAccess(list, "#>>", true);
  AddVariadicPath(list, "jsonb_extract_path", false);
  AddVariadicPath(list, "jsonb_extract_path_text", true);
  AddToJsonb(list);
  list->Add("jsonb_typeof", [](JsonbView json) { return KindName(KindOf(json.text)); });
  list->Add("jsonb_array_length", [](JsonbView json) { return ArrayLength(json.text); });
  list->Add("?", [](JsonbView json, std::string_view key) { return Exists(json.text, key); });
  list->Add("jsonb_exists",
            [](JsonbView json, std::string_view key) { return Exists(json.text, key); });
  list->Add("@>",
            [](JsonbView json, JsonbView part) { return JsonbContains(json.text, part.text); });
  list->Add("<@",
            [](JsonbView part, JsonbView json) { return JsonbContains(json.text, part.text); });
  list->Add("||", [](JsonbView a, JsonbView b) { return Join(a.text, b.text); });
  list->Add("-", [](JsonbView json, std::string_view key) { return DeleteKey(json.text, key); });
}

}  // namespace millrace
