// millrace consume: what is in a topic.
#include <atomic>
#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/kafka_options.h"
#include "cli/text_table.h"
#include "common/base/status.h"
#include "connectors/formats/utf8.h"

namespace millrace::cli {
namespace {

struct ConsumeOptions {
  KafkaOptions kafka;
  std::string topic;
  std::string from = "earliest";
  std::string until;
  int64_t count = 0;
  int32_t partition = -1;
  OutputFormat output = OutputFormat::kTable;
};

// One run: what to ask Kafka for, and which of the records to print.
class Consumption {
 public:
  Consumption(const ConsumeOptions& options, const Console& console)
      : options_(options), console_(console) {}

  absl::Status Run(const kafka::KafkaProperties& properties);

 private:
  // An offset is meant for every partition: the table option wants each of them.
  absl::Status ResolveFrom(const kafka::KafkaTopicDescription& topic);
  // Where each partition's reading ends; empty: nowhere.
  absl::Status ResolveUntil(const kafka::KafkaTopicDescription& topic);
  bool OnRecord(const kafka::KafkaRecordView& record);
  void Print(const kafka::KafkaRecordView& record);
  void PrintJson(const kafka::KafkaRecordView& record);

  const ConsumeOptions& options_;
  const Console& console_;
  kafka::KafkaConsumeRequest request_;
  std::map<int32_t, int64_t> ends_;  // partitions that are not done yet, with their end
  bool bounded_ = false;
  int64_t printed_ = 0;
};

absl::Status Consumption::ResolveFrom(const kafka::KafkaTopicDescription& topic) {
  int64_t offset = 0;
  request_.start = options_.from;
  if (absl::SimpleAtoi(options_.from, &offset)) {
    request_.start = "offsets:";
    for (const auto& partition : topic.partitions) {
      // Beyond what there is would be an error of Kafka's; here it means that there is nothing yet.
      const int64_t start = std::clamp(offset, partition.earliest, partition.high_watermark);
      absl::StrAppend(&request_.start, request_.start.back() == ':' ? "" : ",", partition.id, ":",
                      start);
    }
  }
  return absl::OkStatus();
}

absl::Status Consumption::ResolveUntil(const kafka::KafkaTopicDescription& topic) {
  int64_t offset = INT64_MAX;
  bounded_ = !options_.until.empty();
  request_.follow = !bounded_;
  if (!bounded_) {
    return absl::OkStatus();
  }
  if (options_.until != "end" && !absl::SimpleAtoi(options_.until, &offset)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--until ", options_.until, ": expected end or an offset"));
  }
  for (const auto& partition : topic.partitions) {
    if (options_.partition < 0 || partition.id == options_.partition) {
      ends_[partition.id] = offset;
    }
  }
  return absl::OkStatus();
}

absl::Status Consumption::Run(const kafka::KafkaProperties& properties) {
  ASSIGN_OR_RETURN(const auto admin, kafka::KafkaAdmin::Create(properties));
  ASSIGN_OR_RETURN(const auto topic, admin->DescribeTopic(options_.topic, kKafkaTimeout));
  if (options_.partition >= static_cast<int32_t>(topic.partitions.size())) {
    return absl::NotFoundError(absl::StrCat("topic ", options_.topic, " has no partition ",
                                            options_.partition, "; it has ",
                                            topic.partitions.size(), ", counted from 0"));
  }
  RETURN_IF_ERROR(ResolveFrom(topic));
  RETURN_IF_ERROR(ResolveUntil(topic));
  request_.topic = options_.topic;
  if (console_.out_is_terminal && options_.output == OutputFormat::kTable) {
    console_.out << "partition\toffset\tkey\tvalue" << std::endl;
  }
  std::atomic<bool> interrupted = false;
  const InterruptListener listener([&interrupted] { interrupted = true; });
  RETURN_IF_ERROR(kafka::ConsumeKafka(
      properties, request_, kKafkaTimeout,
      [this](const kafka::KafkaRecordView& record) { return OnRecord(record); },
      [&interrupted, this] {
        console_.out.flush();  // nothing has come for a while: show what there is
        return interrupted.load();
      }));
  console_.out.flush();
  return absl::OkStatus();
}

bool Consumption::OnRecord(const kafka::KafkaRecordView& record) {
  if (options_.partition >= 0 && record.partition != options_.partition) {
    return true;
  }
  if (bounded_) {
    const auto end = ends_.find(record.partition);
    if (end == ends_.end()) {
      return true;
    }
    if (record.offset >= end->second) {
      ends_.erase(end);
      return !ends_.empty();
    }
  }
  options_.output == OutputFormat::kJson ? PrintJson(record) : Print(record);
  ++printed_;
  return printed_ != options_.count && console_.out.good();
}

void Consumption::Print(const kafka::KafkaRecordView& record) {
  console_.out << record.partition << '\t' << record.offset << '\t'
               << (record.key ? Printable(*record.key) : "") << '\t'
               << (record.value ? Printable(*record.value) : "") << '\n';
}

// A member for text; for bytes that are none, "NAME_base64" instead, so that nothing is lost.
void AddBytes(const std::string& name, const std::optional<std::string_view>& bytes,
              nlohmann::ordered_json* json) {
  if (!bytes.has_value()) {
    (*json)[name] = nullptr;
  } else if (IsText(*bytes)) {
    (*json)[name] = std::string(*bytes);
  } else {
    (*json)[name + "_base64"] = absl::Base64Escape(ToAbsl(*bytes));
  }
}

void Consumption::PrintJson(const kafka::KafkaRecordView& record) {
  nlohmann::ordered_json json = {{"partition", record.partition},
                                 {"offset", record.offset},
                                 {"timestamp_ms", record.timestamp_ms}};
  AddBytes("key", record.key, &json);
  AddBytes("value", record.value, &json);
  console_.out << json.dump() << '\n';
}

int RunConsume(const ConsumeOptions& options, const Console& console) {
  BlockInterrupts();
  const auto properties = ToProperties(options.kafka);
  if (!properties.ok()) {
    return console.Misuse(ToStd(properties.status().message()));
  }
  const absl::Status status = Consumption(options, console).Run(*properties);
  return status.ok() ? kExitOk : console.Fail(status);
}

}  // namespace

void AddConsumeCommand(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<ConsumeOptions>();
  CLI::App* command =
      AddSubcommand(app, "consume", "Print the records of a topic: partition, offset, key, value",
                    "  millrace consume test --until end\n"
                    "  millrace consume test --from latest\n"
                    "  millrace consume test --partition 0 --from 100 --until 200 --output json\n"
                    "  millrace consume test --from timestamp:2025-03-01T12:00:00Z --count 10");
  command->add_option("TOPIC", options->topic, "The topic's name")->required();
  command
      ->add_option("--from", options->from,
                   "earliest, latest, an offset, timestamp:TIME or offsets:PARTITION:OFFSET,...")
      ->type_name("POSITION")
      ->capture_default_str();
  command
      ->add_option("--until", options->until,
                   "end (of what there is now) or an offset; by default for ever")
      ->type_name("POSITION");
  command->add_option("--count", options->count, "Stop after so many records")
      ->type_name("N")
      ->check(AtLeast(1));
  command->add_option("--partition", options->partition, "Only this partition")
      ->type_name("N")
      ->check(AtLeast(0));
  AddKafkaOptions(*command, options->kafka);
  AddOutputOption(*command, options->output);
  command->callback([options, &context] {
    context.action = [options, &context] { return RunConsume(*options, context.console); };
  });
}

}  // namespace millrace::cli
