// Failpoints: named places before and after every step that is durable or visible outside, where a
// test can end or stop the process (or, in a simulation, the simulated one).
//
//   MILLRACE_FAILPOINT("journal.synced");
//
// Names are "component.what_has_just_happened" or "component.before_what", unique in the source.
// All that are linked into a binary are listed by AllFailpoints(), so that a test can enumerate
// them and none is forgotten. While none is armed a hit costs one load of a flag; failpoints stand
// at steps that wait for a disk or a server, never in a loop over rows. A build with
// --define=failpoints=off has none.
//
// Armed from the environment when the process starts, MILLRACE_FAILPOINT=NAME:ACTION[@N]: at the
// Nth hit (default: the first),
//   crash  ends the process like kill -9
//   hang   stops the process like kill -STOP; SIGCONT lets it go on as a zombie
// or from a test in the same process by SetFailpointHandler. Thread-safe.
#ifndef MILLRACE_COMMON_BASE_FAILPOINT_H_
#define MILLRACE_COMMON_BASE_FAILPOINT_H_

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace millrace {

// Names of all failpoints in this binary, sorted. Empty when they are compiled out.
std::vector<std::string> AllFailpoints();

// Arms the failpoint that the environment names. INVALID_ARGUMENT: no such failpoint or action.
// Called by main().
absl::Status ArmFailpointFromEnvironment();

// Sets a handler that is called with the name at each hit, in place of the environment's action;
// null removes it.
void SetFailpointHandler(std::function<void(const char* name)> handler);

namespace internal {

inline std::atomic<bool> failpoints_armed{false};
void HitFailpoint(const char* name);

}  // namespace internal
}  // namespace millrace

#ifdef MILLRACE_WITHOUT_FAILPOINTS
#define MILLRACE_FAILPOINT(name) static_cast<void>(0)
#else
// The pointer in the section is what AllFailpoints() finds.
#define MILLRACE_FAILPOINT(name)                                                  \
  do {                                                                            \
    static const char* const millrace_failpoint                                   \
        __attribute__((section("millrace_failpoint"), used)) = name;              \
    if (::millrace::internal::failpoints_armed.load(std::memory_order_relaxed)) { \
      ::millrace::internal::HitFailpoint(millrace_failpoint);                     \
    }                                                                             \
  } while (false)
#endif

#endif  // MILLRACE_COMMON_BASE_FAILPOINT_H_
