// millrace-driver: a driver as a process. Serves until SIGTERM or SIGINT, which bring its jobs to a
// batch boundary; a second one ends it at once. Either way its jobs go on from the journal at the
// next start.
#include <signal.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/status.h"
#include "common/base/units.h"
#include "common/expr/function_registry.h"
#include "connectors/all.h"
#include "driver/driver.h"

namespace millrace {
namespace {

constexpr absl::Duration kDrainTimeout = absl::Seconds(60);

constexpr char kExample[] =
    "Example:\n"
    "  millrace-driver --directory journal &\n"
    "  millrace-executor &\n"
    "  millrace submit examples/word_count.sql --name words\n";

struct Flags {
  std::string listen = "127.0.0.1:7070";
  std::string directory;
  std::string metrics;
  std::string heartbeat_timeout = "2 s";
};

int Fail(const absl::Status& status) {
  std::cerr << "millrace-driver: " << ToStd(status.message()) << std::endl;
  return 1;
}

void AddFlags(CLI::App* app, Flags* flags) {
  app->add_option("--listen", flags->listen,
                  "host:port for clients and executors; without a host only this machine, port 0 = "
                  "any free one")
      ->capture_default_str();
  app->add_option("--directory", flags->directory,
                  "Where the journal is kept; without it jobs do not outlive the driver");
  app->add_option("--metrics", flags->metrics,
                  "host:port of the Prometheus page /metrics; without it there is none");
  app->add_option("--heartbeat-timeout", flags->heartbeat_timeout,
                  "An executor that is silent for so long is given up")
      ->capture_default_str();
  app->footer(kExample);
}

// Waits for a signal, drains, and leaves a second one to end the process.
int ServeUntilSignal(Driver& driver, const sigset_t& signals) {
  int signal_number = 0;
  sigwait(&signals, &signal_number);
  spdlog::info("{}: draining; a second signal ends at once", strsignal(signal_number));
  std::thread([signals] {
    int second = 0;
    sigwait(&signals, &second);
    _exit(1);
  }).detach();
  const absl::Status drained = driver.Drain(absl::Now() + kDrainTimeout);
  if (!drained.ok()) {
    spdlog::warn("{}", ToStd(drained.message()));
  }
  driver.Shutdown();
  return 0;
}

int Main(int argc, char** argv) {
  CLI::App app("Plans jobs, leads executors through their batches and keeps the journal of both.",
               "millrace-driver");
  Flags flags;
  AddFlags(&app, &flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const absl::StatusOr<absl::Duration> heartbeat_timeout = ParseDuration(flags.heartbeat_timeout);
  if (!heartbeat_timeout.ok() || *heartbeat_timeout < absl::Milliseconds(100)) {
    std::cerr << "millrace-driver: --heartbeat-timeout takes a duration of at least 100 ms, such "
                 "as '2 s', not '"
              << flags.heartbeat_timeout << "'" << std::endl;
    return 2;
  }
  spdlog::set_default_logger(spdlog::stderr_logger_mt("driver"));
  spdlog::flush_on(spdlog::level::info);

  // Before any thread exists, so that all of them leave these to sigwait.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  const std::unique_ptr<ConnectorRegistry> connectors = BuiltInConnectors();
  DriverOptions options;
  options.listen_address = flags.listen;
  options.directory = flags.directory;
  options.metrics_address = flags.metrics;
  options.heartbeat_timeout = *heartbeat_timeout;
  options.heartbeat_interval = *heartbeat_timeout / 4;
  options.connectors = connectors.get();
  options.functions = &FunctionRegistry::BuiltIn();
  const absl::StatusOr<std::unique_ptr<Driver>> driver = Driver::Start(std::move(options));
  if (!driver.ok()) {
    return Fail(driver.status());
  }
  spdlog::info("listens on {}", (*driver)->address());
  if (!(*driver)->metrics_address().empty()) {
    spdlog::info("metrics at http://{}/metrics", (*driver)->metrics_address());
  }
  if (flags.directory.empty()) {
    spdlog::warn("keeps no journal: jobs end with this process; --directory keeps one");
  }
  return ServeUntilSignal(**driver, signals);
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) { return millrace::Main(argc, argv); }
