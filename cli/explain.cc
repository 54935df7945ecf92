// millrace explain: a script's plan, without running it and without a driver.
#include <google/protobuf/util/json_util.h>

#include "absl/strings/str_cat.h"
#include "cli/command.h"
#include "client/local_engine.h"
#include "sql/planner.h"

namespace millrace::cli {
namespace {

struct ExplainOptions {
  std::string script;
  std::vector<std::string> settings;
  OutputFormat output = OutputFormat::kTable;
};

int PrintPlanJson(const proto::JobPlan& plan, const Console& console) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  std::string json;
  if (const auto status = google::protobuf::util::MessageToJsonString(plan, &json, options);
      !status.ok()) {
    return console.Fail(
        absl::InternalError(absl::StrCat("cannot print the plan: ", status.ToString())));
  }
  console.out << json << std::flush;
  return kExitOk;
}

int RunExplain(const ExplainOptions& options, const Console& console) {
  const auto settings = ParseSettings(options.settings);
  if (!settings.ok()) {
    return console.Misuse(std::string(settings.status().message()));
  }
  const auto script = ReadScript(options.script);
  if (!script.ok()) {
    return console.Fail(script.status());
  }
  const auto planned = sql::PlanScript(*script, {.settings = *settings,
                                                 .connectors = &client::AllConnectors(),
                                                 .functions = &FunctionRegistry::BuiltIn()});
  if (!planned.ok()) {
    return console.Fail(InScript(planned.status(), options.script));
  }
  for (const std::string& notice : planned->notices) {
    console.Note(notice);
  }
  if (options.output == OutputFormat::kJson) {
    return PrintPlanJson(planned->plan, console);
  }
  console.out << (planned->explain_only ? planned->explain_text : sql::ExplainPlan(planned->plan))
              << std::flush;
  return kExitOk;
}

}  // namespace

void AddExplainCommand(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<ExplainOptions>();
  CLI::App* command = AddSubcommand(app, "explain", "Show the plan of a script without running it",
                                    "  millrace explain examples/word_count.sql");
  command->add_option("FILE", options->script, "The script; - for standard input")->required();
  AddSetOption(*command, options->settings);
  AddOutputOption(*command, options->output);
  command->callback([options, &context] {
    context.action = [options, &context] { return RunExplain(*options, context.console); };
  });
}

}  // namespace millrace::cli
