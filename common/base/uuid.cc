#include "common/base/uuid.h"

#include <cstdint>
#include <random>

#include "absl/strings/str_format.h"

namespace millrace {

std::string NewUuid() {
  std::random_device random;
  auto next64 = [&random] { return (static_cast<uint64_t>(random()) << 32) | random(); };
  uint64_t high = (next64() & ~uint64_t{0xF000}) | 0x4000;
  uint64_t low = (next64() & ~(uint64_t{3} << 62)) | (uint64_t{2} << 62);
  return absl::StrFormat("%08x-%04x-%04x-%04x-%012x", high >> 32, (high >> 16) & 0xFFFF,
                         high & 0xFFFF, low >> 48, low & 0xFFFFFFFFFFFF);
}

}  // namespace millrace
