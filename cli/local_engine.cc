#include "cli/local_engine.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/expr/function_registry.h"
#include "connectors/all.h"

namespace millrace {
namespace {

constexpr absl::Duration kRegistrationTimeout = absl::Seconds(10);

}  // namespace

absl::StatusOr<std::unique_ptr<LocalEngine>> LocalEngine::Start(const LocalEngineOptions& options) {
  std::unique_ptr<LocalEngine> engine(new LocalEngine());
  DriverOptions driver;
  driver.directory = options.directory;
  driver.metrics_address = options.metrics_address;
  driver.resume_jobs = false;
  driver.hold_for_followers = true;
  driver.connectors = &AllConnectors();
  driver.functions = &FunctionRegistry::BuiltIn();
  ASSIGN_OR_RETURN(engine->driver_, Driver::Start(driver));

  for (uint32_t i = 0; i < options.executors; ++i) {
    ExecutorOptions executor;
    executor.driver_channel = engine->driver_->InProcessChannel();
    executor.name = options.executors == 1 ? "local" : absl::StrCat("local-", i + 1);
    executor.slots = options.slots;
    executor.shuffle_listen_address = options.executors == 1 ? "" : "127.0.0.1:0";
    executor.connectors = &AllConnectors();
    executor.functions = &FunctionRegistry::BuiltIn();
    ASSIGN_OR_RETURN(engine->executors_.emplace_back(), Executor::Start(std::move(executor)));
  }
  for (const auto& executor : engine->executors_) {
    RETURN_IF_ERROR(executor->WaitUntilRegistered(kRegistrationTimeout));
  }
  engine->client_ = std::make_unique<DriverClient>(engine->driver_->InProcessChannel(), "");
  return engine;
}

const ConnectorRegistry& AllConnectors() {
  static const ConnectorRegistry* const connectors = BuiltInConnectors().release();
  return *connectors;
}

LocalEngine::~LocalEngine() {
  client_.reset();
  for (const auto& executor : executors_) {
    if (executor != nullptr) {
      executor->Shutdown();
    }
  }
  executors_.clear();
  if (driver_ != nullptr) {
    driver_->Shutdown();
  }
}

}  // namespace millrace
