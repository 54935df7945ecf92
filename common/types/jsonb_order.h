// Compares jsonb values as PostgreSQL does: numbers by value (1 = 1.0 = 1.00, nested too), although
// each keeps its written digits; objects after arrays after booleans after numbers after strings
// after null. Reads canonical text (jsonb_text.h). Pure functions.
#ifndef MILLRACE_COMMON_TYPES_JSONB_ORDER_H_
#define MILLRACE_COMMON_TYPES_JSONB_ORDER_H_

#include <string>
#include <string_view>

namespace millrace {

// The text that all equal values share: `json` without the zeros at the end of its numbers'
// fractions. Views `json` if it has no such zeros (most do not), else text that is put into
// `storage`. For hashes, and for keys that are compared as bytes.
std::string_view JsonbKey(std::string_view json, std::string* storage);

bool JsonbEqual(std::string_view a, std::string_view b);

// <0, 0, >0. Zero exactly where JsonbEqual holds. Text in "C" collation; of arrays and objects the
// longer is the greater.
int CompareJsonb(std::string_view a, std::string_view b);

}  // namespace millrace

#endif  // MILLRACE_COMMON_TYPES_JSONB_ORDER_H_
