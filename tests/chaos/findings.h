// What is wrong with one output. Every finding is told to a listener at once (the first ones of
// each kind with their words), since the moment it appears is what a person needs to find the
// fault that caused it. Thread-compatible.
#ifndef MILLRACE_TESTS_CHAOS_FINDINGS_H_
#define MILLRACE_TESTS_CHAOS_FINDINGS_H_

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

namespace millrace::chaos {

enum class Fault {
  kLost,        // a record that is nowhere
  kDuplicated,  // a record, or a group's state, that was there before
  kRegressed,   // order within a partition, or a group's state, goes backwards or skips
  kWrong,       // contents that no prefix of the input explains
};
constexpr size_t kFaults = 4;

const char* FaultName(Fault fault);

class Findings {
 public:
  using Listener = std::function<void(Fault fault, const std::string& text)>;

  explicit Findings(Listener listener = nullptr) : listener_(std::move(listener)) {}

  // `times`: how many records it is about.
  void Add(Fault fault, const std::string& text, int64_t times = 1);

  int64_t count(Fault fault) const { return counts_[static_cast<size_t>(fault)]; }
  int64_t total() const;

 private:
  static constexpr int64_t kTold = 20;  // findings of a kind that the listener hears of

  Listener listener_;
  std::array<int64_t, kFaults> counts_ = {};
  std::array<int64_t, kFaults> told_ = {};
};

}  // namespace millrace::chaos

#endif  // MILLRACE_TESTS_CHAOS_FINDINGS_H_
