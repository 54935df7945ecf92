// millrace-driver: a driver as a process. Waits as standby while another driver has its directory,
// then serves until SIGTERM or SIGINT, which bring its jobs to a batch boundary. A second signal
// ends it at once, as does another driver that takes over. Either way its jobs go on from the
// journal.
#include <signal.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "common/base/exit_deadline.h"
#include "common/base/failpoint.h"
#include "common/base/lock_order.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/base/units.h"
#include "common/expr/function_registry.h"
#include "connectors/all.h"
#include "driver/driver.h"

namespace millrace::driver {
namespace {

// How long the threads that wait for sources and stores may take to end after that.
constexpr absl::Duration kExitPatience = absl::Seconds(3);

constexpr char kExample[] =
    "Example:\n"
    "  millrace-driver --directory journal --allow-path /data &\n"
    "  millrace-executor &\n"
    "  millrace submit examples/word_count.sql --name words\n"
    "A second one on the same directory is its standby:\n"
    "  millrace-driver --directory journal --listen 127.0.0.1:7071 &\n"
    "  millrace-executor --driver 127.0.0.1:7070,127.0.0.1:7071 &\n";

struct Flags {
  std::string listen = "127.0.0.1:7070";
  std::string directory;
  std::string metrics;
  std::string heartbeat_timeout = "2 s";
  std::string lease_time = "1500 ms";
  std::vector<std::string> allow_path;
  std::vector<std::string> allow_secret;
  std::string keep_journal = "128 MiB";
  bool list_failpoints = false;
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
                  "Where the journal is kept; while another driver has it, this one waits as its "
                  "standby. Without it jobs do not outlive the driver");
  app->add_option("--metrics", flags->metrics,
                  "host:port of the Prometheus page /metrics; without it there is none");
  app->add_option("--heartbeat-timeout", flags->heartbeat_timeout,
                  "An executor that is silent for so long is given up, and a driver by executors")
      ->capture_default_str();
  app->add_option("--lease-time", flags->lease_time,
                  "A driver that shows no sign of life in the directory for so long is replaced by "
                  "its standby")
      ->capture_default_str();
  app->add_option("--allow-path", flags->allow_path,
                  "A directory (or file) that scripts may read and write: path of file tables, "
                  "checkpoint_location, savepoints. May be repeated; without it there is none")
      ->type_name("DIRECTORY");
  app->add_option("--allow-secret", flags->allow_secret,
                  "A secret that scripts may use: env:NAME (or env:BEGINNING*), file:PATH. May be "
                  "repeated; without it there is none")
      ->type_name("SECRET");
  app->add_option("--keep-journal", flags->keep_journal,
                  "How much of the journal is kept that no driver needs any more, so that millrace "
                  "replay finds its batches")
      ->capture_default_str();
  app->add_flag("--list-failpoints", flags->list_failpoints)->group("");
  app->footer(kExample);
}

// A flag's duration, at least `least`.
absl::StatusOr<absl::Duration> DurationFlag(const char* flag, const std::string& text,
                                            absl::Duration least) {
  absl::StatusOr<absl::Duration> duration = ParseDuration(text);
  if (duration.ok() && *duration >= least) {
    return duration;
  }
  return absl::InvalidArgumentError(absl::StrCat(flag, " takes a duration of at least ",
                                                 absl::FormatDuration(least),
                                                 ", such as '2 s', not '", text, "'"));
}

absl::StatusOr<int64_t> BytesFlag(const char* flag, const std::string& text) {
  absl::StatusOr<int64_t> bytes = ParseBytes(text);
  return bytes.ok() ? bytes
                    : absl::InvalidArgumentError(absl::StrCat(
                          flag, " takes a number of bytes such as '128 MiB', not '", text, "'"));
}

// The first signal asks the process to stop.
struct StopRequest {
  std::stop_source source;
  absl::Notification received;
};

// Waits for signals on a thread that lives as long as the process; the second signal ends the
// process. REQUIRES: the signals are blocked in all threads.
std::shared_ptr<StopRequest> StopOnSignal(const sigset_t& signals) {
  auto stop = std::make_shared<StopRequest>();
  std::thread([signals, stop] {
    int number = 0;
    sigwait(&signals, &number);
    spdlog::info("{}: stopping; a second signal ends at once", strsignal(number));
    stop->source.request_stop();
    stop->received.Notify();
    sigwait(&signals, &number);
    _exit(1);
  }).detach();
  return stop;
}

// Ends a process whose driver was replaced. Nothing that it could still say would count, so it says
// nothing: no last record, no last message to an executor.
void EndReplaced(const absl::Status& why) {
  Fail(why);
  _exit(1);
}

int Serve(DriverOptions options, StopRequest& stop) {
  const bool keeps_journal = !options.directory.empty();
  const absl::StatusOr<std::unique_ptr<Driver>> driver = Driver::Start(std::move(options));
  if (absl::IsCancelled(driver.status())) {
    spdlog::info("{}", ToStd(driver.status().message()));
    return 0;
  }
  if (!driver.ok()) {
    return Fail(driver.status());
  }
  spdlog::info("listens on {}", (*driver)->address());
  if (!(*driver)->metrics_address().empty()) {
    spdlog::info("metrics at http://{}/metrics", (*driver)->metrics_address());
  }
  if (!keeps_journal) {
    spdlog::warn("keeps no journal: jobs end with this process; --directory keeps one");
  }
  stop.received.WaitForNotification();
  if (const absl::Status drained = (*driver)->Drain(SteadyNow() + kDrainTimeout); !drained.ok()) {
    spdlog::warn("{}", ToStd(drained.message()));
  }
  const ExitDeadline deadline(kExitPatience, 0);
  (*driver)->Shutdown();
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
  if (flags.list_failpoints) {
    for (const std::string& name : AllFailpoints()) {
      std::cout << name << "\n";
    }
    return 0;
  }
  const absl::StatusOr<absl::Duration> heartbeat_timeout =
      DurationFlag("--heartbeat-timeout", flags.heartbeat_timeout, absl::Milliseconds(100));
  const absl::StatusOr<absl::Duration> lease_time =
      DurationFlag("--lease-time", flags.lease_time, absl::Milliseconds(100));
  const absl::StatusOr<AccessPolicy> access =
      AccessPolicy::Confined("millrace-driver", flags.allow_path, flags.allow_secret);
  const absl::StatusOr<int64_t> keep_journal = BytesFlag("--keep-journal", flags.keep_journal);
  for (const absl::Status& wrong : {ArmFailpointFromEnvironment(), heartbeat_timeout.status(),
                                    lease_time.status(), access.status(), keep_journal.status()}) {
    if (!wrong.ok()) {
      Fail(wrong);
      return 2;
    }
  }
  spdlog::set_default_logger(spdlog::stderr_logger_mt("driver"));
  spdlog::flush_on(spdlog::level::info);

  // Blocks the signals before any thread exists, so that all threads leave them to sigwait.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  const std::shared_ptr<StopRequest> stop = StopOnSignal(signals);

  const std::unique_ptr<ConnectorRegistry> connectors = BuiltInConnectors(*access);
  DriverOptions options;
  options.listen_address = flags.listen;
  options.directory = flags.directory;
  options.metrics_address = flags.metrics;
  options.standby = true;
  options.lease_time = *lease_time;
  options.journal_kept_bytes = *keep_journal;
  options.stop = stop->source.get_token();
  options.on_lost = &EndReplaced;
  options.heartbeat_timeout = *heartbeat_timeout;
  options.heartbeat_interval = *heartbeat_timeout / 4;
  options.connectors = connectors.get();
  options.functions = &FunctionRegistry::BuiltIn();
  return Serve(std::move(options), *stop);
}

}  // namespace
}  // namespace millrace::driver

int main(int argc, char** argv) {
  millrace::IgnoreLockOrder();
  return millrace::driver::Main(argc, argv);
}
