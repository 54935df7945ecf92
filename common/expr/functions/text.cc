// Text functions on characters: length, parts, search, case, trimming, joining.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/expr/functions/families.h"
#include "common/expr/text/utf8.h"

namespace millrace {
namespace {

int32_t ToInt32(size_t value) { return static_cast<int32_t>(value); }

std::string Initcap(std::string_view text) {
  std::string out;
  bool in_word = false;
  while (!text.empty()) {
    size_t bytes = 1;
    uint32_t c = DecodeChar(text, &bytes);
    AppendChar(in_word ? ToLowerChar(c) : ToUpperChar(c), &out);
    in_word = IsAlnumChar(c);
    text.remove_prefix(bytes);
  }
  return out;
}

// The part [start, start + length) of `size` units, counted from 1, as begin and end from 0:
// positions before the first unit count towards the length.
struct Range {
  size_t begin;
  size_t end;
};

Range RangeFrom(int32_t start) {
  return Range{.begin = static_cast<size_t>(std::max<int64_t>(start, 1) - 1),
               .end = std::numeric_limits<size_t>::max()};
}

absl::StatusOr<Range> SubstringRange(int32_t start, int64_t length) {
  if (length < 0) {
    return absl::InvalidArgumentError("negative substring length not allowed");
  }
  int64_t end = std::max<int64_t>(start + length, 1);
  int64_t begin = std::max<int64_t>(start, 1);
  return Range{.begin = static_cast<size_t>(begin - 1),
               .end = static_cast<size_t>(std::max(begin, end) - 1)};
}

std::string_view SliceChars(std::string_view text, Range range) {
  if (IsAscii(text)) {
    size_t begin = std::min(range.begin, text.size());
    return text.substr(begin, range.end - range.begin);
  }
  text.remove_prefix(BytesOfChars(text, range.begin));
  return text.substr(0, BytesOfChars(text, range.end - range.begin));
}

ByteaView SliceBytes(ByteaView bytea, Range range) {
  const size_t begin = std::min(range.begin, bytea.bytes.size());
  return ByteaView{bytea.bytes.substr(begin, range.end - range.begin)};
}

void AddSubstring(FunctionList* list) {
  for (const char* name : {"substring", "substr"}) {
    list->Add(name, [](std::string_view text, int32_t start) {
      return SliceChars(text, RangeFrom(start));
    });
    list->Add(name,
              [](std::string_view text, int32_t start,
                 int32_t length) -> absl::StatusOr<std::string_view> {
                ASSIGN_OR_RETURN(Range range, SubstringRange(start, length));
                return SliceChars(text, range);
              });
    list->Add(name,
              [](ByteaView bytea, int32_t start) { return SliceBytes(bytea, RangeFrom(start)); });
    list->Add(name,
              [](ByteaView bytea, int32_t start, int32_t length) -> absl::StatusOr<ByteaView> {
                ASSIGN_OR_RETURN(Range range, SubstringRange(start, length));
                return SliceBytes(bytea, range);
              });
  }
  // A negative count leaves out so many characters at the other end.
  list->Add("left", [](std::string_view text, int32_t count) {
    auto chars = count >= 0 ? int64_t{count} : static_cast<int64_t>(CountChars(text)) + count;
    return text.substr(0, BytesOfChars(text, static_cast<size_t>(std::max<int64_t>(chars, 0))));
  });
  list->Add("right", [](std::string_view text, int32_t count) {
    // Of the smallest integer there is no negative, and PostgreSQL skips nothing.
    const bool none = count == std::numeric_limits<int32_t>::min();
    int64_t skipped = count >= 0 ? static_cast<int64_t>(CountChars(text)) - count
                      : none     ? 0
                                 : -int64_t{count};
    text.remove_prefix(BytesOfChars(text, static_cast<size_t>(std::max<int64_t>(skipped, 0))));
    return text;
  });
}

int32_t Position(std::string_view text, std::string_view part) {
  size_t at = text.find(part);
  return at == std::string_view::npos ? 0 : ToInt32(CountChars(text.substr(0, at))) + 1;
}

std::string Replace(std::string_view text, std::string_view from, std::string_view to) {
  if (from.empty()) {
    return std::string(text);
  }
  std::string out;
  while (true) {
    size_t at = text.find(from);
    out.append(text.substr(0, at));
    if (at == std::string_view::npos) {
      return out;
    }
    out.append(to);
    text.remove_prefix(at + from.size());
  }
}

// Characters of `from` become those of `to` at the same place, or go when there is none.
std::string Translate(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  while (!text.empty()) {
    std::string_view c = text.substr(0, FirstCharBytes(text));
    text.remove_prefix(c.size());
    std::string_view sources = from;
    std::string_view targets = to;
    bool found = false;
    while (!sources.empty() && !found) {
      std::string_view source = sources.substr(0, FirstCharBytes(sources));
      std::string_view target =
          targets.empty() ? targets : targets.substr(0, FirstCharBytes(targets));
      found = source == c;
      if (found) {
        out.append(target);
      }
      sources.remove_prefix(source.size());
      targets.remove_prefix(target.size());
    }
    if (!found) {
      out.append(c);
    }
  }
  return out;
}

bool ContainsChar(std::string_view set, std::string_view c) {
  while (!set.empty()) {
    size_t bytes = FirstCharBytes(set);
    if (set.substr(0, bytes) == c) {
      return true;
    }
    set.remove_prefix(bytes);
  }
  return false;
}

std::string_view TrimLeft(std::string_view text, std::string_view set) {
  while (!text.empty()) {
    size_t bytes = FirstCharBytes(text);
    if (!ContainsChar(set, text.substr(0, bytes))) {
      break;
    }
    text.remove_prefix(bytes);
  }
  return text;
}

std::string_view TrimRight(std::string_view text, std::string_view set) {
  while (!text.empty()) {
    size_t begin = text.size() - 1;
    while (begin > 0 && IsContinuationByte(text[begin])) {
      --begin;
    }
    if (!ContainsChar(set, text.substr(begin))) {
      break;
    }
    text = text.substr(0, begin);
  }
  return text;
}

ByteaView TrimBytesLeft(ByteaView bytea, ByteaView set) {
  const size_t begin = bytea.bytes.find_first_not_of(set.bytes);
  return ByteaView{bytea.bytes.substr(std::min(begin, bytea.bytes.size()))};
}

ByteaView TrimBytesRight(ByteaView bytea, ByteaView set) {
  const size_t last = bytea.bytes.find_last_not_of(set.bytes);
  return ByteaView{bytea.bytes.substr(0, last == std::string_view::npos ? 0 : last + 1)};
}

void AddTrim(FunctionList* list) {
  list->Add("btrim", [](std::string_view text) { return TrimLeft(TrimRight(text, " "), " "); });
  list->Add("ltrim", [](std::string_view text) { return TrimLeft(text, " "); });
  list->Add("rtrim", [](std::string_view text) { return TrimRight(text, " "); });
  list->Add("btrim", [](std::string_view text, std::string_view set) {
    return TrimLeft(TrimRight(text, set), set);
  });
  list->Add("ltrim",
            [](std::string_view text, std::string_view set) { return TrimLeft(text, set); });
  list->Add("rtrim",
            [](std::string_view text, std::string_view set) { return TrimRight(text, set); });
  list->Add("btrim", [](ByteaView bytea, ByteaView set) {
    return TrimBytesLeft(TrimBytesRight(bytea, set), set);
  });
  list->Add("ltrim", [](ByteaView bytea, ByteaView set) { return TrimBytesLeft(bytea, set); });
  list->Add("rtrim", [](ByteaView bytea, ByteaView set) { return TrimBytesRight(bytea, set); });
}

std::vector<std::string_view> SplitBy(std::string_view text, std::string_view delimiter) {
  std::vector<std::string_view> parts;
  while (true) {
    size_t at = text.find(delimiter);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) {
      return parts;
    }
    text.remove_prefix(at + delimiter.size());
  }
}

absl::StatusOr<std::string_view> SplitPart(std::string_view text, std::string_view delimiter,
                                           int32_t field) {
  if (field == 0) {
    return absl::InvalidArgumentError("field position must not be zero");
  }
  if (text.empty()) {
    return std::string_view();
  }
  if (delimiter.empty()) {
    return field == 1 || field == -1 ? text : std::string_view();
  }
  std::vector<std::string_view> parts = SplitBy(text, delimiter);
  int64_t index = field > 0 ? int64_t{field} - 1 : static_cast<int64_t>(parts.size()) + field;
  return index < 0 || index >= static_cast<int64_t>(parts.size())
             ? std::string_view()
             : parts[static_cast<size_t>(index)];
}

// concat and concat_ws leave NULL arguments out; from `first` on, with a separator between.
void AppendJoined(const std::vector<FunctionArg>& args, size_t first, std::string_view separator,
                  uint32_t row, std::string* out) {
  bool any = false;
  for (size_t i = first; i < args.size(); ++i) {
    if (args[i].IsNull(row)) {
      continue;
    }
    out->append(any ? separator : std::string_view());
    out->append(args[i].value<TextView>(row).view());
    any = true;
  }
}

void AddConcat(FunctionList* list) {
  constexpr SqlType kTextType = MakeType(TypeId::kText);
  ScalarFunction concat;
  concat.name = "concat";
  concat.arg_types = {kTextType};
  concat.variadic = true;
  concat.result = kTextType;
  concat.strict = false;
  concat.infallible = true;
  concat.kernel = [](const std::vector<FunctionArg>& args, const FunctionCallContext& context,
                     Column* out) {
    std::string text;
    context.rows.ForEach([&](uint32_t row) {
      text.clear();
      AppendJoined(args, 0, "", row, &text);
      out->SetTextCopy(row, text);
    });
  };
  ScalarFunction concat_ws = concat;
  list->Add(std::move(concat));
  concat_ws.name = "concat_ws";
  concat_ws.arg_types = {kTextType, kTextType};
  concat_ws.kernel = [](const std::vector<FunctionArg>& args, const FunctionCallContext& context,
                        Column* out) {
    std::string text;
    context.rows.ForEach([&](uint32_t row) {
      if (args[0].IsNull(row)) {
        out->SetNull(row);
        return;
      }
      text.clear();
      AppendJoined(args, 1, args[0].value<TextView>(row).view(), row, &text);
      out->SetTextCopy(row, text);
    });
  };
  list->Add(std::move(concat_ws));
  // As concat shows a boolean; its cast to text is another.
  list->Add("boolout", [](bool value) { return std::string_view(value ? "t" : "f"); });
  list->Add("||", [](std::string_view a, std::string_view b) {
    return absl::StrCat(ToAbsl(a), ToAbsl(b));
  });
  list->Add("||", [](ByteaView a, ByteaView b) {
    return ByteaString{absl::StrCat(ToAbsl(a.bytes), ToAbsl(b.bytes))};
  });
}

void AddLengths(FunctionList* list) {
  for (const char* name : {"length", "char_length", "character_length"}) {
    list->Add(name, [](std::string_view text) { return ToInt32(CountChars(text)); });
  }
  list->Add("length", [](ByteaView bytea) { return ToInt32(bytea.bytes.size()); });
  list->Add("octet_length", [](std::string_view text) { return ToInt32(text.size()); });
  list->Add("octet_length", [](ByteaView bytea) { return ToInt32(bytea.bytes.size()); });
  list->Add("bit_length", [](std::string_view text) { return ToInt32(text.size() * 8); });
  list->Add("bit_length", [](ByteaView bytea) { return ToInt32(bytea.bytes.size() * 8); });
}

}  // namespace

