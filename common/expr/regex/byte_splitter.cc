#include "common/expr/regex/byte_splitter.h"

#include <algorithm>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace millrace {

struct PortableSplit {
  static size_t Count(const ByteSplitter& splitter, std::string_view text) {
    size_t pieces = 1;
    bool before = false;
    for (char c : text) {
      bool separator = splitter.is_separator_[static_cast<unsigned char>(c)];
      pieces += separator && !(splitter.repeats_ && before) ? 1 : 0;
      before = separator;
    }
    return pieces;
  }

  static TextView* Split(const ByteSplitter& splitter, std::string_view text, TextView* out) {
    size_t begin = 0;
    size_t at = 0;
    while (at < text.size()) {
      if (!splitter.is_separator_[static_cast<unsigned char>(text[at])]) {
        ++at;
        continue;
      }
      *out++ = TextView(text.data() + begin, at - begin);
      ++at;
      while (splitter.repeats_ && at < text.size() &&
             splitter.is_separator_[static_cast<unsigned char>(text[at])]) {
        ++at;
      }
      begin = at;
    }
    *out++ = TextView(text.data() + begin, text.size() - begin);
    return out;
  }
};

#if defined(__x86_64__)

#define MILLRACE_AVX2 [[gnu::target("avx2,bmi,popcnt")]]

// Works on blocks of 64 bytes, each turned into a mask with a bit per separator.
struct Avx2Split {
  static constexpr size_t kBlock = 64;

  struct Tables {
    __m256i low;
    __m256i high;
  };

