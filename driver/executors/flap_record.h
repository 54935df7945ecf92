// Finds executors that come and go: each time one is lost, all jobs that it works for begin anew.
// An executor that is lost soon after it joined, three times within some minutes, gets no work for
// a while, and longer each further time. Executors that fall silent together do not flap: the
// network or the driver's machine failed, and to leave out all of them would help nobody. Executors
// are told apart by name, without the process id at the end of a generated name, since a process
// that is started again has another id. Pure; thread-compatible.
#ifndef MILLRACE_DRIVER_EXECUTORS_FLAP_RECORD_H_
#define MILLRACE_DRIVER_EXECUTORS_FLAP_RECORD_H_

#include <cstdint>
#include <map>
#include <string>

namespace millrace::driver {

class FlapRecord {
 public:
  static constexpr int64_t kSoonUs = 60'000'000;  // a loss within this time after joining counts
  static constexpr int kTimes = 3;
  static constexpr int64_t kFirstQuarantineUs = 15'000'000;
  static constexpr int64_t kLongestQuarantineUs = 300'000'000;
  // After this long without a loss, earlier losses are forgotten.
  static constexpr int64_t kForgottenUs = 600'000'000;

  // Executors that fall silent within this time of each other do so for one reason.
  static constexpr int64_t kTogetherUs = 5'000'000;

  enum class Loss {
    kBroken,  // its connection broke, and it did not come back: most often its process has ended
    kSilent,  // nothing was heard of it although its connection stands
  };

  // An executor that joined at `joined_us` was lost.
  void Lost(const std::string& name, Loss loss, int64_t joined_us, int64_t now_us);

  // Until when an executor that joins now gets no work; 0 = it may have some at once.
  int64_t QuarantinedUntil(const std::string& name, int64_t now_us) const;
  // How often the executor was lost soon after it had joined.
  int LossesOf(const std::string& name) const;

 private:
  struct Losses {
    int count = 0;  // of losses soon after joining
    int64_t last_us = 0;
    bool last_counted = false;
    bool last_silent = false;
  };

  void Forget(int64_t now_us);
  // Whether another executor fell silent just before this one. If so, takes back the loss that was
  // counted for that other one.
  bool FellSilentTogether(const std::string& name, int64_t now_us);

  std::map<std::string, Losses> losses_;  // by name without process id
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_EXECUTORS_FLAP_RECORD_H_
