#include "common/base/failpoint.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "common/base/status.h"

// The linker's bounds of the section; weak, since a binary may have no failpoint.
extern "C" {
extern const char* const __start_millrace_failpoint[] __attribute__((weak));
extern const char* const __stop_millrace_failpoint[] __attribute__((weak));
}

namespace millrace {
namespace {

constexpr char kVariable[] = "MILLRACE_FAILPOINT";

// What the environment armed. Written once, before threads exist.
struct Armed {
  std::string name;
  bool hang = false;
  std::atomic<int64_t> hits_left{1};
};

Armed& TheArmed() {
  static Armed* const armed = new Armed();
  return *armed;
}

struct Handler {
  absl::Mutex mutex;
  std::shared_ptr<const std::function<void(const char*)>> call ABSL_GUARDED_BY(mutex);
};

Handler& TheHandler() {
  static Handler* const handler = new Handler();
  return *handler;
}

absl::Status BadValue(std::string_view value, std::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat(kVariable, "='", ToAbsl(value), "': ", ToAbsl(why)));
}

}  // namespace

std::vector<std::string> AllFailpoints() {
  std::vector<std::string> names;
  if (__start_millrace_failpoint != nullptr) {
    names.assign(__start_millrace_failpoint, __stop_millrace_failpoint);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

absl::Status ArmFailpointFromEnvironment() {
  const char* const text = std::getenv(kVariable);
  if (text == nullptr || *text == '\0') {
    return absl::OkStatus();
  }
  const std::vector<std::string> parts = absl::StrSplit(text, absl::MaxSplits(':', 1));
  const std::vector<std::string> names = AllFailpoints();
  if (!std::binary_search(names.begin(), names.end(), parts[0])) {
    return BadValue(text,
                    absl::StrCat("no such failpoint; there are: ", absl::StrJoin(names, ", ")));
  }
  const std::vector<std::string> action =
      absl::StrSplit(parts.size() > 1 ? parts[1] : "", absl::MaxSplits('@', 1));
  int64_t hit = 1;
  if ((action[0] != "crash" && action[0] != "hang") ||
      (action.size() > 1 && (!absl::SimpleAtoi(action[1], &hit) || hit < 1))) {
    return BadValue(text, "the action is crash or hang, with @N for the Nth hit");
  }
  Armed& armed = TheArmed();
  armed.name = parts[0];
  armed.hang = action[0] == "hang";
  armed.hits_left = hit;
  internal::failpoints_armed = true;
  return absl::OkStatus();
}

void SetFailpointHandler(std::function<void(const char* name)> handler) {
  const bool armed = handler != nullptr;
  auto shared = armed ? std::make_shared<const std::function<void(const char*)>>(std::move(handler))
                      : nullptr;
  absl::MutexLock lock(&TheHandler().mutex);
  TheHandler().call = std::move(shared);
  internal::failpoints_armed = armed || !TheArmed().name.empty();
}

namespace internal {

void HitFailpoint(const char* name) {
  std::shared_ptr<const std::function<void(const char*)>> call;
  {
    absl::MutexLock lock(&TheHandler().mutex);
    call = TheHandler().call;
  }
  if (call != nullptr) {
    (*call)(name);
    return;
  }
  Armed& armed = TheArmed();
  if (armed.name != name || armed.hits_left.fetch_sub(1) != 1) {
    return;
  }
  // The signal goes to the process, so that all its threads stop at once.
  kill(getpid(), armed.hang ? SIGSTOP : SIGKILL);
}

}  // namespace internal
}  // namespace millrace
