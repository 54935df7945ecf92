// Splits the text of a date or time into pieces: which characters belong together depends on the
// characters alone. Pure functions.
#ifndef MILLRACE_COMMON_TYPES_DATETIME_TOKENS_H_
#define MILLRACE_COMMON_TYPES_DATETIME_TOKENS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

struct DateTimeToken {
  enum class Kind {
    kNumber,      // 2024, 20240506, 040506.5
    kDate,        // 2024-05-06, 5/nov/2023, 2023-309, nov-05-2023, europe/berlin, 040506-08
    kTime,        // 01:40, 01:40:00.5
    kZone,        // +0100, -08:00
    kWord,        // nov, pm, cet, t
    kSignedWord,  // -infinity
  };
  Kind kind = Kind::kNumber;
  std::string text;  // letters in lower case
};

// Nothing if a character fits nowhere, or the tokens have more bytes than `most_bytes`, a separator
// behind each included: no date or time is longer.
std::optional<std::vector<DateTimeToken>> SplitDateTime(std::string_view text, size_t most_bytes);

}  // namespace millrace

#endif  // MILLRACE_COMMON_TYPES_DATETIME_TOKENS_H_
