// Splits text at single ASCII characters of a set, or at runs of them: the inner loop of word
// counts. 32 bytes are classified at a time where the machine has AVX2. Immutable and thread-safe.
#ifndef MILLRACE_COMMON_EXPR_REGEX_BYTE_SPLITTER_H_
#define MILLRACE_COMMON_EXPR_REGEX_BYTE_SPLITTER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/columnar/text_view.h"
#include "common/expr/regex/are_pattern.h"

namespace millrace {

class ByteSplitter {
 public:
  explicit ByteSplitter(const AsciiSeparator& separator);

  // How many pieces Split makes of `text`: at least one. Separators at the ends make empty pieces
  // there, as in PostgreSQL.
  size_t CountPieces(std::string_view text) const { return count_(*this, text); }
  // Writes them to `out`, which must have room, and returns the place behind the last. Pieces view
  // into `text`.
  TextView* Split(std::string_view text, TextView* out) const { return split_(*this, text, out); }

  // For tests: the same without vector instructions.
  void UsePortableCode();

 private:
  friend struct PortableSplit;
  friend struct Avx2Split;

  bool repeats_;
  std::array<bool, 256> is_separator_{};
  // By low nibble of a byte: which high nibbles (bit per nibble 0…7) make it a separator.
  std::array<uint8_t, 16> high_nibbles_of_low_{};
  size_t (*count_)(const ByteSplitter&, std::string_view);
  TextView* (*split_)(const ByteSplitter&, std::string_view, TextView*);
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_REGEX_BYTE_SPLITTER_H_
