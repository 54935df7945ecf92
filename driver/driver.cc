#include "driver/driver.h"

#include <spdlog/spdlog.h>

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/check.h"
#include "common/base/excerpt.h"
#include "common/base/status.h"
#include "common/base/uuid.h"
#include "common/base/version.h"
#include "common/metrics/metrics.h"
#include "common/rpc/address.h"
#include "common/rpc/rpc.h"
#include "common/storage/file_location.h"
#include "common/storage/file_system.h"
#include "driver/event_loop.h"
#include "driver/executors/executor_directory.h"
#include "driver/jobs/job_registry.h"
#include "driver/jobs/journaled_jobs.h"
#include "driver/journal/directory_lease.h"
#include "driver/journal/file_journal.h"
#include "driver/journal/journal_follower.h"
#include "driver/services/cluster_service.h"
#include "driver/services/jobs_service.h"

namespace millrace::driver {

// Members in order of construction; Shutdown takes them apart in the reverse one.
class Driver::Impl {
 public:
  explicit Impl(DriverOptions options)
      : options_(std::move(options)),
        driver_id_(NewUuid()),
        loop_(options_.clock),
        merging_(options_.clock),
        closing_(options_.clock),
        releasing_(options_.clock),
        executors_(driver_id_, options_.heartbeat_interval, options_.heartbeat_timeout,
                   {[this] { jobs_->OnMembersChanged(); },
                    [this](const ExecutorId& id) { jobs_->OnMemberReconnected(id); }}) {}

  ~Impl() { Shutdown(); }

  absl::Status Start() {
    context_.loop = &loop_;
    context_.merging = &merging_;
    context_.closing = &closing_;
    context_.releasing = &releasing_;
    context_.executors = &executors_;
    context_.connectors = options_.connectors;
    context_.functions = options_.functions;
    context_.metrics = &metrics_;
    context_.clock = options_.clock;
    context_.results_buffer_bytes = options_.results_buffer_bytes;
    context_.hold_for_followers = options_.hold_for_followers;
    jobs_ = std::make_unique<JobRegistry>(
        &context_, JobRegistry::Options{options_.functions, options_.resume_jobs,
                                        options_.directory, options_.journal_timeout});
    cluster_service_ =
        std::make_unique<ClusterService>(&loop_, &executors_, jobs_.get(), options_.clock);
    jobs_service_ = std::make_unique<JobsService>(jobs_.get());

    // Takes the address at once, so that a wrong one is reported at once, but answers nobody there
    // before this driver has the directory and knows its jobs.
    std::optional<HeldAddress> held;
    if (!options_.listen_address.empty()) {
      ASSIGN_OR_RETURN(HeldAddress address,
                       HeldAddress::Hold(options_.listen_address, "the driver", "--listen"));
      held.emplace(std::move(address));
      context_.driver_address = held->address().ToString();
    }
    if (!options_.metrics_address.empty()) {
      ASSIGN_OR_RETURN(exposer_,
                       MetricsExposer::Start(options_.metrics_address, metrics_, "--metrics"));
    }
    RETURN_IF_ERROR(OpenJournal());
    jobs_->Start(journaled_);
    ASSIGN_OR_RETURN(server_, RpcServer::Start(context_.driver_address,
                                               {cluster_service_.get(), jobs_service_.get()},
                                               "the driver", "--listen"));
    held.reset();
    loop_.Post([this] { KeepAnEyeOnExecutors(); });
    return absl::OkStatus();
  }

  absl::Status Drain(absl::Time deadline) { return jobs_->Drain(deadline); }

  // The order follows from who calls whom: services call the registry, jobs call the loops, loops
  // run jobs' work.
  void Shutdown() {
    if (std::exchange(down_, true)) {
      return;
    }
    if (jobs_ != nullptr) {
      jobs_->GoDown();
    }
    if (server_ != nullptr) {
      loop_.Call([this] {
        executors_.CloseAll();
        return true;
      });
      server_->Shutdown(absl::ZeroDuration());
    }
    loop_.Stop();
    // From here on nothing is decided. The directory goes to the next driver first, since the rest
    // may wait for sources and stores that do not answer.
    context_.journal = nullptr;
    journal_.reset();
    if (lease_ != nullptr) {
      lease_->Release();
      lease_.reset();
    }
    jobs_.reset();
    closing_.Stop();
    releasing_.Stop();
    merging_.Stop();
    exposer_.reset();
  }

  const DriverOptions& options() const { return options_; }
  RpcServer& server() { return *server_; }
  const std::string& metrics_address() const {
    static const std::string* const none = new std::string();
    return exposer_ == nullptr ? *none : exposer_->address();
  }