  MILLRACE_AVX2 static Tables Load(const ByteSplitter& splitter) {
    // High nibble h selects bit h; bytes from 0x80 on have none, so that they never are separators.
    alignas(16) static constexpr std::array<uint8_t, 16> kBitOfHigh = {1, 2, 4, 8, 16, 32, 64, 128};
    Tables tables;
    tables.low = _mm256_broadcastsi128_si256(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(splitter.high_nibbles_of_low_.data())));
    tables.high = _mm256_broadcastsi128_si256(
        _mm_load_si128(reinterpret_cast<const __m128i*>(kBitOfHigh.data())));
    return tables;
  }

  MILLRACE_AVX2 static uint32_t Mask32(const char* bytes, const Tables& tables) {
    const __m256i nibble = _mm256_set1_epi8(0x0F);
    __m256i data = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes));
    __m256i low = _mm256_shuffle_epi8(tables.low, _mm256_and_si256(data, nibble));
    __m256i high =
        _mm256_shuffle_epi8(tables.high, _mm256_and_si256(_mm256_srli_epi16(data, 4), nibble));
    __m256i none = _mm256_cmpeq_epi8(_mm256_and_si256(low, high), _mm256_setzero_si256());
    return ~static_cast<uint32_t>(_mm256_movemask_epi8(none));
  }

  MILLRACE_AVX2 static uint64_t Mask64(const char* bytes, const Tables& tables) {
    return Mask32(bytes, tables) | (static_cast<uint64_t>(Mask32(bytes + 32, tables)) << 32);
  }

  // The mask of the block at `at`, which may be the last and incomplete one. Then the last 64 bytes
  // are read, so that nothing outside of the text is; only texts shorter than that have to be
  // copied.
  MILLRACE_AVX2 static uint64_t MaskAt(std::string_view text, size_t at, const Tables& tables) {
    size_t left = text.size() - at;
    if (left >= kBlock) {
      return Mask64(text.data() + at, tables);
    }
    if (text.size() >= kBlock) {
      return Mask64(text.data() + text.size() - kBlock, tables) >> (kBlock - left);
    }
    alignas(32) char block[kBlock] = {};
    std::memcpy(block, text.data(), left);
    return Mask64(block, tables) & ((uint64_t{1} << left) - 1);
  }

  MILLRACE_AVX2 static size_t Count(const ByteSplitter& splitter, std::string_view text) {
    const Tables tables = Load(splitter);
    size_t pieces = 1;
    uint64_t before = 0;  // 1 when the byte before the block is a separator
    const uint64_t run_mask = splitter.repeats_ ? ~uint64_t{0} : 0;
    for (size_t at = 0; at < text.size(); at += kBlock) {
      uint64_t mask = MaskAt(text, at, tables);
      pieces += static_cast<size_t>(std::popcount(mask & ~(((mask << 1) | before) & run_mask)));
      before = mask >> 63;
    }
    return pieces;
  }

  // A view made with one load and one store. REQUIRES: 16 bytes can be read at `bytes`.
  MILLRACE_AVX2 static void Write(const char* bytes, size_t size, TextView* out) {
    if (size <= TextView::kInlineBytes) {
      __m128i data = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
      const __m128i position = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
      __m128i kept =
          _mm_and_si128(data, _mm_cmpgt_epi8(_mm_set1_epi8(static_cast<char>(size)), position));
      __m128i view =
          _mm_or_si128(_mm_slli_si128(kept, 4), _mm_cvtsi32_si128(static_cast<int>(size)));
      std::memcpy(static_cast<void*>(out), &view, sizeof(view));
    } else {
      *out = TextView(bytes, size);
    }
  }

  MILLRACE_AVX2 static TextView* Split(const ByteSplitter& splitter, std::string_view text,
                                       TextView* out) {
    return splitter.repeats_ ? SplitRuns(splitter, text, out) : SplitSingles(splitter, text, out);
  }

  // Pieces that begin here or later are written the careful way.
  static const char* LastWideLoad(std::string_view text) {
    return text.size() >= sizeof(TextView) ? text.data() + text.size() - sizeof(TextView)
                                           : text.data() - 1;
  }

  MILLRACE_AVX2 static void Emit(const char* begin, const char* end, const char* last_wide,
                                 TextView* out) {
    auto size = static_cast<size_t>(end - begin);
    if (begin <= last_wide) [[likely]] {
      Write(begin, size, out);
    } else {
      *out = TextView(begin, size);
    }
  }

  // Every change between separators and others is an edge: pieces end at one and begin at the next.
  MILLRACE_AVX2 static TextView* SplitRuns(const ByteSplitter& splitter, std::string_view text,
                                           TextView* out) {
    const Tables tables = Load(splitter);
    const char* last_wide = LastWideLoad(text);
    const char* begin = text.data();
    bool in_separator = false;
    uint64_t before = 0;
    for (size_t at = 0; at < text.size(); at += kBlock) {
      const char* block = text.data() + at;
      size_t left = text.size() - at;
      uint64_t mask = MaskAt(text, at, tables);
      uint64_t edges = mask ^ ((mask << 1) | before);
      before = mask >> 63;
      if (left < kBlock) {
        edges &= (uint64_t{1} << left) - 1;
      }
      if (in_separator && edges != 0) {
        begin = block + std::countr_zero(edges);
        edges &= edges - 1;
        in_separator = false;
      }
      while (edges != 0) {
        Emit(begin, block + std::countr_zero(edges), last_wide, out++);
        edges &= edges - 1;
        if (edges == 0) {
          in_separator = true;
          break;
        }
        begin = block + std::countr_zero(edges);
        edges &= edges - 1;
      }
    }
    const char* end = text.data() + text.size();
    *out++ = in_separator ? TextView(end, 0) : TextView(begin, static_cast<size_t>(end - begin));
    return out;
  }

  MILLRACE_AVX2 static TextView* SplitSingles(const ByteSplitter& splitter, std::string_view text,
                                              TextView* out) {
    const Tables tables = Load(splitter);
    const char* last_wide = LastWideLoad(text);
    const char* begin = text.data();
    for (size_t at = 0; at < text.size(); at += kBlock) {
      const char* block = text.data() + at;
      uint64_t mask = MaskAt(text, at, tables);
      for (; mask != 0; mask &= mask - 1) {
        const char* separator = block + std::countr_zero(mask);
        Emit(begin, separator, last_wide, out++);
        begin = separator + 1;
      }
    }
    *out++ = TextView(begin, static_cast<size_t>(text.data() + text.size() - begin));
    return out;
  }
};

#undef MILLRACE_AVX2

#endif  // __x86_64__

ByteSplitter::ByteSplitter(const AsciiSeparator& separator) : repeats_(separator.repeats) {
  for (size_t byte = 0; byte < separator.bytes.size(); ++byte) {
    if (separator.bytes[byte]) {
      is_separator_[byte] = true;
      high_nibbles_of_low_[byte & 15] |= static_cast<uint8_t>(1u << (byte >> 4));
    }
  }
  UsePortableCode();
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
      __builtin_cpu_supports("popcnt")) {
    count_ = Avx2Split::Count;
    split_ = Avx2Split::Split;
  }
#endif
}

void ByteSplitter::UsePortableCode() {
  count_ = PortableSplit::Count;
  split_ = PortableSplit::Split;
}

}  // namespace millrace
