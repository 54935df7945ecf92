// What the ledger tells whoever started it: one JSON object per line on standard output.
// Thread-safe.
#ifndef MILLRACE_TESTS_CHAOS_EVENTS_H_
#define MILLRACE_TESTS_CHAOS_EVENTS_H_

#include <cstdio>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace millrace::chaos {

class Events {
 public:
  // {"event": name, …fields}. Out at once, so that it is there when this process dies.
  void Tell(const std::string& name, nlohmann::ordered_json fields) {
    nlohmann::ordered_json line = {{"event", name}};
    line.update(fields);
    const std::string text =
        line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    std::lock_guard<std::mutex> lock(mutex_);
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }

 private:
  std::mutex mutex_;
};

}  // namespace millrace::chaos

#endif  // MILLRACE_TESTS_CHAOS_EVENTS_H_
