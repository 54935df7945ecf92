// millrace-executor: an executor as a process.
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/exit_deadline.h"
#include "common/base/failpoint.h"
#include "common/base/lock_order.h"
#include "common/base/units.h"
#include "connectors/all.h"
#include "connectors/registry.h"
#include "executor/executor.h"

namespace millrace::executor {
namespace {

// How long the last words to the driver and the end of all threads may take after a drain. What was
// not committed by then is run again, so nothing is lost if a broker or mount holds them up longer.
constexpr absl::Duration kExitPatience = absl::Seconds(4);

constexpr char kExample[] = R"(
Example: two executors of a driver on this machine
  millrace-driver --listen 127.0.0.1:7070 --directory /var/lib/millrace &
  millrace-executor --driver 127.0.0.1:7070 --shuffle-listen 127.0.0.1:0 --slots 2 &
  millrace-executor --driver 127.0.0.1:7070 --shuffle-listen 127.0.0.1:0 --slots 2 &

SIGTERM or Ctrl-C: finishes and commits the batches it has been given, then exits; a second one: exits at once.
Exit code: 0 ended as asked, 1 failed, 2 wrong usage.)";

struct Flags {
  std::string driver = "127.0.0.1:7070";
  std::string shuffle_listen = "127.0.0.1:0";
  std::string shuffle_advertise;
  std::string memory = "512 MiB";
  std::string metrics;
  std::string name;
  std::string driver_timeout;
  std::string drain_timeout = "30 s";
  std::string state_directory;
  std::vector<std::string> allow_path;
  std::vector<std::string> allow_secret;
  uint32_t slots = 0;
  bool list_failpoints = false;
};

void AddFlags(CLI::App* app, Flags* flags) {
  app->add_option("--driver", flags->driver,
                  "host:port of the driver; with standbys all of them, separated by commas")
      ->envname("MILLRACE_DRIVER")
      ->capture_default_str();
  app->add_option("--slots", flags->slots, "tasks at a time (default: hardware threads)")
      ->check(CLI::Range(1, 1024));
  app->add_option("--shuffle-listen", flags->shuffle_listen,
                  "host:port where other executors send rows; port 0: any")
      ->capture_default_str();
  app->add_option("--shuffle-advertise", flags->shuffle_advertise,
                  "host:port that other executors connect to, if not the one listened on");
  app->add_option("--memory", flags->memory,
                  "bound for rows that are prefetched, shuffled or held until their commit, e.g. "
                  "'2 GiB'; the driver plans batches that fit")
      ->capture_default_str();
  app->add_option("--metrics", flags->metrics,
                  "host:port of the Prometheus page; port 0: any (default: none)");
  app->add_option("--name", flags->name, "name for people (default: host:pid)");
  app->add_option("--driver-timeout", flags->driver_timeout,
                  "give up when no driver answers for so long, e.g. '60 s' (default: never)");
  app->add_option("--drain-timeout", flags->drain_timeout,
                  "how long SIGTERM waits for batches to be committed")
      ->capture_default_str();
  app->add_option("--state-directory", flags->state_directory,
                  "where jobs with state_backend = 'rocksdb' keep state while they run (default: "
                  "the system's directory for temporary files)");
  app->add_option("--allow-path", flags->allow_path,
                  "a directory (or file) that jobs may read and write here; may be repeated; with "
                  "neither of these two the executor does what its driver has admitted")
      ->type_name("DIRECTORY");
  app->add_option(
         "--allow-secret", flags->allow_secret,
         "a secret that jobs may use here: env:NAME (or env:BEGINNING*), file:PATH; may be "
         "repeated")
      ->type_name("SECRET");
  app->add_flag("--list-failpoints", flags->list_failpoints)->group("");
  app->footer(kExample);
}

absl::StatusOr<ExecutorOptions> OptionsFrom(const Flags& flags) {
  ExecutorOptions options;
  options.driver_address = flags.driver;
  options.name = flags.name;
  options.slots = flags.slots;
  options.shuffle_listen_address = flags.shuffle_listen;
  options.shuffle_advertised_address = flags.shuffle_advertise;
  options.metrics_address = flags.metrics;
  options.state_directory = flags.state_directory;
  absl::StatusOr<int64_t> memory = ParseBytes(flags.memory);
  if (!memory.ok()) {
    return memory.status();
  }
  options.memory_bytes = *memory;
  if (!flags.driver_timeout.empty()) {
    absl::StatusOr<absl::Duration> timeout = ParseDuration(flags.driver_timeout);
    if (!timeout.ok()) {
      return timeout.status();
    }
    options.driver_timeout = *timeout;
  }
  return options;
}

// The driver has checked what it sends; an executor's own flags confine it further.
absl::StatusOr<AccessPolicy> AccessFrom(const Flags& flags) {
  if (flags.allow_path.empty() && flags.allow_secret.empty()) {
    return AccessPolicy();
  }
  return AccessPolicy::Confined("millrace-executor", flags.allow_path, flags.allow_secret);
}

sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

// The first signal drains, the second ends the process.
void DrainOnSignal(Executor* executor, absl::Duration timeout) {
  const sigset_t signals = StopSignals();
  int signal = 0;
  sigwait(&signals, &signal);
  spdlog::info("stopping: finishing what has been begun (again to stop at once)");
  std::thread([] {
    const sigset_t again = StopSignals();
    int second = 0;
    sigwait(&again, &second);
    std::_Exit(1);
  }).detach();
  const ExitDeadline deadline(timeout + kExitPatience, 0);
  const absl::Status status = executor->Drain(timeout);
  if (!status.ok()) {
    spdlog::warn("{}; they will be run again", std::string(status.message()));
  }
}

int Run(const Flags& flags) {
  if (flags.list_failpoints) {
    for (const std::string& name : AllFailpoints()) {
      std::printf("%s\n", name.c_str());
    }
    return 0;
  }
  absl::StatusOr<ExecutorOptions> options = OptionsFrom(flags);
  absl::StatusOr<absl::Duration> drain_timeout = ParseDuration(flags.drain_timeout);
  const absl::StatusOr<AccessPolicy> access = AccessFrom(flags);
  for (const absl::Status& wrong :
       {ArmFailpointFromEnvironment(), options.status(), drain_timeout.status(), access.status()}) {
    if (!wrong.ok()) {
      std::fprintf(stderr, "millrace-executor: %s\n", std::string(wrong.message()).c_str());
      return 2;
    }
  }
  // Blocks the signals before any thread exists, so that all threads inherit that and only sigwait
  // sees the signals.
  const sigset_t signals = StopSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const std::unique_ptr<ConnectorRegistry> connectors = BuiltInConnectors(*access);
  options->connectors = connectors.get();
  absl::StatusOr<std::unique_ptr<Executor>> executor = Executor::Start(*options);
  if (!executor.ok()) {
    std::fprintf(stderr, "millrace-executor: %s\n",
                 std::string(executor.status().message()).c_str());
    return 1;
  }
  spdlog::info("executor {} ({}) for the driver at {}; shuffle on {}{}{}", (*executor)->name(),
               (*executor)->id().value(), flags.driver, (*executor)->shuffle_address(),
               flags.metrics.empty() ? "" : ", metrics on ", (*executor)->metrics_address());
  std::thread([&executor, &drain_timeout] {
    DrainOnSignal(executor->get(), *drain_timeout);
  }).detach();
  const absl::Status end = (*executor)->Wait();
  if (!end.ok()) {
    std::fprintf(stderr, "millrace-executor: %s\n", std::string(end.message()).c_str());
  }
  // Exits without destructors, since the thread that waits for signals still uses what lives here.
  std::fflush(nullptr);
  std::_Exit(end.ok() ? 0 : 1);
}

}  // namespace
}  // namespace millrace::executor

int main(int argc, char** argv) {
  millrace::IgnoreLockOrder();
  spdlog::set_default_logger(spdlog::stderr_logger_mt("executor"));
  CLI::App app("Reads, computes and writes for a Millrace driver.", "millrace-executor");
  millrace::executor::Flags flags;
  millrace::executor::AddFlags(&app, &flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return millrace::executor::Run(flags);
}
