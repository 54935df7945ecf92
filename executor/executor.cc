#include "executor/executor.h"

#include <grpcpp/grpcpp.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/base/uuid.h"
#include "common/base/version.h"
#include "common/expr/function_registry.h"
#include "common/metrics/metrics.h"
#include "common/rpc/address.h"
#include "common/rpc/rpc.h"
#include "common/storage/file_system.h"
#include "connectors/held_memory.h"
#include "connectors/registry.h"
#include "executor/control/driver_link.h"
#include "executor/control/job_table.h"
#include "executor/epoch/blocking_lanes.h"
#include "executor/epoch/task_pool.h"
#include "executor/shuffle/flow_gate.h"
#include "executor/shuffle/shuffle_hub.h"

namespace millrace::executor {
namespace {

// The version of proto/cluster.proto that this executor speaks.
constexpr uint32_t kProtocol = 1;
// Threads for opening, preparing and committing sessions, which mostly wait for other servers. All
// jobs share this many; each has a few of its own besides (BlockingLanes).
constexpr size_t kBlockingThreads = 128;
constexpr absl::Duration kLastWords = absl::Seconds(2);

int64_t ResidentBytes() {
  int64_t pages = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "r"); file != nullptr) {
    if (std::fscanf(file, "%*d %ld", &pages) != 1) {
      pages = 0;
    }
    std::fclose(file);
  }
  return pages * sysconf(_SC_PAGESIZE);
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::string DefaultName() {
  char host[256] = "localhost";
  gethostname(host, sizeof(host) - 1);
  return absl::StrCat(host, ":", getpid());
}

// Peers cannot connect to "any address".
std::string AdvertisedAddress(const std::string& bound) {
  for (const char* any : {"0.0.0.0:", "[::]:"}) {
    if (bound.starts_with(any)) {
      char host[256] = "localhost";
      gethostname(host, sizeof(host) - 1);
      return absl::StrCat(host, ":", bound.substr(bound.rfind(':') + 1));
    }
  }
  return bound;
}

void FillDefaults(ExecutorOptions* options) {
  if (options->name.empty()) {
    options->name = DefaultName();
  }
  if (options->slots == 0) {
    options->slots = std::max(1u, std::thread::hardware_concurrency());
  }
  if (options->functions == nullptr) {
    options->functions = &FunctionRegistry::BuiltIn();
  }
  if (options->clock == nullptr) {
    options->clock = Clock::Real();
  }
  if (options->files == nullptr) {
    options->files = FileSystem::Real();
  }
}

std::vector<DriverLinkOptions::Driver> DriversOf(const ExecutorOptions& options) {
  if (options.driver_channel != nullptr) {
    return {{options.driver_address.empty() ? "this process" : options.driver_address,
             options.driver_channel}};
  }
  std::vector<DriverLinkOptions::Driver> drivers;
  for (const std::string& address : SplitAddresses(options.driver_address)) {
    drivers.push_back({address, CreateChannel(address)});
  }
  return drivers;
}

class ExecutorImpl : public Executor {
 public:
  explicit ExecutorImpl(ExecutorOptions options)
      : options_(std::move(options)),
        id_(NewUuid()),
        // Half of the memory is for rows that sinks hold until commit, an eighth for rows in
        // flight, the rest for prefetching, which keeps batches short. The driver plans batches
        // that need three eighths of the first half (BatchSizer::BatchBytes).
        gate_(std::max<int64_t>(options_.memory_bytes / 8, 1 << 20)),
        memory_(options_.memory_bytes / 8 * 3),
        held_memory_(std::max<int64_t>(options_.memory_bytes / 2, 1 << 20)),
        slots_(std::make_unique<TaskPool>("slot", options_.slots)),
        blocking_(std::make_unique<BlockingLanes>(kBlockingThreads)) {}

  ~ExecutorImpl() override { Shutdown(); }

  absl::Status Open();