void AddText(FunctionList* list) {
  AddLengths(list);
  AddSubstring(list);
  AddTrim(list);
  AddConcat(list);
  list->Add("upper", [](std::string_view text) { return ToUpperText(text); });
  list->Add("lower", [](std::string_view text) { return ToLowerText(text); });
  list->Add("initcap", [](std::string_view text) { return Initcap(text); });
  for (const char* name : {"position", "strpos"}) {
    list->Add(name,
              [](std::string_view text, std::string_view part) { return Position(text, part); });
  }
  list->Add("position", [](ByteaView bytea, ByteaView part) {
    const size_t at = bytea.bytes.find(part.bytes);
    return at == std::string_view::npos ? 0 : ToInt32(at) + 1;
  });
  list->Add("replace", [](std::string_view text, std::string_view from, std::string_view to) {
    return Replace(text, from, to);
  });
  list->Add("translate", [](std::string_view text, std::string_view from, std::string_view to) {
    return Translate(text, from, to);
  });
  list->Add("split_part", [](std::string_view text, std::string_view delimiter, int32_t field) {
    return SplitPart(text, delimiter, field);
  });
  for (const char* name : {"starts_with", "^@"}) {
    list->Add(name, [](std::string_view text, std::string_view prefix) {
      return text.starts_with(prefix);
    });
  }
}

}  // namespace millrace
