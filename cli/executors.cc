// millrace executors: the cluster's members.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "cli/command.h"
#include "cli/text_table.h"
#include "client/driver_client.h"
#include "common/base/units.h"

namespace millrace::cli {
namespace {

// "until 2026-01-31 12:00:00 by job words: why; …"; empty for an executor that gets work.
std::string LeftOut(const proto::ExecutorsResponse::Executor& executor) {
  std::vector<std::string> reasons;
  for (const auto& one : executor.left_out()) {
    reasons.push_back(
        absl::StrCat("until ",
                     absl::FormatTime("%Y-%m-%d %H:%M:%S", absl::FromUnixMicros(one.until_us()),
                                      absl::LocalTimeZone()),
                     one.job().empty() ? " by all jobs" : absl::StrCat(" by job ", one.job()), ": ",
                     Printable(one.why())));
  }
  return absl::StrJoin(reasons, "; ");
}

int RunExecutors(const std::string& driver, OutputFormat output, const Console& console) {
  auto response = client::DriverClient::ForAddress(driver)->Executors();
  if (!response.ok()) {
    return console.Fail(response.status());
  }
  std::sort(response->mutable_executors()->begin(), response->mutable_executors()->end(),
            [](const auto& a, const auto& b) { return a.name() < b.name(); });
  TextTable table({{"name", "name"},
                   {"shuffle address", "shuffle_address"},
                   {"slots", "slots"},
                   {"partitions", "partitions"},
                   {"key shards", "shards"},
                   {"resident MiB", "resident_mib"},
                   {"cpu s", "cpu_seconds"},
                   {"heartbeat age ms", "heartbeat_age_ms"},
                   {"version", "engine_version"},
                   {"id", "executor_id"},
                   {"left out", "left_out"}});
  for (const auto& executor : response->executors()) {
    table.AddRow({executor.name(), executor.shuffle_address(), int64_t{executor.slots()},
                  int64_t{executor.partitions()}, int64_t{executor.shards()},
                  executor.resident_bytes() >> 20, executor.cpu_seconds(),
                  int64_t{executor.heartbeat_age_ms()}, executor.engine_version(),
                  executor.executor_id(), LeftOut(executor)});
  }
  table.Print(output, console.out);
  if (response->executors().empty()) {
    console.Note("no executors; start one with: millrace-executor --driver " + driver);
  }
  return kExitOk;
}

}  // namespace

void AddExecutorsCommand(CLI::App& app, CommandContext& context) {
  auto driver = std::make_shared<std::string>();
  auto output = std::make_shared<OutputFormat>(OutputFormat::kTable);
  CLI::App* command = AddSubcommand(app, "executors", "List a cluster's executors",
                                    "  millrace executors\n"
                                    "  millrace executors --driver host:7070 --output json");
  AddDriverOption(*command, *driver);
  AddOutputOption(*command, *output);
  command->callback([driver, output, &context] {
    context.action = [driver, output, &context] {
      return RunExecutors(*driver, *output, context.console);
    };
  });
}

}  // namespace millrace::cli