  const ExecutorId& id() const override { return id_; }
  const std::string& name() const override { return options_.name; }
  const std::string& shuffle_address() const override { return shuffle_address_; }
  const std::string& metrics_address() const override { return metrics_address_; }

  absl::Status WaitUntilRegistered(absl::Duration timeout) override {
    return link_->WaitUntilRegistered(timeout);
  }
  absl::Status Wait() override;
  absl::Status Drain(absl::Duration timeout) override;
  void Shutdown() override { End(absl::OkStatus(), absl::ZeroDuration()); }

 private:
  absl::Status OpenShuffle();
  void OpenLink();
  proto::Heartbeat Heartbeat();
  void End(const absl::Status& status, absl::Duration flush);

  const ExecutorOptions options_;
  const ExecutorId id_;
  std::string shuffle_address_;
  std::string metrics_address_;
  MetricsRegistry metrics_;
  FlowGate gate_;
  MemoryBudget memory_;
  HeldMemory held_memory_;
  std::unique_ptr<TaskPool> slots_;
  std::unique_ptr<BlockingLanes> blocking_;
  std::unique_ptr<ShuffleHub> shuffle_;
  JobRuntime runtime_;
  std::unique_ptr<JobTable> jobs_;
  std::unique_ptr<DriverLink> link_;
  std::unique_ptr<MetricsExposer> exposer_;
  std::atomic<bool> draining_ = false;

