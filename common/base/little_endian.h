// Integers as files hold them, little-endian. Pure functions.
#ifndef MILLRACE_COMMON_BASE_LITTLE_ENDIAN_H_
#define MILLRACE_COMMON_BASE_LITTLE_ENDIAN_H_

#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

namespace millrace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "integers are copied as they are");

template <typename T>
void AppendLittleEndian(T value, std::string* out) {
  static_assert(std::is_integral_v<T>);
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

// REQUIRES: `bytes` hold the integer at `offset`, which needs no alignment.
template <typename T>
T ReadLittleEndian(std::string_view bytes, size_t offset) {
  static_assert(std::is_integral_v<T>);
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

}  // namespace millrace

#endif  // MILLRACE_COMMON_BASE_LITTLE_ENDIAN_H_
