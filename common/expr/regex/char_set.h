// A set of Unicode code points as sorted ranges: what a bracket expression or a class escape stands
// for. Plain value.
#ifndef MILLRACE_COMMON_EXPR_REGEX_CHAR_SET_H_
#define MILLRACE_COMMON_EXPR_REGEX_CHAR_SET_H_

#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

class CharSet {
 public:
  static constexpr uint32_t kLastCodePoint = 0x10FFFF;

  CharSet() = default;
  static CharSet Of(uint32_t code_point) { return OfRange(code_point, code_point); }
  static CharSet OfRange(uint32_t first, uint32_t last);
  // Members of a POSIX class as PostgreSQL has them with LC_CTYPE C.UTF-8, but for space and blank:
  // ASCII only, so that the fast paths need not look at longer characters. Null for an unknown
  // name.
  static const CharSet* OfClass(std::string_view name);

  void Add(const CharSet& other);
  // Both cases of every member (PostgreSQL's way: its lower case and its upper case).
  CharSet WithBothCases() const;
  CharSet Complement() const;

  bool empty() const { return ranges_.empty(); }
  bool Contains(uint32_t code_point) const;
  bool IsAscii() const { return ranges_.empty() || ranges_.back().last < 0x80; }
  // Bytes that a member's encoding can begin with; all longer characters count as bit 128.
  std::bitset<129> FirstBytes() const;

  // In RE2's syntax.
  std::string ToRe2() const;

 private:
  struct Range {
    uint32_t first;
    uint32_t last;
  };
  void Normalize();

  std::vector<Range> ranges_;
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_REGEX_CHAR_SET_H_