 private:
  absl::Status OpenJournal() {
    if (options_.directory.empty()) {
      for (const proto::JournalRecord& record : options_.initial_records) {
        RETURN_IF_ERROR(journaled_.Apply({record}));
      }
      journal_ = NewMemoryJournal(&journaled_);
      context_.journal = journal_.get();
      return absl::OkStatus();
    }
    JournalFollower follower(FileSystem::Real(), options_.directory, &journaled_);
    RETURN_IF_ERROR(TakeDirectory(&follower));
    FileJournalOptions journal;
    journal.lease = lease_.get();
    journal.state = &journaled_;
    journal.engine_version = kEngineVersion;
    journal.driver_id = driver_id_;
    prometheus::Histogram& seconds = metrics_.Histogram("millrace_journal_sync_seconds",
                                                        "Time of one group commit of the journal.");
    prometheus::Counter& records =
        metrics_.Counter("millrace_journal_records_total", "Records made durable.");
    journal.on_sync = [&seconds, &records](double took, size_t count) {
      seconds.Observe(took);
      records.Increment(static_cast<double>(count));
    };
    journal.on_trouble = [this](const absl::Status& trouble) {
      loop_.Post([this, words = trouble.ok() ? std::string() : Excerpt(ToStd(trouble.message()))] {
        context_.journal_trouble = words;
      });
    };
    journal.kept_bytes = static_cast<uint64_t>(options_.journal_kept_bytes);
    ASSIGN_OR_RETURN(journal_, OpenFileJournal(std::move(journal), &follower));
    context_.journal = journal_.get();
    return absl::OkStatus();
  }

  // A standby follows the journal while it waits, so that it has little left to read when it takes
  // over.
  absl::Status TakeDirectory(JournalFollower* follower) {
    DirectoryLeaseOptions lease;
    lease.files = FileSystem::Real();
    lease.while_waiting = [follower, told = false]() mutable {
      const absl::Status followed = follower->CatchUp();
      if (!followed.ok() && !std::exchange(told, true)) {
        spdlog::warn("standby: the journal cannot be followed: {}", ToStd(followed.message()));
      }
      told = told && !followed.ok();
    };
    lease.before_taking = [follower](uint64_t counted) { return follower->Check(counted); };
    lease.clock = options_.clock;
    lease.directory = options_.directory;
    lease.driver_id = driver_id_;
    lease.address = context_.driver_address;
    lease.lease_time = options_.lease_time;
    lease.wait = options_.standby;
    lease.stop = options_.stop;
    lease.on_lost = [this](const absl::Status& why) { OnLost(why); };
    auto& term = metrics_.Gauge("millrace_driver_term",
                                "Rises with every driver of the directory; 0 on a standby.");
    ASSIGN_OR_RETURN(lease_, DirectoryLease::Acquire(std::move(lease)));
    executors_.SetTerm(static_cast<int64_t>(lease_->first_segment()));
    term.Set(static_cast<double>(lease_->first_segment()));
    return absl::OkStatus();
  }

  // Another driver has taken over: nothing that this one says counts any more.
  void OnLost(const absl::Status& why) {
    spdlog::error("{}", ToStd(why.message()));
    loop_.Post([this] { executors_.Retire(); });
    if (options_.on_lost != nullptr) {
      options_.on_lost(why);
    }
  }

  void KeepAnEyeOnExecutors() {
    executors_.CheckTimeouts(loop_.NowUs());
    // While the directory does not answer, another driver may have taken it over. This one then
    // falls silent, so that executors look for the other.
    if (lease_ == nullptr || lease_->Fresh()) {
      executors_.SayAlive();
    }
    metrics_.Gauge("millrace_driver_executors", "Registered executors.")
        .Set(static_cast<double>(executors_.all().size()));
    loop_.PostAt(loop_.NowUs() + absl::ToInt64Microseconds(options_.heartbeat_interval),
                 [this] { KeepAnEyeOnExecutors(); });
  }

  const DriverOptions options_;
  const std::string driver_id_;
  MetricsRegistry metrics_;
  EventLoop loop_;
  EventLoop merging_;
  EventLoop closing_;
  EventLoop releasing_;
  ExecutorDirectory executors_;
  JobContext context_;
  std::unique_ptr<DirectoryLease> lease_;
  // Belongs to the journal's thread once the journal is open and jobs_ has started.
  JournaledJobs journaled_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<JobRegistry> jobs_;
  std::unique_ptr<ClusterService> cluster_service_;
  std::unique_ptr<JobsService> jobs_service_;
  std::unique_ptr<MetricsExposer> exposer_;
  std::unique_ptr<RpcServer> server_;
  bool down_ = false;
};

absl::StatusOr<std::unique_ptr<Driver>> Driver::Start(DriverOptions options) {
  MILLRACE_CHECK(options.connectors != nullptr && options.functions != nullptr);
  absl::StatusOr<std::string> directory = PathOfLocation(options.directory);
  if (!directory.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a journal cannot be kept at '", options.directory,
                     "': ", directory.status().message(), "; it takes a path or file:///path"));
  }
  options.directory = *std::move(directory);
  auto impl = std::make_unique<Impl>(std::move(options));
  RETURN_IF_ERROR(impl->Start());
  return std::unique_ptr<Driver>(new Driver(std::move(impl)));
}

Driver::Driver(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Driver::~Driver() = default;

const std::string& Driver::address() const { return impl_->server().address(); }
const std::string& Driver::metrics_address() const { return impl_->metrics_address(); }
std::shared_ptr<grpc::Channel> Driver::InProcessChannel() {
  return impl_->server().InProcessChannel();
}
absl::Status Driver::Drain(absl::Time deadline) { return impl_->Drain(deadline); }
void Driver::Shutdown() { impl_->Shutdown(); }

}  // namespace millrace::driver
