// millrace submit: a script to a cluster's driver.
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "client/driver_client.h"

namespace millrace::cli {
namespace {

struct SubmitOptions {
  std::string script;
  std::string name;
  std::string driver;
  std::vector<std::string> settings;
  bool once = false;
  std::string savepoint;
  bool drop_state = false;
  OutputFormat output = OutputFormat::kTable;
};

int RunSubmit(const SubmitOptions& options, const Console& console) {
  const auto settings = ParseSettings(options.settings);
  if (!settings.ok()) {
    return console.Misuse(std::string(settings.status().message()));
  }
  auto script = ReadScript(options.script);
  if (!script.ok()) {
    return console.Fail(script.status());
  }
  proto::SubmitRequest request;
  request.set_sql(*std::move(script));
  request.set_name(options.name);
  request.set_once(options.once);
  request.set_from_savepoint(options.savepoint);
  request.set_drop_state(options.drop_state);
  request.mutable_settings()->insert(settings->begin(), settings->end());
  const auto response = client::DriverClient::ForAddress(options.driver)->Submit(request);
  if (!response.ok()) {
    // What the script says is at fault for INVALID_ARGUMENT only; the rest speaks of driver, Kafka
    // or executors.
    return console.Fail(absl::IsInvalidArgument(response.status())
                            ? InScript(response.status(), options.script)
                            : response.status());
  }
  for (const std::string& notice : response->notices()) {
    console.Note(notice);
  }
  if (options.output == OutputFormat::kJson) {
    const nlohmann::ordered_json json = {{"name", response->name()},
                                         {"job_id", response->job_id()},
                                         {"incarnation", response->incarnation()},
                                         {"resumed", response->resumed()}};
    console.out << json.dump(2) << std::endl;
  } else {
    console.out << (response->resumed() ? "resumed " : "submitted ") << response->name()
                << std::endl;
  }
  return kExitOk;
}

}  // namespace

void AddSubmitCommand(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<SubmitOptions>();
  CLI::App* command = AddSubcommand(
      app, "submit", "Submit a script to a cluster's driver",
      "  millrace submit word_count.sql --name words\n"
      "  millrace submit word_count.sql --set batch_duration='500 ms' --driver host:7070\n"
      "  millrace submit word_count.sql --name words2 --from /backup/words-1");
  command->add_option("FILE", options->script, "The script; - for standard input")->required();
  command->add_option("--name", options->name,
                      "The job's name; by default the script's job_name, or one made up");
  command->add_flag("--once", options->once,
                    "Read up to the present end of the sources, then finish");
  command->add_option("--from", options->savepoint,
                      "Begin with the state and offsets of a savepoint (millrace jobs savepoint)");
  command->add_flag("--drop-state", options->drop_state,
                    "Go on although some state has no place in the script any more");
  AddSetOption(*command, options->settings);
  AddDriverOption(*command, options->driver);
  AddOutputOption(*command, options->output);
  command->callback([options, &context] {
    context.action = [options, &context] { return RunSubmit(*options, context.console); };
  });
}

}  // namespace millrace::cli
