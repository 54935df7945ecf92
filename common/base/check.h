// CHECK for broken invariants: prints the condition, the place and what is streamed into it, then
// aborts. Never for errors of users or the environment: those are absl::Status.
#ifndef MILLRACE_COMMON_BASE_CHECK_H_
#define MILLRACE_COMMON_BASE_CHECK_H_

#include <sstream>

namespace millrace {

// Collects the message and aborts in its destructor.
class CheckFailure {
 public:
  CheckFailure(const char* file, int line, const char* condition);
  CheckFailure(const CheckFailure&) = delete;
  CheckFailure& operator=(const CheckFailure&) = delete;
  [[noreturn]] ~CheckFailure();

  std::ostream& stream() { return message_; }

 private:
  std::ostringstream message_;
};

// Makes the two branches of CHECK's conditional expression agree in type.
struct CheckVoidify {
  void operator&(std::ostream&) const {}
};

}  // namespace millrace

#define MILLRACE_CHECK(condition)            \
  (condition) ? static_cast<void>(0)         \
              : ::millrace::CheckVoidify() & \
                    ::millrace::CheckFailure(__FILE__, __LINE__, #condition).stream()

#endif  // MILLRACE_COMMON_BASE_CHECK_H_
