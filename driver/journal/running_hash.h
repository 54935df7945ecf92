// XXH3-64 of bytes that come in pieces. Thread-compatible.
#ifndef MILLRACE_DRIVER_JOURNAL_RUNNING_HASH_H_
#define MILLRACE_DRIVER_JOURNAL_RUNNING_HASH_H_

#include <xxhash.h>

#include <cstdint>
#include <memory>
#include <string_view>

namespace millrace::driver {

class RunningHash {
 public:
  RunningHash() : state_(XXH3_createState(), &XXH3_freeState) { XXH3_64bits_reset(state_.get()); }
  void Add(std::string_view bytes) { XXH3_64bits_update(state_.get(), bytes.data(), bytes.size()); }
  uint64_t value() const { return XXH3_64bits_digest(state_.get()); }

 private:
  std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state_;
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_JOURNAL_RUNNING_HASH_H_
