// Which members of an epoch have answered what was asked of all of them. Pure; thread-compatible.
#ifndef MILLRACE_DRIVER_COORDINATOR_MEMBER_ANSWERS_H_
#define MILLRACE_DRIVER_COORDINATOR_MEMBER_ANSWERS_H_

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

namespace millrace::driver {

class MemberAnswers {
 public:
  MemberAnswers() = default;
  explicit MemberAnswers(size_t members) : answered_(members, false) {}

  // REQUIRES, here and below: member < members.
  bool Has(size_t member) const { return answered_[member]; }

  // False if the member has answered before: executors repeat answers that may have been lost.
  bool Add(size_t member) {
    if (answered_[member]) {
      return false;
    }
    answered_[member] = true;
    ++answers_;
    return true;
  }

  bool AreComplete() const { return answers_ == answered_.size(); }

  // The first member that has not answered.
  std::optional<size_t> Missing() const {
    const auto missing = std::find(answered_.begin(), answered_.end(), false);
    return missing == answered_.end()
               ? std::nullopt
               : std::optional<size_t>(static_cast<size_t>(missing - answered_.begin()));
  }

 private:
  std::vector<bool> answered_;
  size_t answers_ = 0;
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_COORDINATOR_MEMBER_ANSWERS_H_
