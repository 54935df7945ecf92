// libFuzzer's entry points: the target that FUZZ_TARGET names. What is compiled with
// -fsanitize-coverage=trace-pc (--config=fuzz) reports every edge here; gcc has no other
// instrumentation that libFuzzer reads, so edges are counted in the counters that it offers to
// others.
#include <spdlog/spdlog.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "tests/fuzz/targets.h"

namespace {

constexpr size_t kCounters = 1 << 17;
__attribute__((section("__libfuzzer_extra_counters"))) uint8_t edges[kCounters];

const millrace::FuzzTarget* target = nullptr;

}  // namespace

// Called between any two edges: no calls, no locks.
extern "C" __attribute__((no_sanitize_address, no_sanitize_undefined)) void
__sanitizer_cov_trace_pc() {
  const auto place = reinterpret_cast<uintptr_t>(__builtin_return_address(0));
  uint8_t& count = edges[(place ^ (place >> 17)) % kCounters];
  count = static_cast<uint8_t>(count + (count != 0xFF ? 1 : 0));
}

// FUZZ_SEEDS: a directory that the target's seeds are written to first. What the decoders log of
// bad input is not shown: there is a line for nearly each of them.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
  spdlog::set_level(spdlog::level::off);
  const char* const name = std::getenv("FUZZ_TARGET");
  for (const millrace::FuzzTarget& candidate : millrace::FuzzTargets()) {
    if (name != nullptr && candidate.name == name) {
      target = &candidate;
    }
  }
  if (target == nullptr) {
    std::fprintf(stderr, "FUZZ_TARGET names one of:");
    for (const millrace::FuzzTarget& candidate : millrace::FuzzTargets()) {
      std::fprintf(stderr, " %s", candidate.name.c_str());
    }
    std::fprintf(stderr, "\n");
    std::exit(2);
  }
  if (const char* const directory = std::getenv("FUZZ_SEEDS")) {
    int number = 0;
    for (const std::string& seed : target->seeds()) {
      const std::string file = "seed-" + std::to_string(number++);
      std::ofstream(std::filesystem::path(directory) / file, std::ios::binary) << seed;
    }
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  target->run(std::string_view(reinterpret_cast<const char*>(bytes), size));
  return 0;
}
