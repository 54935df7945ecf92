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
  TextView(const char* bytes, size_t size) : size_(static_cast<uint32_t>(size)) {
    if (size <= kInlineBytes) {
      std::memcpy(inline_, bytes, size);
    } else {
      std::memcpy(inline_, bytes, 4);
      std::memcpy(inline_ + 4, &bytes, sizeof(bytes));
    }
  }
  explicit TextView(std::string_view text) : TextView(text.data(), text.size()) {}

  uint32_t size() const { return size_; }
  bool is_inline() const { return size_ <= kInlineBytes; }

  // Points into this object when the text is held inside: valid while the object stays where it is.
  const char* bytes() const {
    if (is_inline()) {
      return inline_;
    }
    const char* pointer;
    std::memcpy(&pointer, inline_ + 4, sizeof(pointer));
    return pointer;
  }
  std::string_view view() const { return {bytes(), size_}; }

  // The object's 16 bytes as two words: size and first four bytes; the rest or the pointer.
  uint64_t low_word() const {
    uint64_t word;
    std::memcpy(&word, this, sizeof(word));
    return word;
  }
  uint64_t high_word() const {
    uint64_t word;
    std::memcpy(&word, inline_ + 4, sizeof(word));
    return word;
  }

  friend bool operator==(const TextView& a, const TextView& b) {
    if (a.low_word() != b.low_word()) {
      return false;
    }
    if (a.is_inline()) {
      return a.high_word() == b.high_word();
    }
    return std::memcmp(a.bytes(), b.bytes(), a.size_) == 0;
  }
  // Byte order, PostgreSQL's "C" collation.
  friend bool operator<(const TextView& a, const TextView& b) { return a.view() < b.view(); }

 private:
  uint32_t size_ = 0;
  char inline_[12] = {};
};
static_assert(sizeof(TextView) == 16);

}  // namespace millrace

#endif  // MILLRACE_COMMON_COLUMNAR_TEXT_VIEW_H_
