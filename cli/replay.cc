// millrace replay: one committed batch of a job again, from its entry in a driver's journal.
#include "absl/strings/str_cat.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/job_follower.h"
#include "client/local_engine.h"
#include "common/base/status.h"
#include "common/storage/checkpoint_store.h"
#include "driver/journal/journal_reader.h"
#include "driver/snapshots/replay_records.h"

namespace millrace::cli {
namespace {

struct ReplayOptions {
  std::string job;
  std::string directory;
  int64_t batch = 0;
  uint32_t slots = 0;
  OutputFormat output = OutputFormat::kTable;
};

bool HasFile(const std::string& location, const proto::SnapshotFile& file) {
  const auto store = CheckpointStore::Open(location, FileSystem::Real());
  return store.ok() && (*store)->ReadRange(file.name(), 0, 1).ok();
}

absl::StatusOr<std::vector<proto::JournalRecord>> RecordsOf(const ReplayOptions& options) {
  std::vector<proto::JournalRecord> journal;
  const auto keep = [&](const proto::JournalRecord& record) {
    journal.push_back(record);
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(driver::ReadJournalRecords(FileSystem::Real(), options.directory, keep));
  if (journal.empty()) {
    return absl::NotFoundError(
        absl::StrCat("there is no journal in '", options.directory,
                     "'; --directory names that of the driver, or a copy of it"));
  }
  return driver::ReplayRecords(journal, options.job, BatchId(options.batch), &HasFile);
}

int RunReplay(const ReplayOptions& options, const Console& console) {
  BlockInterrupts();
  DrainOnInterrupt drain(console);
  InterruptListener listener([&drain] { drain.OnInterrupt(); });
  auto records = RecordsOf(options);
  if (!records.ok()) {
    return console.Fail(records.status());
  }
  const std::string name = records->front().job_submitted().name();
  const int64_t base = records->front().job_submitted().base_batch();
  if (base < options.batch - 1) {
    console.Note(absl::StrCat("builds the state from batch ", base + 1, " on"));
  }
  const auto engine =
      client::LocalEngine::Start({.slots = options.slots, .initial_records = *std::move(records)});
  if (!engine.ok()) {
    return console.Fail(engine.status());
  }
  const DrainOnInterrupt::Scope draining(drain, [&engine] { return (*engine)->Drain(); });
  return drain.EndWith(FollowJob((*engine)->client(), name, {.output = options.output}, console));
}

}  // namespace

void AddReplayCommand(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<ReplayOptions>();
  CLI::App* command = AddSubcommand(
      app, "replay", "Run one committed batch of a job again, here, and print its output",
      "  millrace replay words --batch 17 --directory journal\n"
      "Reads the same ranges of the sources again; writes to no sink and publishes no offsets.");
  command->add_option("JOB", options->job, "The job's name or id")->required();
  command->add_option("--batch", options->batch, "The batch's number")
      ->required()
      ->type_name("N")
      ->check(AtLeast(1));
  command
      ->add_option("--directory", options->directory,
                   "The driver's directory, or a copy of it; it is only read")
      ->required();
  command->add_option("--slots", options->slots, "Worker threads; by default the machine's")
      ->type_name("N");
  AddOutputOption(*command, options->output);
  command->callback([options, &context] {
    context.action = [options, &context] { return RunReplay(*options, context.console); };
  });
}

}  // namespace millrace::cli
