// How the commands of `millrace` hang together: each file of this folder adds one to the CLI11 app
// and, when it was the one typed, leaves its work in CommandContext::action, which main() runs.
// Thread-compatible.
#ifndef MILLRACE_CLI_COMMAND_H_
#define MILLRACE_CLI_COMMAND_H_

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/console.h"

namespace millrace::cli {

struct CommandContext {
  Console console;
  std::function<int()> action;  // returns an ExitCode
};

void AddDemoCommand(CLI::App& app, CommandContext& context);
void AddReplayCommand(CLI::App& app, CommandContext& context);
void AddRunCommand(CLI::App& app, CommandContext& context);
void AddExplainCommand(CLI::App& app, CommandContext& context);
void AddSubmitCommand(CLI::App& app, CommandContext& context);
void AddJobsCommand(CLI::App& app, CommandContext& context);
void AddTopicsCommand(CLI::App& app, CommandContext& context);
void AddProduceCommand(CLI::App& app, CommandContext& context);
void AddConsumeCommand(CLI::App& app, CommandContext& context);
void AddExecutorsCommand(CLI::App& app, CommandContext& context);
void AddLagCommand(CLI::App& app, CommandContext& context);

// ---- Options that several commands share. The strings are bound to and must outlive parsing. ----

// A subcommand whose --help ends with `examples`.
CLI::App* AddSubcommand(CLI::App& app, std::string name, std::string description,
                        std::string_view examples);
// --output table|json
void AddOutputOption(CLI::App& command, OutputFormat& format);
// --driver HOST:PORT[,HOST:PORT…], else MILLRACE_DRIVER, else localhost:7070
void AddDriverOption(CLI::App& command, std::string& address);
// --set NAME=VALUE, any number of times
void AddSetOption(CLI::App& command, std::vector<std::string>& settings);

// For counts: a whole number ≥ `least`.
CLI::Validator AtLeast(int64_t least);

// The --set options as a map; INVALID_ARGUMENT for one without "=" or with a name or value that
// JobSettings refuses.
absl::StatusOr<std::map<std::string, std::string>> ParseSettings(
    const std::vector<std::string>& settings);

// The text of a script, "-" being standard input; NOT_FOUND names the file and why.
absl::StatusOr<std::string> ReadScript(const std::string& path);

// An error about a script with the file's name in front.
absl::Status InScript(const absl::Status& status, const std::string& path);

}  // namespace millrace::cli

#endif  // MILLRACE_CLI_COMMAND_H_
