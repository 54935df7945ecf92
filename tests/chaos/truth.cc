#include "tests/chaos/truth.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace millrace::chaos {
namespace {

constexpr int kUnitBits = 40;

// The finaliser of SplitMix64: every bit of the result depends on every bit of the input.
uint64_t Mix(uint64_t value) {
  value += 0x9E3779B97F4A7C15;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
  return value ^ (value >> 31);
}

bool ParseNumber(std::string_view text, int64_t* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size() && *number >= 0;
}

}  // namespace

double ExactSum::Rounded() const {
  // The conversion rounds to nearest even; the scaling is exact.
  return std::ldexp(static_cast<double>(units_), -kUnitBits);
}

int64_t Group::CountBelow(int64_t produced) const {
  const int64_t end = std::min(produced, limit);
  return end <= first ? 0 : (end - first + step - 1) / step;
}

Record Truth::At(int32_t partition, int64_t n) const {
  const uint64_t bits =
      Mix(Mix(seed * 1000003 + static_cast<uint64_t>(partition)) ^ static_cast<uint64_t>(n));
  Record record;
  record.amount = static_cast<int64_t>(bits % 2001) - 1000;
  const int mantissa = static_cast<int>((bits >> 16) & 0xFFFF) - 0x8000;
  const int exponent = static_cast<int>((bits >> 40) % (2 * kUnitBits + 1)) - kUnitBits;
  record.x = std::ldexp(mantissa, exponent);
  record.x_units =
      static_cast<Int128>(mantissa) * (static_cast<Int128>(1) << (exponent + kUnitBits));
  return record;
}

bool Truth::PassesFilter(int32_t partition, int64_t n) const {
  return At(partition, n).amount % 10 != 0;
}

std::string Truth::KeyOf(int32_t partition, int64_t n) const {
  const bool hot = n % 2 == 1;
  return std::to_string(partition) + (hot ? 'h' : 'c') +
         std::to_string(n / 2 % (hot ? hot_keys : cold_keys));
}

std::string Truth::Json(int32_t partition, int64_t n) const {
  const Record record = At(partition, n);
  char text[256];
  const int length = std::snprintf(
      text, sizeof(text),
      R"({"p":%d,"n":%lld,"k":"%s","g":%lld,"amount":%lld,"x":%.17g,"at":%lld})", partition,
      static_cast<long long>(n), KeyOf(partition, n).c_str(), static_cast<long long>(n % kLanes),
      static_cast<long long>(record.amount), record.x,
      static_cast<long long>(kEpoch * 1000 + n * (kWindowSeconds * 1000 / kBucket)));
  return std::string(text, static_cast<size_t>(length));
}

std::optional<Group> Truth::OfKey(std::string_view key) const {
  const size_t letter = key.find_first_of("hc");
  int64_t partition = 0;
  int64_t number = 0;
  if (letter == std::string_view::npos || !ParseNumber(key.substr(0, letter), &partition) ||
      !ParseNumber(key.substr(letter + 1), &number)) {
    return std::nullopt;
  }
  const bool hot = key[letter] == 'h';
  const int64_t keys = hot ? hot_keys : cold_keys;
  if (partition >= partitions || number >= keys) {
    return std::nullopt;
  }
  Group group;
  group.partition = static_cast<int32_t>(partition);
  group.first = 2 * number + (hot ? 1 : 0);
  group.step = 2 * keys;
  return group;
}

std::optional<Group> Truth::OfWindow(int64_t partition, int64_t lane, int64_t start) const {
  const int64_t bucket = (start - kEpoch) / kWindowSeconds;
  if (partition < 0 || partition >= partitions || lane < 0 || lane >= kLanes || bucket < 0 ||
      kEpoch + bucket * kWindowSeconds != start) {
    return std::nullopt;
  }
  return OfBucket(static_cast<int32_t>(partition), lane, bucket);
}

Group Truth::OfBucket(int32_t partition, int64_t lane, int64_t bucket) const {
  const int64_t begin = bucket * kBucket;
  Group group;
  group.partition = partition;
  group.first = begin + (lane - begin % kLanes + kLanes) % kLanes;
  group.step = kLanes;
  group.limit = begin + kBucket;
  return group;
}

}  // namespace millrace::chaos
