// millrace lag: how far a job is behind, partition by partition.
#include "cli/command.h"
#include "cli/text_table.h"
#include "client/driver_client.h"

namespace millrace::cli {
namespace {

struct LagOptions {
  std::string job;
  std::string driver;
  OutputFormat output = OutputFormat::kTable;
};

int RunLag(const LagOptions& options, const Console& console) {
  const auto response = client::DriverClient::ForAddress(options.driver)->Lag(options.job);
  if (!response.ok()) {
    return console.Fail(response.status());
  }
  TextTable table({{"table", "table"},
                   {"partition", "partition"},
                   {"committed", "committed"},
                   {"stable end", "stable_end"},
                   {"high watermark", "high_watermark"},
                   {"lag", "lag"},
                   {"executor", "executor"},
                   {"retired", "retired"}});
  for (const auto& partition : response->partitions()) {
    table.AddRow({partition.table(), partition.partition(), int64_t{partition.committed()},
                  int64_t{partition.stable_end()}, int64_t{partition.high_watermark()},
                  int64_t{partition.lag()}, partition.executor(), partition.retired()});
  }
  table.Print(options.output, console.out);
  return kExitOk;
}

}  // namespace

void AddLagCommand(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<LagOptions>();
  CLI::App* command =
      AddSubcommand(app, "lag", "Show how far a job is behind its sources, by partition",
                    "  millrace lag words\n  millrace lag words --output json");
  command->add_option("JOB", options->job, "The job's name or id")->required();
  AddDriverOption(*command, options->driver);
  AddOutputOption(*command, options->output);
  command->callback([options, &context] {
    context.action = [options, &context] { return RunLag(*options, context.console); };
  });
}

}  // namespace millrace::cli
