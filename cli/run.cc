// millrace run: a script here, driver and executor in this process.
#include <filesystem>
#include <optional>

#include "absl/strings/str_cat.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/job_follower.h"
#include "client/local_engine.h"
#include "common/base/status.h"
#include "common/base/utf8.h"
#include "connectors/registry.h"
#include "sql/planner.h"

namespace millrace::cli {
namespace {

struct RunOptions {
  std::string script;
  std::vector<std::string> settings;
  std::string metrics;
  uint32_t slots = 0;
  bool once = false;
  OutputFormat output = OutputFormat::kTable;
};

// Where the script (or --set) keeps the job's journal; empty if nowhere.
std::string CheckpointLocation(const proto::JobPlan& plan) {
  const auto found = plan.settings().find("checkpoint_location");
  return found == plan.settings().end() ? "" : found->second;
}

// The job's name if the script gives none: the file's, so that the next run of the same file finds
// its journal. A file's name need not be UTF-8, but a job's name must.
std::string DefaultName(const proto::JobPlan& plan, const std::string& script) {
  const auto found = plan.settings().find("job_name");
  if (found != plan.settings().end() && !found->second.empty()) {
    return "";
  }
  const std::string stem = std::filesystem::path(script).stem().string();
  return script == "-" || stem.empty() || !IsUtf8(stem) ? "job" : stem;
}

int RunPlanned(const RunOptions& options, const proto::SubmitRequest& request,
               const proto::JobPlan& plan, const Console& console) {
  BlockInterrupts();
  DrainOnInterrupt drain(console);
  InterruptListener listener([&drain] { drain.OnInterrupt(); });

  const auto engine = client::LocalEngine::Start({.directory = CheckpointLocation(plan),
                                                  .metrics_address = options.metrics,
                                                  .slots = options.slots});
  if (!engine.ok()) {
    return console.Fail(engine.status());
  }
  const auto job = (*engine)->client().Submit(request);
  if (!job.ok()) {
    return console.Fail(absl::IsInvalidArgument(job.status())
                            ? InScript(job.status(), options.script)
                            : job.status());
  }
  const DrainOnInterrupt::Scope draining(drain, [&engine] { return (*engine)->Drain(); });
  for (const std::string& notice : job->notices()) {
    console.Note(notice);
  }
  if (!options.metrics.empty()) {
    console.Note(absl::StrCat("metrics: http://", (*engine)->metrics_address(), "/metrics"));
  }
  const bool prints = client::AllConnectors().ShowsRows(plan);
  if (!options.once && !prints) {
    console.Note(absl::StrCat("job ", job->name(), " runs; Ctrl-C drains it"));
  }
  return drain.EndWith(FollowJob(
      (*engine)->client(), job->name(),
      {.output = options.output, .progress = options.once || !prints, .summary = options.once},
      console));
}

int RunRun(const RunOptions& options, const Console& console) {
  const auto settings = ParseSettings(options.settings);
  if (!settings.ok()) {
    return console.Misuse(std::string(settings.status().message()));
  }
  auto script = ReadScript(options.script);
  if (!script.ok()) {
    return console.Fail(script.status());
  }
  const auto planned = sql::PlanScript(*script, {.settings = *settings,
                                                 .connectors = &client::AllConnectors(),
                                                 .functions = &FunctionRegistry::BuiltIn()});
  if (!planned.ok()) {
    return console.Fail(InScript(planned.status(), options.script));
  }
  if (planned->explain_only) {
    console.out << planned->explain_text << std::flush;
    return kExitOk;
  }
  proto::SubmitRequest request;
  request.set_sql(*std::move(script));
  request.set_name(DefaultName(planned->plan, options.script));
  request.set_once(options.once);
  request.mutable_settings()->insert(settings->begin(), settings->end());
  return RunPlanned(options, request, planned->plan, console);
}

}  // namespace

void AddRunCommand(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* command = AddSubcommand(
      app, "run", "Run a script here, driver and executor in this process",
      "  millrace run examples/word_count.sql --once\n"
      "  millrace run job.sql --set batch_duration='500 ms' --metrics localhost:9100\n"
      "  echo \"...\" | millrace run -\n"
      "Ctrl-C finishes the batches under way; a second one ends at once.");
  command->add_option("FILE", options->script, "The script; - for standard input")->required();
  command->add_flag("--once", options->once,
                    "Read up to the present end of the sources, then exit");
  AddSetOption(*command, options->settings);
  command->add_option("--metrics", options->metrics, "Serve Prometheus metrics here")
      ->type_name("HOST:PORT");
  command
      ->add_option("--slots", options->slots,
                   "Threads that work; by default one per hardware thread")
      ->type_name("N")
      ->check(AtLeast(1));
  AddOutputOption(*command, options->output);
  command->callback([options, &context] {
    context.action = [options, &context] { return RunRun(*options, context.console); };
  });
}

}  // namespace millrace::cli
