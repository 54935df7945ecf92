#include "common/expr/regex/char_set.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <string>

#include "absl/base/call_once.h"
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

CharSet MakeClass(std::string_view name) {
  CharSet set;
  if (name == "digit") {
    set = CharSet::OfRange('0', '9');
  } else if (name == "space") {
    set = CharSet::OfRange('\t', '\r');
    set.Add(CharSet::Of(' '));
  } else if (name == "blank") {
    set = CharSet::Of(' ');
    set.Add(CharSet::Of('\t'));
  } else if (name == "ascii") {
    set = CharSet::OfRange(0, 0x7F);
  } else if (name == "cntrl") {  // as PostgreSQL has it, not the locale
    set = CharSet::OfRange(0, 0x1F);
    set.Add(CharSet::OfRange(0x7F, 0x9F));
  } else if (name == "word") {
    set = MembersOf("alnum");
    set.Add(CharSet::Of('_'));
  } else {
    set = MembersOf(std::string(name).c_str());
  }
  return set;
}

// Finding the members of a class takes milliseconds: only when it is asked for.
struct LazyClass {
  explicit LazyClass(std::string_view class_name) : name(class_name) {}

  std::string_view name;
  absl::once_flag once;
  CharSet set;
};

}  // namespace

CharSet CharSet::OfRange(uint32_t first, uint32_t last) {
  CharSet set;
  set.ranges_.push_back({first, last});
  return set;
}

const CharSet* CharSet::OfClass(std::string_view name) {
  static std::array<LazyClass, 14>* const kClasses = new std::array<LazyClass, 14>{
      LazyClass("alnum"), LazyClass("alpha"), LazyClass("ascii"), LazyClass("blank"),
      LazyClass("cntrl"), LazyClass("digit"), LazyClass("graph"), LazyClass("lower"),
      LazyClass("print"), LazyClass("punct"), LazyClass("space"), LazyClass("upper"),
      LazyClass("word"),  LazyClass("xdigit")};
  for (LazyClass& candidate : *kClasses) {
    if (candidate.name == name) {
      absl::call_once(candidate.once, [&candidate] { candidate.set = MakeClass(candidate.name); });
      return &candidate.set;
    }
  }
  return nullptr;
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
  const auto behind =
      std::upper_bound(ranges_.begin(), ranges_.end(), code_point,
                       [](uint32_t c, const Range& range) { return c < range.first; });
  return behind != ranges_.begin() && code_point <= std::prev(behind)->last;
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