  absl::Mutex end_mutex_;  // held during End, which blocks
  absl::Mutex mutex_;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(end_mutex_) = false;
};

absl::Status ExecutorImpl::Open() {
  if (!options_.metrics_address.empty()) {
    ASSIGN_OR_RETURN(exposer_,
                     MetricsExposer::Start(options_.metrics_address, metrics_, "--metrics"));
    metrics_address_ = exposer_->address();
  }
  RETURN_IF_ERROR(OpenShuffle());
  runtime_.executor_id = id_.value();
  runtime_.engine_version = kEngineVersion;
  runtime_.files = options_.files;
  runtime_.state_directory = options_.state_directory;
  runtime_.connectors = options_.connectors;
  runtime_.functions = options_.functions;
  runtime_.clock = options_.clock;
  runtime_.slots = slots_.get();
  runtime_.blocking = blocking_.get();
  runtime_.shuffle = shuffle_.get();
  runtime_.gate = &gate_;
  runtime_.memory = &memory_;
  runtime_.held_memory = &held_memory_;
  runtime_.metrics = &metrics_;
  OpenLink();
  return absl::OkStatus();
}

absl::Status ExecutorImpl::OpenShuffle() {
  ShuffleHubOptions options;
  options.executor_id = id_.value();
  options.listen_address = options_.shuffle_listen_address;
  options.window_bytes = std::clamp<int64_t>(options_.memory_bytes / 32, 1 << 20, 8 << 20);
  options.gate = &gate_;
  ASSIGN_OR_RETURN(shuffle_, ShuffleHub::Start(options));
  shuffle_address_ = options_.shuffle_advertised_address.empty()
                         ? AdvertisedAddress(shuffle_->address())
                         : options_.shuffle_advertised_address;
  return absl::OkStatus();
}

void ExecutorImpl::OpenLink() {
  DriverLinkOptions options;
  options.drivers = DriversOf(options_);
  options.driver_timeout = options_.driver_timeout;
  options.registration.set_executor_id(id_.value());
  options.registration.set_name(options_.name);
  options.registration.set_shuffle_address(shuffle_address_);
  options.registration.set_slots(options_.slots);
  options.registration.set_engine_version(kEngineVersion);
  options.registration.set_memory_bytes(options_.memory_bytes);
  options.registration.set_protocol(kProtocol);
  options.on_registered = [this](uint64_t session, const proto::Registered& registered) {
    jobs_->OnRegistered(session, registered.driver_id());
  };
  options.on_message = [this](uint64_t session, proto::DriverMessage message) {
    jobs_->OnMessage(session, std::move(message));
  };
  options.heartbeat = [this] { return Heartbeat(); };
  options.take_progress = [this] { return jobs_->TakeProgress(); };
  options.on_end = [this](const absl::Status& status) {
    absl::MutexLock lock(&mutex_);
    if (!end_.has_value()) {
      end_ = status;
    }
  };
  link_ = std::make_unique<DriverLink>(std::move(options));
  jobs_ = std::make_unique<JobTable>(&runtime_, link_.get());
  link_->Start();
}

proto::Heartbeat ExecutorImpl::Heartbeat() {
  proto::Heartbeat heartbeat;
  heartbeat.set_resident_bytes(ResidentBytes());
  heartbeat.set_cpu_seconds(CpuSeconds());
  heartbeat.set_draining(draining_.load());
  jobs_->FillState(&heartbeat);
  jobs_->ContinueSnapshots();
  const auto gauge = [this](const char* name, const char* help, double value) {
    metrics_.Gauge(name, help).Set(value);
  };
  gauge("millrace_executor_resident_bytes", "Memory of the process.",
        static_cast<double>(heartbeat.resident_bytes()));
  gauge("millrace_executor_cpu_seconds", "CPU time of the process.", heartbeat.cpu_seconds());
  gauge("millrace_executor_slots", "Threads that run tasks.",
        static_cast<double>(slots_->threads()));
  gauge("millrace_executor_queued_tasks", "Tasks that wait for a slot.",
        static_cast<double>(slots_->queued()));
  gauge("millrace_executor_rows_in_flight_bytes",
        "Rows that wait to be applied here or sent to a peer.",
        static_cast<double>(gate_.pending_bytes()));
  return heartbeat;
}

absl::Status ExecutorImpl::Wait() {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(
      absl::Condition(+[](std::optional<absl::Status>* end) { return end->has_value(); }, &end_));
  return *end_;
}

absl::Status ExecutorImpl::Drain(absl::Duration timeout) {
  draining_.store(true);
  link_->SendHeartbeatNow();
  const absl::Time deadline = SteadyNow() + timeout;
  // The driver plans no more work for this executor; the work that it has planned shows in the job
  // table. Polled every few milliseconds, since this happens once in an executor's life.
  const auto ended = [this] {
    absl::MutexLock lock(&mutex_);
    return end_.has_value();
  };
  bool idle = jobs_->idle();
  while (!idle && !ended() && SteadyNow() < deadline) {
    absl::SleepFor(absl::Milliseconds(5));
    idle = jobs_->idle();
  }
  End(absl::OkStatus(), kLastWords);
  return idle ? absl::OkStatus()
              : absl::DeadlineExceededError(absl::StrCat("batches were not committed within ",
                                                         absl::FormatDuration(timeout)));
}

void ExecutorImpl::End(const absl::Status& status, absl::Duration flush) {
  absl::MutexLock one(&end_mutex_);
  if (std::exchange(closed_, true)) {
    return;
  }
  if (link_ != nullptr) {
    link_->Close(flush);
    jobs_->StopAll();
  }
  if (shuffle_ != nullptr) {
    shuffle_->Shutdown();
  }
  slots_.reset();
  blocking_.reset();
  absl::MutexLock lock(&mutex_);
  if (!end_.has_value()) {
    end_ = status;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Executor>> Executor::Start(ExecutorOptions options) {
  if (options.connectors == nullptr) {
    return absl::InvalidArgumentError("an executor needs a registry of connectors");
  }
  if (options.driver_channel == nullptr && SplitAddresses(options.driver_address).empty()) {
    return absl::InvalidArgumentError("an executor needs a driver: --driver HOST:PORT");
  }
  FillDefaults(&options);
  auto executor = std::make_unique<ExecutorImpl>(std::move(options));
  RETURN_IF_ERROR(executor->Open());
  return executor;
}

}  // namespace millrace::executor
