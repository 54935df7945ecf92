// to_number: a text read by a pattern. Pure functions.
#ifndef MILLRACE_COMMON_EXPR_FORMAT_NUMBER_READER_H_
#define MILLRACE_COMMON_EXPR_FORMAT_NUMBER_READER_H_

#include <optional>
#include <string>
#include <string_view>

#include "common/expr/format/number_pattern.h"

namespace millrace {

struct ReadDecimal {
  std::string text;  // to be parsed as numeric, which finds what is no number
  int precision = 0;
  int scale = 0;
  std::optional<int> shift;  // to be divided by ten to this power, if the pattern has a V
};

// REQUIRES: a pattern that can be read.
ReadDecimal ReadNumber(std::string_view text, const NumberPattern& pattern);

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_FORMAT_NUMBER_READER_H_
