// millrace topics create|list|describe|delete.
#include <algorithm>
#include <functional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/command.h"
#include "cli/kafka_options.h"
#include "cli/text_table.h"
#include "common/base/status.h"

namespace millrace::cli {
namespace {

struct TopicsOptions {
  KafkaOptions kafka;
  std::string topic;
  int32_t partitions = 1;
  int32_t replication = -1;
  std::vector<std::string> config;
  OutputFormat output = OutputFormat::kTable;
};

absl::Status Create(kafka::KafkaAdmin& admin, const TopicsOptions& options,
                    const Console& console) {
  ASSIGN_OR_RETURN(const auto config, ParsePairs(options.config, "--config"));
  RETURN_IF_ERROR(admin.CreateTopic({.name = options.topic,
                                     .partitions = options.partitions,
                                     .replication = options.replication,
                                     .config = config},
                                    kKafkaTimeout));
  console.out << "created " << options.topic << std::endl;
  return absl::OkStatus();
}

absl::Status List(kafka::KafkaAdmin& admin, const TopicsOptions& options, const Console& console) {
  ASSIGN_OR_RETURN(const auto topics, admin.ListTopics(kKafkaTimeout));
  TextTable table({{"topic", "topic"}, {"partitions", "partitions"}, {"replicas", "replicas"}});
  for (const kafka::KafkaTopicDescription& topic : topics) {
    size_t replicas = 0;
    for (const auto& partition : topic.partitions) {
      replicas = std::max(replicas, partition.replicas.size());
    }
    table.AddRow({topic.name, static_cast<int64_t>(topic.partitions.size()),
                  static_cast<int64_t>(replicas)});
  }
  table.Print(options.output, console.out);
  return absl::OkStatus();
}

absl::Status Describe(kafka::KafkaAdmin& admin, const TopicsOptions& options,
                      const Console& console) {
  ASSIGN_OR_RETURN(const kafka::KafkaTopicDescription topic,
                   admin.DescribeTopic(options.topic, kKafkaTimeout));
  TextTable table({{"partition", "partition"},
                   {"begin", "begin"},
                   {"end", "end"},
                   {"high watermark", "high_watermark"},
                   {"leader", "leader"},
                   {"replicas", "replicas"},
                   {"in sync", "in_sync"}});
  for (const auto& partition : topic.partitions) {
    table.AddRow({int64_t{partition.id}, partition.earliest, partition.stable_end,
                  partition.high_watermark, int64_t{partition.leader},
                  absl::StrJoin(partition.replicas, ","), absl::StrJoin(partition.in_sync, ",")});
  }
  table.Print(options.output, console.out);
  if (options.output == OutputFormat::kTable) {
    ASSIGN_OR_RETURN(const auto config, admin.TopicConfig(options.topic, kKafkaTimeout));
    for (const auto& [name, value] : config) {
      console.out << name << " = " << value << "\n";
    }
  }
  return absl::OkStatus();
}

absl::Status Delete(kafka::KafkaAdmin& admin, const TopicsOptions& options,
                    const Console& console) {
  RETURN_IF_ERROR(admin.DeleteTopic(options.topic, kKafkaTimeout));
  console.out << "deleted " << options.topic << std::endl;
  return absl::OkStatus();
}

using TopicAction = absl::Status (*)(kafka::KafkaAdmin&, const TopicsOptions&, const Console&);

int RunAction(TopicAction action, const TopicsOptions& options, const Console& console) {
  const auto properties = ToProperties(options.kafka);
  if (!properties.ok()) {
    return console.Misuse(ToStd(properties.status().message()));
  }
  const auto admin = kafka::KafkaAdmin::Create(*properties);
  const absl::Status status = admin.ok() ? action(**admin, options, console) : admin.status();
  return status.ok() ? kExitOk : console.Fail(status);
}

CLI::App* AddTopicAction(CLI::App& topics, CommandContext& context,
                         const std::shared_ptr<TopicsOptions>& options, const char* name,
                         const char* description, const char* example, TopicAction action) {
  CLI::App* command = AddSubcommand(topics, name, description, example);
  AddKafkaOptions(*command, options->kafka);
  command->callback([options, action, &context] {
    context.action = [options, action, &context] {
      return RunAction(action, *options, context.console);
    };
  });
  return command;
}

}  // namespace

void AddTopicsCommand(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<TopicsOptions>();
  CLI::App* topics =
      AddSubcommand(app, "topics", "Create, list, describe and delete Kafka topics",
                    "  millrace topics create test --partitions 4\n  millrace topics list");
  topics->require_subcommand(1);
  CLI::App* create =
      AddTopicAction(*topics, context, options, "create", "Make a topic",
                     "  millrace topics create test --partitions 4 --replication 3 --config "
                     "min.insync.replicas=2",
                     &Create);
  CLI::App* list = AddTopicAction(*topics, context, options, "list", "All topics but Kafka's own",
                                  "  millrace topics list --output json", &List);
  CLI::App* describe =
      AddTopicAction(*topics, context, options, "describe",
                     "A topic's partitions: offsets, leaders, replicas; and its settings",
                     "  millrace topics describe test", &Describe);
  CLI::App* remove =
      AddTopicAction(*topics, context, options, "delete", "Delete a topic and its records",
                     "  millrace topics delete test", &Delete);
  for (CLI::App* command : {create, describe, remove}) {
    command->add_option("TOPIC", options->topic, "The topic's name")->required();
  }
  for (CLI::App* command : {list, describe}) {
    AddOutputOption(*command, options->output);
  }
  create->add_option("--partitions", options->partitions, "How many partitions")
      ->type_name("N")
      ->check(AtLeast(1))
      ->capture_default_str();
  create
      ->add_option("--replication", options->replication,
                   "Copies of each partition; by default the broker's setting")
      ->type_name("N")
      ->check(AtLeast(1));
  create->add_option("--config", options->config, "A setting of the topic. May be repeated")
      ->type_name("NAME=VALUE")
      ->expected(1)
      ->take_all();
}

}  // namespace millrace::cli
