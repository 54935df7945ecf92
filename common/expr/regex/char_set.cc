#include "common/expr/regex/char_set.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_format.h"
#include "common/expr/text/utf8.h"

namespace millrace {
namespace {

// Surrogates are no characters; RE2 refuses them.
constexpr uint32_t kFirstSurrogate = 0xD800;
constexpr uint32_t kLastSurrogate = 0xDFFF;

CharSet MembersOf(const char* class_name) {
  CharSet set;
  uint32_t begin = 0;
  bool inside = false;
  for (uint32_t c = 0; c <= CharSet::kLastCodePoint + 1; ++c) {
    bool member = c <= CharSet::kLastCodePoint && (c < kFirstSurrogate || c > kLastSurrogate) &&
                  IsInClass(c, class_name);
    if (member && !inside) {
      begin = c;
    } else if (!member && inside) {
      set.Add(CharSet::OfRange(begin, c - 1));
    }
    inside = member;
  }
  return set;
}

CharSet AsciiSpaces() {
  CharSet set = CharSet::OfRange('\t', '\r');
  set.Add(CharSet::Of(' '));
  return set;
}

std::map<std::string, CharSet, std::less<>> MakeClasses() {
  std::map<std::string, CharSet, std::less<>> classes;
  for (const char* name : {"alnum", "alpha", "cntrl", "digit", "graph", "lower", "print", "punct",
                           "upper", "xdigit"}) {
    classes.emplace(name, MembersOf(name));
  }
  CharSet word = classes["alnum"];
  word.Add(CharSet::Of('_'));
  classes.emplace("word", std::move(word));
  classes.emplace("space", AsciiSpaces());
  CharSet blank = CharSet::Of(' ');
  blank.Add(CharSet::Of('\t'));
  classes.emplace("blank", std::move(blank));
  classes.emplace("ascii", CharSet::OfRange(0, 0x7F));
  return classes;
}

}  // namespace

CharSet CharSet::OfRange(uint32_t first, uint32_t last) {
  CharSet set;
  set.ranges_.push_back({first, last});
  return set;
}

const CharSet* CharSet::OfClass(std::string_view name) {
  static const std::map<std::string, CharSet, std::less<>>* const kClasses =
      new std::map<std::string, CharSet, std::less<>>(MakeClasses());
  auto it = kClasses->find(name);
  return it == kClasses->end() ? nullptr : &it->second;
}

void CharSet::Add(const CharSet& other) {
  ranges_.insert(ranges_.end(), other.ranges_.begin(), other.ranges_.end());
  Normalize();
}

void CharSet::Normalize() {
  std::sort(ranges_.begin(), ranges_.end(),
            [](const Range& a, const Range& b) { return a.first < b.first; });
  std::vector<Range> merged;
  for (const Range& range : ranges_) {
    if (!merged.empty() && range.first <= merged.back().last + 1) {
      merged.back().last = std::max(merged.back().last, range.last);
    } else {
      merged.push_back(range);
    }
  }
  ranges_ = std::move(merged);
}

CharSet CharSet::WithBothCases() const {
  CharSet set = *this;
  for (const Range& range : ranges_) {
    for (uint32_t c = range.first; c <= range.last; ++c) {
      uint32_t lower = ToLowerChar(c);
      uint32_t upper = ToUpperChar(c);
      if (lower != c) {
        set.ranges_.push_back({lower, lower});
      }
      if (upper != c) {
        set.ranges_.push_back({upper, upper});
      }
    }
  }
  set.Normalize();
  return set;
}

CharSet CharSet::Complement() const {
  CharSet set;
  uint32_t next = 0;
  for (const Range& range : ranges_) {
    if (range.first > next) {
      set.ranges_.push_back({next, range.first - 1});
    }
    next = range.last + 1;
  }
  if (next <= kLastCodePoint) {
    set.ranges_.push_back({next, kLastCodePoint});
  }
  return set;
}

bool CharSet::Contains(uint32_t code_point) const {
  return std::any_of(ranges_.begin(), ranges_.end(), [code_point](const Range& range) {
    return range.first <= code_point && code_point <= range.last;
  });
}

std::bitset<129> CharSet::FirstBytes() const {
  std::bitset<129> bytes;
  for (const Range& range : ranges_) {
    for (uint32_t c = range.first; c <= std::min<uint32_t>(range.last, 0x7F); ++c) {
      bytes.set(c);
    }
    if (range.last >= 0x80) {
      bytes.set(128);
    }
  }
  return bytes;
}

std::string CharSet::ToRe2() const {
  if (ranges_.empty()) {
    return "[^\\x{0}-\\x{10FFFF}]";
  }
  std::string out = "[";
  for (const Range& range : ranges_) {
    absl::StrAppendFormat(&out, "\\x{%x}", range.first);
    if (range.last > range.first) {
      absl::StrAppendFormat(&out, "-\\x{%x}", range.last);
    }
  }
  return out + "]";
}

}  // namespace millrace
