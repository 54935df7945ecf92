// The hash of a split's input: tells whether a replayed range has the same records as the first
// time. It folds over the records, so it does not depend on how they were cut into chunks. The XXH3
// of a record does not depend on the record before; only a multiplication and a rotation are
// chained (about 10 ns per 90-byte record). Thread-compatible.
#ifndef MILLRACE_CONNECTORS_SHARED_RECORD_HASH_H_
#define MILLRACE_CONNECTORS_SHARED_RECORD_HASH_H_

#include <xxhash.h>

#include <bit>
#include <cstdint>
#include <string_view>

namespace millrace {

class RecordHash {
 public:
  // Starts from `seed`: 0, or the value() after the earlier records.
  explicit RecordHash(uint64_t seed) : state_(seed) {}

  // A null data() means that the record has no key or no value, which differs from an empty one.
  void Add(int64_t offset, std::string_view key, std::string_view value) {
    uint64_t seed = static_cast<uint64_t>(offset) * kMultiplier;
    uint64_t hash = value.data() == nullptr
                        ? seed ^ kNoValue
                        : XXH3_64bits_withSeed(value.data(), value.size(), seed);
    if (key.data() != nullptr) {
      hash ^= std::rotl(XXH3_64bits_withSeed(key.data(), key.size(), seed ^ kKeySeed), 32);
    }
    state_ = std::rotl(state_ ^ hash, 29) * kMultiplier + 1;
  }

  uint64_t value() const { return state_; }

 private:
  static constexpr uint64_t kMultiplier = 0x9E3779B97F4A7C15ULL;  // 2^64 / golden ratio
  static constexpr uint64_t kNoValue = 0x6E756C6C76616C75ULL;
  static constexpr uint64_t kKeySeed = 0x6B65796B65796B65ULL;

  uint64_t state_;
};

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_SHARED_RECORD_HASH_H_
