// A 16-byte view of text: up to 12 bytes are held inside, longer text by its first 4 bytes and a
// pointer. Equality of short texts is two integer comparisons, and most unequal long ones differ in
// the first eight bytes. The layout is Arrow's string view with a pointer in place of (buffer,
// offset). Does not own what it points to.
#ifndef MILLRACE_COMMON_COLUMNAR_TEXT_VIEW_H_
#define MILLRACE_COMMON_COLUMNAR_TEXT_VIEW_H_

#include <cstdint>
#include <cstring>
#include <string_view>

namespace millrace {

class TextView {
 public:
  static constexpr uint32_t kInlineBytes = 12;

  TextView() = default;

  // Views `size` bytes at `bytes`, which must outlive the view unless size ≤ kInlineBytes.
  // REQUIRES: size < 4 GiB.
  TextView(const char* bytes, size_t size) : low_(size) {
    if (size > kInlineBytes) {
      low_ |= static_cast<uint64_t>(Load32(bytes)) << 32;
      std::memcpy(&high_, &bytes, sizeof(bytes));
    } else if (size >= 4) {
      SetInline4To12(bytes, size);
    } else if (size > 0) {
      SetInline1To3(reinterpret_cast<const unsigned char*>(bytes), size);
    }
  }
  explicit TextView(std::string_view text) : TextView(text.data(), text.size()) {}

  uint32_t size() const { return static_cast<uint32_t>(low_); }
  bool is_inline() const { return size() <= kInlineBytes; }

  // Points into this object when the text is held inside: valid while the object stays where it is.
  const char* bytes() const {
    if (is_inline()) {
      return reinterpret_cast<const char*>(this) + sizeof(uint32_t);
    }
    const char* pointer;
    std::memcpy(&pointer, &high_, sizeof(pointer));
    return pointer;
  }
  std::string_view view() const { return {bytes(), size()}; }

  // The object's 16 bytes as two words: size and first four bytes; the rest or the pointer.
  uint64_t low_word() const { return low_; }
  uint64_t high_word() const { return high_; }

  friend bool operator==(const TextView& a, const TextView& b) {
    if (a.low_ != b.low_) {
      return false;
    }
    if (a.is_inline() || a.high_ == b.high_) {
      return a.high_ == b.high_;
    }
    return std::memcmp(a.bytes(), b.bytes(), a.size()) == 0;
  }
  // Byte order, PostgreSQL's "C" collation.
  friend bool operator<(const TextView& a, const TextView& b) { return a.view() < b.view(); }

 private:
  static uint32_t Load32(const char* bytes) {
    uint32_t word;
    std::memcpy(&word, bytes, sizeof(word));
    return word;
  }

  // Overlapping loads that are joined in registers: a memcpy of variable length would be a call for
  // each word of text.
  void SetInline4To12(const char* bytes, size_t size) {
    low_ |= static_cast<uint64_t>(Load32(bytes)) << 32;
    uint64_t tail = Load32(bytes + size - 4);
    if (size >= 8) {
      high_ = Load32(bytes + 4) | (tail << (8 * (size - 8)));
    } else {
      high_ = tail >> (8 * (8 - size));
    }
  }
  void SetInline1To3(const unsigned char* bytes, size_t size) {
    uint64_t word = bytes[0];
    word |= static_cast<uint64_t>(bytes[size / 2]) << (8 * (size / 2));
    word |= static_cast<uint64_t>(bytes[size - 1]) << (8 * (size - 1));
    low_ |= word << 32;
  }

  // Little-endian: low_ has the size in its lower half and the first four bytes in its upper half,
  // so that inline text is contiguous behind the size.
  uint64_t low_ = 0;
  uint64_t high_ = 0;
};
static_assert(sizeof(TextView) == 16);

}  // namespace millrace

#endif  // MILLRACE_COMMON_COLUMNAR_TEXT_VIEW_H_
