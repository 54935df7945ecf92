// The command line: `millrace COMMAND …`. Parses, then runs the one command that was typed.
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/command.h"
#include "common/base/failpoint.h"
#include "common/base/lock_order.h"

namespace {

// What is wrong with the line. Of a command that is missing or unknown the parser says only that
// one is required: here also which word was none, and which there are.
std::string Explain(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* command = &app;
  while (!command->get_subcommands().empty()) {
    command = command->get_subcommands().back();
  }
  if (error.get_exit_code() != static_cast<int>(CLI::ExitCodes::RequiredError) ||
      command->get_require_subcommand_min() == 0) {
    return error.what();
  }
  std::vector<std::string> names;
  for (const CLI::App* one : command->get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(one->get_name());
  }
  const std::vector<std::string> unknown = app.remaining(/*recurse=*/true);
  return absl::StrCat(unknown.empty() ? "a command is missing"
                                      : absl::StrCat("there is no command '", unknown[0], "'"),
                      " after '", command == &app ? "" : "millrace ", command->get_name(),
                      "'; there are: ", absl::StrJoin(names, ", "));
}

}  // namespace

int main(int argc, char** argv) {
  millrace::IgnoreLockOrder();
  // A reader that goes away (| head) ends a write with an error instead of the process without a
  // word.
  std::signal(SIGPIPE, SIG_IGN);
  // What a driver and an executor in this process log; standard output is for data.
  spdlog::set_default_logger(spdlog::stderr_logger_mt("millrace"));
  spdlog::set_level(spdlog::level::warn);

  CLI::App app("Millrace: continuous SQL over Kafka, in micro-batches.");
  app.name("millrace");
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "Help of all commands");
  app.footer(
      "First steps:\n  millrace demo\n  millrace run examples/word_count.sql --once\nmillrace "
      "COMMAND --help says more.");

  millrace::cli::CommandContext context{.console = millrace::cli::Console::Standard(),
                                        .action = nullptr};
  millrace::cli::AddDemoCommand(app, context);
  millrace::cli::AddRunCommand(app, context);
  millrace::cli::AddReplayCommand(app, context);
  millrace::cli::AddExplainCommand(app, context);
  millrace::cli::AddSubmitCommand(app, context);
  millrace::cli::AddJobsCommand(app, context);
  millrace::cli::AddExecutorsCommand(app, context);
  millrace::cli::AddLagCommand(app, context);
  millrace::cli::AddTopicsCommand(app, context);
  millrace::cli::AddProduceCommand(app, context);
  millrace::cli::AddConsumeCommand(app, context);

  app.add_flag_callback("--list-failpoints",
                        [] {
                          for (const std::string& name : millrace::AllFailpoints()) {
                            std::printf("%s\n", name.c_str());
                          }
                          throw CLI::Success();
                        })
      ->group("");
  if (const absl::Status armed = millrace::ArmFailpointFromEnvironment(); !armed.ok()) {
    return context.console.Misuse(std::string(armed.message()));
  }

  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help, context.console.out, context.console.err);
  } catch (const CLI::ParseError& error) {
    return context.console.Misuse(Explain(app, error) +
                                  "\nRun millrace --help, or millrace COMMAND --help.");
  }
  return context.action();
}
