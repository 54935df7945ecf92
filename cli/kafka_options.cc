#include "cli/kafka_options.h"

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace millrace::cli {

void AddKafkaOptions(CLI::App& command, KafkaOptions& options) {
  options.bootstrap = "localhost:9092";
  command.add_option("--bootstrap", options.bootstrap, "The Kafka cluster")
      ->envname("MILLRACE_BOOTSTRAP")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  command
      .add_option("--property", options.properties,
                  "A librdkafka property, e.g. for security. May be repeated")
      ->type_name("NAME=VALUE")
      ->expected(1)
      ->take_all();
}

absl::StatusOr<std::map<std::string, std::string>> ParsePairs(const std::vector<std::string>& pairs,
                                                              const std::string& option) {
  std::map<std::string, std::string> map;
  for (const std::string& pair : pairs) {
    const size_t equals = pair.find('=');
    if (equals == std::string::npos || equals == 0) {
      return absl::InvalidArgumentError(absl::StrCat(option, " ", pair, ": expected NAME=VALUE"));
    }
    map[pair.substr(0, equals)] = pair.substr(equals + 1);
  }
  return map;
}

absl::StatusOr<kafka::KafkaProperties> ToProperties(const KafkaOptions& options) {
  ASSIGN_OR_RETURN(kafka::KafkaProperties properties, ParsePairs(options.properties, "--property"));
  properties["bootstrap.servers"] = options.bootstrap;
  return properties;
}

}  // namespace millrace::cli
