#include "driver/journal/lease_holder.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <optional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace millrace::driver {
namespace {

std::string ReadSmallFile(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// The boot and the pid namespace of this process; empty when they cannot be told.
std::string PidSpace() {
  const std::string boot = ReadSmallFile("/proc/sys/kernel/random/boot_id");
  char space[64];
  const ssize_t length = readlink("/proc/self/ns/pid", space, sizeof(space));
  if (boot.empty() || length <= 0) {
    return "";
  }
  return absl::StrCat(std::string(absl::StripAsciiWhitespace(boot)), "/",
                      std::string(space, static_cast<size_t>(length)));
}

struct ProcessStat {
  char state = '?';
  int64_t start = 0;  // clock ticks after boot
};

// Nothing if there is no such process, or this process cannot see it.
std::optional<ProcessStat> StatOf(int64_t pid) {
  const std::string stat = ReadSmallFile(absl::StrCat("/proc/", pid, "/stat"));
  // "pid (name) state …": the name may hold anything, the rest is fields 3 and up. See proc(5).
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) {
    return std::nullopt;
  }
  const std::vector<std::string> fields =
      absl::StrSplit(stat.substr(name_end + 1), ' ', absl::SkipEmpty());
  constexpr size_t kStart = 22 - 3;
  ProcessStat result;
  if (fields.size() <= kStart || !absl::SimpleAtoi(fields[kStart], &result.start)) {
    return std::nullopt;
  }
  result.state = fields[0][0];
  return result;
}

}  // namespace

void DescribeThisProcess(proto::Lease* lease) {
  char host[256] = "localhost";
  gethostname(host, sizeof(host) - 1);
  lease->set_host(host);
  lease->set_pid(getpid());
  lease->set_process_start(StatOf(getpid()).value_or(ProcessStat()).start);
  lease->set_pid_space(PidSpace());
}

bool HolderIsGone(const proto::Lease& lease) {
  if (lease.pid_space().empty() || lease.pid_space() != PidSpace() || lease.pid() <= 0) {
    return false;
  }
  if (kill(static_cast<pid_t>(lease.pid()), 0) != 0 && errno == ESRCH) {
    return true;
  }
  const std::optional<ProcessStat> stat = StatOf(lease.pid());
  // A zombie has ended and waits for its parent to take note.
  return stat.has_value() && (stat->state == 'Z' || stat->state == 'X' ||
                              (lease.process_start() != 0 && stat->start != lease.process_start()));
}

std::string HolderName(const proto::Lease& lease) {
  return absl::StrCat(lease.driver_id(), ", pid ", lease.pid(), " on host ", lease.host(),
                      lease.address().empty() ? "" : ", at ", lease.address());
}

}  // namespace millrace::driver
