// What the Kafka commands share: where the cluster is, and librdkafka's properties.
#ifndef MILLRACE_CLI_KAFKA_OPTIONS_H_
#define MILLRACE_CLI_KAFKA_OPTIONS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cli/command.h"
#include "connectors/kafka/admin/admin.h"

namespace millrace::cli {

// As long as a person waits for an answer.
inline constexpr absl::Duration kKafkaTimeout = absl::Seconds(10);

struct KafkaOptions {
  std::string bootstrap;
  std::vector<std::string> properties;  // NAME=VALUE
};

// --bootstrap (else MILLRACE_BOOTSTRAP, else localhost:9092) and --property.
void AddKafkaOptions(CLI::App& command, KafkaOptions& options);

// INVALID_ARGUMENT for a property without "=".
absl::StatusOr<kafka::KafkaProperties> ToProperties(const KafkaOptions& options);

// "NAME=VALUE" pairs of `option` as a map.
absl::StatusOr<std::map<std::string, std::string>> ParsePairs(const std::vector<std::string>& pairs,
                                                              const std::string& option);

}  // namespace millrace::cli

#endif  // MILLRACE_CLI_KAFKA_OPTIONS_H_
