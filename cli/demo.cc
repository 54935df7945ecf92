// millrace demo: a Kafka, a producer and the word count in this process; nothing to install or
// configure.
#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/job_follower.h"
#include "client/local_engine.h"
#include "common/base/status.h"
#include "common/base/units.h"
#include "connectors/kafka/testing/mock_cluster.h"

namespace millrace::cli {
namespace {

struct DemoOptions {
  int64_t batches = 0;
  double rate = 1000;
  std::string batch_duration = "2 s";
};

constexpr int kPartitions = 4;

// Counted per batch: GROUP BY word alone would let the counts run on.
constexpr char kScript[] = R"(SET job_name = 'demo';
SET batch_duration = '$DURATION';
CREATE TABLE lines (value text)
  WITH (connector = 'kafka', "bootstrap.servers" = '$BROKER', topic = 'test', format = 'raw');
CREATE TABLE counts (word text, count bigint) WITH (connector = 'print');
INSERT INTO counts
  SELECT word, count(*) FROM lines, regexp_split_to_table(value, '\s+') AS word GROUP BY word, batch_time();
)";

constexpr std::array<const char*, 8> kLines = {
    "the mill turns as the water runs",  "water runs down the race to the wheel",
    "the wheel turns the stone",         "grain falls and flour comes",
    "a race of water never waits",       "the stone waits for grain",
    "flour for bread and bread for all", "down the race the water runs again",
};

std::string LineText(int64_t number) {
  // Neighbouring lines differ and every line comes up: 5 and 8 have no common factor.
  return kLines[static_cast<size_t>(number * 5 % static_cast<int64_t>(kLines.size()))];
}

absl::StatusOr<std::string> Prepare(const DemoOptions& options, kafka::MockKafkaCluster& kafka) {
  RETURN_IF_ERROR(kafka.CreateTopic("test", kPartitions));
  return absl::StrReplaceAll(
      kScript, {{"$DURATION", options.batch_duration}, {"$BROKER", kafka.bootstrap_servers()}});
}

absl::StatusOr<int> Demo(const DemoOptions& options, const Console& console) {
  DrainOnInterrupt drain(console);
  const InterruptListener listener([&drain] { drain.OnInterrupt(); });
  ASSIGN_OR_RETURN(const auto kafka, kafka::StartMockKafkaCluster());
  ASSIGN_OR_RETURN(const std::string script, Prepare(options, *kafka));
  ASSIGN_OR_RETURN(const auto engine, client::LocalEngine::Start({}));
  proto::SubmitRequest request;
  request.set_sql(script);
  ASSIGN_OR_RETURN(const auto job, engine->client().Submit(request));
  const DrainOnInterrupt::Scope draining(drain, [&engine] { return engine->Drain(); });
  console.Note(absl::StrCat("Kafka inside this process at ", kafka->bootstrap_servers(),
                            ", topic test, ", WithThousands(static_cast<int64_t>(options.rate)),
                            " lines/s; the job:\n", script,
                            options.batches > 0 ? "" : "Ctrl-C ends it.\n"));
  ASSIGN_OR_RETURN(
      const auto producer,
      kafka::StartSteadyProducer(kafka->bootstrap_servers(), "test", options.rate, &LineText));
  return drain.EndWith(
      FollowJob(engine->client(), job.name(), {.max_batches = options.batches}, console));
}

int RunDemo(const DemoOptions& options, const Console& console) {
  if (const auto duration = ParseDuration(options.batch_duration); !duration.ok()) {
    return console.Misuse(absl::StrCat("--batch-duration: ", duration.status().message()));
  }
  BlockInterrupts();
  const auto code = Demo(options, console);
  return code.ok() ? *code : console.Fail(code.status());
}

}  // namespace

void AddDemoCommand(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<DemoOptions>();
  CLI::App* command = AddSubcommand(
      app, "demo", "Count words from a Kafka inside this process; nothing to install",
      "  millrace demo\n  millrace demo --batches 5 --rate 10000 --batch-duration '500 ms'");
  command
      ->add_option("--batches", options->batches,
                   "Stop after so many batches; by default at Ctrl-C")
      ->type_name("N")
      ->check(AtLeast(1));
  command->add_option("--rate", options->rate, "Lines per second")
      ->type_name("N")
      ->check(CLI::Range(1.0, 1e6))
      ->capture_default_str();
  command->add_option("--batch-duration", options->batch_duration, "Time from batch to batch")
      ->type_name("DURATION")
      ->capture_default_str();
  command->callback([options, &context] {
    context.action = [options, &context] { return RunDemo(*options, context.console); };
  });
}

}  // namespace millrace::cli
