// millrace produce: lines of standard input as records.
#include <iostream>

#include "cli/command.h"
#include "cli/kafka_options.h"
#include "common/base/status.h"

namespace millrace::cli {
namespace {

constexpr absl::Duration kFlushTimeout = absl::Seconds(60);

struct ProduceOptions {
  KafkaOptions kafka;
  std::string topic;
  int32_t partition = -1;
  bool no_key = false;
};

absl::Status SendLine(kafka::KafkaRecordProducer& producer, std::string_view line,
                      const ProduceOptions& options) {
  const size_t tab = options.no_key ? std::string_view::npos : line.find('\t');
  if (tab == std::string_view::npos) {
    return producer.Send(std::nullopt, line, options.partition);
  }
  return producer.Send(line.substr(0, tab), line.substr(tab + 1), options.partition);
}

absl::Status ProduceLines(const kafka::KafkaProperties& properties, const ProduceOptions& options,
                          const Console& console) {
  ASSIGN_OR_RETURN(const auto producer,
                   kafka::NewKafkaRecordProducer(properties, options.topic, kKafkaTimeout));
  int64_t lines = 0;
  for (std::string line; std::getline(std::cin, line); ++lines) {
    RETURN_IF_ERROR(SendLine(*producer, line, options));
  }
  RETURN_IF_ERROR(producer->Flush(kFlushTimeout));
  if (console.err_is_terminal) {
    console.Note(WithThousands(lines) + (lines == 1 ? " record" : " records"));
  }
  return absl::OkStatus();
}

int RunProduce(const ProduceOptions& options, const Console& console) {
  const auto properties = ToProperties(options.kafka);
  if (!properties.ok()) {
    return console.Misuse(ToStd(properties.status().message()));
  }
  const absl::Status status = ProduceLines(*properties, options, console);
  return status.ok() ? kExitOk : console.Fail(status);
}

}  // namespace

void AddProduceCommand(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<ProduceOptions>();
  CLI::App* command = AddSubcommand(
      app, "produce", "Write the lines of standard input to a topic, a record each",
      "  echo \"to be or not to be\" | millrace produce test\n"
      "  printf 'key\\tvalue\\n' | millrace produce test\n"
      "A line with a TAB is key<TAB>value; keys choose the partition as Java's producer does.");
  command->add_option("TOPIC", options->topic, "The topic's name")->required();
  command->add_flag("--no-key", options->no_key, "The whole line is the value, whatever it holds");
  command->add_option("--partition", options->partition, "All records to this partition")
      ->type_name("N")
      ->check(AtLeast(0));
  AddKafkaOptions(*command, options->kafka);
  command->callback([options, &context] {
    context.action = [options, &context] { return RunProduce(*options, context.console); };
  });
}

}  // namespace millrace::cli
