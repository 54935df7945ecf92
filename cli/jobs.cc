// millrace jobs list|show|stop|cancel|savepoint|logs: a cluster's jobs.
#include <google/protobuf/util/json_util.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/result_printer.h"
#include "cli/text_table.h"
#include "client/driver_client.h"

namespace millrace::cli {
namespace {

struct JobsOptions {
  std::string job;
  std::string driver;
  OutputFormat output = OutputFormat::kTable;
  bool follow = false;
  int64_t from_batch = 0;
  std::string location;
};

int RunList(const JobsOptions& options, const Console& console) {
  const auto response = client::DriverClient::ForAddress(options.driver)->List();
  if (!response.ok()) {
    return console.Fail(response.status());
  }
  TextTable table({{"name", "name"},
                   {"phase", "phase"},
                   {"batch", "committed_batch"},
                   {"records", "records"},
                   {"records/s", "records_per_second"},
                   {"lag", "lag_records"},
                   {"skipped", "skipped_records"},
                   {"lost", "lost_records"},
                   {"retired", "retired_partitions"},
                   {"restarts", "restarts"},
                   {"submitted", "submitted_at"},
                   {"message", "message"}});
  for (const proto::JobSummary& job : response->jobs()) {
    table.AddRow({job.name(), client::PhaseName(job.phase()), int64_t{job.committed_batch()},
                  int64_t{job.records()}, job.records_per_second(), int64_t{job.lag_records()},
                  int64_t{job.skipped_records()}, int64_t{job.lost_records()},
                  int64_t{job.retired_partitions()}, int64_t{job.restarts()},
                  TimeText(job.submitted_at_us(), options.output), Printable(job.message())});
  }
  table.Print(options.output, console.out);
  return kExitOk;
}

void PrintSummary(const proto::JobDetail& detail, std::ostream& out) {
  const proto::JobSummary& job = detail.summary();
  out << "name       " << job.name() << "\nid         " << job.job_id() << "\nphase      "
      << client::PhaseName(job.phase());
  if (!job.message().empty()) {
    out << " (" << job.message() << ")";
  }
  out << "\nsubmitted  " << TimeText(job.submitted_at_us(), OutputFormat::kTable) << "\nepoch      "
      << job.epoch() << "\nrestarts   " << job.restarts() << "\nbatch      "
      << job.committed_batch() << "\nrecords    " << WithThousands(job.records()) << " ("
      << WithThousands(static_cast<int64_t>(job.records_per_second())) << "/s)\nlag        "
      << WithThousands(job.lag_records()) << "\nskipped    "
      << WithThousands(job.skipped_records());
  if (!detail.first_skipped().empty()) {
    out << " (first: " << detail.first_skipped() << ")";
  }
  if (job.lost_records() > 0) {
    out << "\nlost       " << WithThousands(job.lost_records());
  }
  if (job.retired_partitions() > 0) {
    out << "\nretired    " << WithThousands(job.retired_partitions())
        << " partitions (millrace lag says why)";
  }
  out << "\nstate      " << WithThousands(detail.state_rows()) << " rows, "
      << WithThousands(detail.state_bytes()) << " bytes\n";
  if (job.snapshot_batch() > 0) {
    out << "snapshot   of batch " << job.snapshot_batch() << "\n";
  }
}

void PrintRecentBatches(const proto::JobDetail& detail, std::ostream& out) {
  TextTable table({{"batch", "batch"},
                   {"time", "time"},
                   {"records", "records"},
                   {"plan to prepared ms", "plan_to_prepared_ms"},
                   {"tick to committed ms", "tick_to_committed_ms"}});
  for (const proto::BatchSummary& batch : detail.recent()) {
    table.AddRow({int64_t{batch.batch()}, TimeText(batch.batch_time_us(), OutputFormat::kTable),
                  int64_t{batch.records()}, static_cast<double>(batch.plan_to_prepared_us()) / 1000,
                  static_cast<double>(batch.tick_to_committed_us()) / 1000});
  }
  out << "\nlast batches\n";
  table.Print(OutputFormat::kTable, out);
}

int RunShow(const JobsOptions& options, const Console& console) {
  const auto detail = client::DriverClient::ForAddress(options.driver)->Show(options.job);
  if (!detail.ok()) {
    return console.Fail(detail.status());
  }
  if (options.output == OutputFormat::kJson) {
    google::protobuf::util::JsonPrintOptions json_options;
    json_options.add_whitespace = true;
    json_options.preserve_proto_field_names = true;
    json_options.always_print_primitive_fields = true;
    std::string json;
    if (const auto status =
            google::protobuf::util::MessageToJsonString(*detail, &json, json_options);
        !status.ok()) {
      return console.Fail(
          absl::InternalError(absl::StrCat("cannot print the answer: ", status.ToString())));
    }
    console.out << json << std::flush;
    return kExitOk;
  }
  PrintSummary(*detail, console.out);
  if (detail->recent_size() > 0) {
    PrintRecentBatches(*detail, console.out);
  }
  console.out << "\nsettings\n";
  for (const auto& [name, value] :
       std::map<std::string, std::string>(detail->settings().begin(), detail->settings().end())) {
    console.out << "  " << name << " = " << value << "\n";
  }
  console.out << "\nplan\n" << detail->plan_text() << "\nscript\n" << detail->sql() << std::endl;
  return kExitOk;
}

int RunStop(const JobsOptions& options, bool cancel, const Console& console) {
  const auto response = client::DriverClient::ForAddress(options.driver)->Stop(options.job, cancel);
  if (!response.ok()) {
    return console.Fail(response.status());
  }
  console.out << options.job << ": " << client::PhaseName(response->phase()) << std::endl;
  return kExitOk;
}

int RunSavepoint(const JobsOptions& options, const Console& console) {
  const auto response =
      client::DriverClient::ForAddress(options.driver)->Savepoint(options.job, options.location);
  if (!response.ok()) {
    return console.Fail(response.status());
  }
  if (options.output == OutputFormat::kJson) {
    const nlohmann::ordered_json json = {{"location", response->location()},
                                         {"batch", response->batch()},
                                         {"bytes", response->bytes()}};
    console.out << json.dump(2) << std::endl;
  } else {
    console.out << response->location() << std::endl;
    console.Note(absl::StrCat("state after batch ", response->batch(), ", ",
                              WithThousands(static_cast<int64_t>(response->bytes())), " bytes"));
  }
  return kExitOk;
}

int RunLogs(const JobsOptions& options, const Console& console) {
  proto::ResultsRequest request;
  request.set_name(options.job);
  request.set_follow(options.follow);
  request.set_from_batch(options.from_batch);
  ResultPrinter printer(console, options.output, /*show_empty=*/false);
  absl::Status printed;
  bool failed = false;
  const absl::Status status = client::DriverClient::ForAddress(options.driver)
                                  ->Results(request, [&](const proto::BatchResults& batch) {
                                    printed = printer.Print(batch);
                                    if (batch.phase() == proto::PHASE_FAILED) {
                                      failed = true;
                                      printed.Update(absl::InternalError(absl::StrCat(
                                          "job ", options.job, " failed: ", batch.message())));
                                    }
                                    return printed.ok() && console.out.good();
                                  });
  if (!status.ok() || !printed.ok()) {
    return console.Fail(status.ok() ? printed : status);
  }
  return failed ? kExitFailed : kExitOk;
}

using JobAction = int (*)(const JobsOptions&, const Console&);

CLI::App* AddJobAction(CLI::App& jobs, CommandContext& context,
                       const std::shared_ptr<JobsOptions>& options, const char* name,
                       const char* description, const char* example, JobAction action) {
  CLI::App* command = AddSubcommand(jobs, name, description, example);
  AddDriverOption(*command, options->driver);
  command->callback([options, action, &context] {
    context.action = [options, action, &context] { return action(*options, context.console); };
  });
  return command;
}

}  // namespace

void AddJobsCommand(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<JobsOptions>();
  CLI::App* jobs =
      AddSubcommand(app, "jobs", "List, show and end a cluster's jobs",
                    "  millrace jobs list\n  millrace jobs show words\n  millrace jobs stop words");
  jobs->require_subcommand(1);
  CLI::App* list = AddJobAction(*jobs, context, options, "list", "All jobs, ended ones too",
                                "  millrace jobs list --output json", &RunList);
  AddOutputOption(*list, options->output);

  CLI::App* show = AddJobAction(*jobs, context, options, "show",
                                "One job: phase, last batches, settings, plan, script",
                                "  millrace jobs show words", &RunShow);
  AddOutputOption(*show, options->output);
  CLI::App* stop = AddJobAction(
      *jobs, context, options, "stop", "Finish the batches under way and stop; can be resumed",
      "  millrace jobs stop words",
      [](const JobsOptions& o, const Console& c) { return RunStop(o, false, c); });
  CLI::App* cancel =
      AddJobAction(*jobs, context, options, "cancel", "End at once; cannot be resumed",
                   "  millrace jobs cancel words",
                   [](const JobsOptions& o, const Console& c) { return RunStop(o, true, c); });
  CLI::App* logs =
      AddJobAction(*jobs, context, options, "logs", "What the job's print sinks have shown",
                   "  millrace jobs logs words --follow", &RunLogs);
  AddOutputOption(*logs, options->output);
  logs->add_flag("--follow,-f", options->follow,
                 "Go on with each batch as it commits, until the job ends");
  logs->add_option("--from-batch", options->from_batch,
                   "The first batch to show; by default as far back as is kept")
      ->type_name("N")
      ->check(AtLeast(0));
  CLI::App* savepoint = AddJobAction(
      *jobs, context, options, "savepoint", "Copy the job's state and offsets to a directory",
      "  millrace jobs savepoint words\n"
      "  millrace jobs savepoint words --location /backup/words-1\n"
      "  millrace submit words.sql --name words2 --from /backup/words-1",
      &RunSavepoint);
  AddOutputOption(*savepoint, options->output);
  savepoint->add_option("--location", options->location,
                        "A directory that does not exist yet; by default one beside the snapshots");
  for (CLI::App* command : {show, stop, cancel, savepoint, logs}) {
    command->add_option("JOB", options->job, "The job's name or id")->required();
  }
}

}  // namespace millrace::cli
