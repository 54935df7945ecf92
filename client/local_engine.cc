#include "client/local_engine.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/expr/function_registry.h"
#include "connectors/all.h"

namespace millrace::client {
namespace {

constexpr absl::Duration kRegistrationTimeout = absl::Seconds(10);
constexpr absl::Duration kGoodbyeTimeout = absl::Milliseconds(500);

}  // namespace

absl::StatusOr<std::unique_ptr<LocalEngine>> LocalEngine::Start(const LocalEngineOptions& options) {
  std::unique_ptr<LocalEngine> engine(new LocalEngine(options));
  driver::DriverOptions driver;
  driver.directory = options.directory;
  driver.metrics_address = options.metrics_address;
  driver.initial_records = options.initial_records;
  driver.resume_jobs = !options.initial_records.empty();
  driver.hold_for_followers = true;
  driver.connectors = &AllConnectors();
  driver.functions = &FunctionRegistry::BuiltIn();
  ASSIGN_OR_RETURN(engine->driver_, driver::Driver::Start(driver));

  for (uint32_t i = 0; i < options.executors; ++i) {
    RETURN_IF_ERROR(engine->AddExecutor());
  }
  engine->client_ = std::make_unique<DriverClient>(engine->driver_->InProcessChannel(), "");
  return engine;
}

absl::Status LocalEngine::AddExecutor() {
  const bool alone = options_.executors == 1;
  executor::ExecutorOptions executor;
  executor.driver_channel = driver_->InProcessChannel();
  executor.name = alone ? "local" : absl::StrCat("local-", ++executors_started_);
  executor.slots = options_.slots;
  if (options_.memory_bytes > 0) {
    executor.memory_bytes = options_.memory_bytes;
  }
  executor.shuffle_listen_address = alone ? "" : "127.0.0.1:0";
  executor.connectors = &AllConnectors();
  executor.functions = &FunctionRegistry::BuiltIn();
  ASSIGN_OR_RETURN(auto started, executor::Executor::Start(std::move(executor)));
  RETURN_IF_ERROR(started->WaitUntilRegistered(kRegistrationTimeout));
  executors_.push_back(std::move(started));
  return absl::OkStatus();
}

absl::Status LocalEngine::Drain() { return driver_->Drain(SteadyNow() + driver::kDrainTimeout); }

void LocalEngine::KillExecutor() {
  MILLRACE_CHECK(!executors_.empty());
  executors_.front()->Shutdown();
  executors_.erase(executors_.begin());
}

const ConnectorRegistry& AllConnectors() {
  static const ConnectorRegistry* const connectors = BuiltInConnectors().release();
  return *connectors;
}

LocalEngine::~LocalEngine() {
  client_.reset();
  for (const auto& executor : executors_) {
    // Says goodbye, so that the driver does not take it for a lost one.
    executor->Drain(kGoodbyeTimeout).IgnoreError();
  }
  if (driver_ != nullptr) {
    driver_->Shutdown();
  }
}

}  // namespace millrace::client
