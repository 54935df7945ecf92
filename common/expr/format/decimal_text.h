// Arithmetic on numbers as decimal text ('-123.45'), of any length. Pure functions.
// REQUIRES everywhere: an optional minus, digits, and maybe a point with digits behind.
#ifndef MILLRACE_COMMON_EXPR_FORMAT_DECIMAL_TEXT_H_
#define MILLRACE_COMMON_EXPR_FORMAT_DECIMAL_TEXT_H_

#include <string>
#include <string_view>

namespace millrace {

// Rounded half away from zero to `scale` digits behind the point, or filled up with zeros.
std::string RoundDecimal(std::string_view number, int scale);

// Times ten to the power of `places`. REQUIRES: places ≥ 0.
std::string ShiftDecimal(std::string_view number, int places);

// '1.23e+05' with `scale` digits behind the point, rounded half away from zero.
std::string ScientificDecimal(std::string_view number, int scale);

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_FORMAT_DECIMAL_TEXT_H_
