#include "connectors/kafka/client/topic_limits.h"

#include <map>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status.h"
#include "connectors/kafka/client/admin_request.h"
#include "connectors/kafka/client/topics.h"

namespace millrace::kafka {

bool KafkaTopicLimits::TighterThan(const KafkaTopicLimits& other) const {
  const bool smaller =
      max_message_bytes.has_value() &&
      (!other.max_message_bytes.has_value() || *max_message_bytes < *other.max_message_bytes);
  return smaller || (wants_key && !other.wants_key) ||
         (partitions > 0 && (other.partitions == 0 || partitions < other.partitions));
}

absl::StatusOr<KafkaTopicLimits> ReadKafkaTopicLimits(KafkaClient* client, const std::string& topic,
                                                      absl::Duration timeout) {
  KafkaTopicLimits limits;
  ASSIGN_OR_RETURN(const KafkaTopicMetadata metadata, FindKafkaTopic(client, topic, timeout));
  limits.partitions = static_cast<int32_t>(metadata.partitions.size());
  const auto settings = KafkaTopicSettings(client, topic, timeout);
  if (absl::IsUnavailable(settings.status())) {
    return settings.status();
  }
  if (!settings.ok()) {
    return limits;
  }
  if (const auto bytes = settings->find("max.message.bytes"); bytes != settings->end()) {
    if (int64_t number = 0; absl::SimpleAtoi(bytes->second.value, &number) && number > 0) {
      limits.max_message_bytes = number;
    }
  }
  const auto policy = settings->find("cleanup.policy");
  limits.wants_key =
      policy != settings->end() && absl::StrContains(policy->second.value, "compact");
  return limits;
}

std::string FormatKafkaTopicLimits(const KafkaTopicLimits& limits) {
  return absl::StrCat(limits.max_message_bytes.value_or(-1), ":", limits.wants_key ? 1 : 0, ":",
                      limits.partitions);
}

absl::StatusOr<KafkaTopicLimits> ParseKafkaTopicLimits(std::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(ToAbsl(text), ':');
  KafkaTopicLimits limits;
  int64_t bytes = 0;
  if (parts.size() != 3 || !absl::SimpleAtoi(parts[0], &bytes) ||
      (parts[1] != "0" && parts[1] != "1") || !absl::SimpleAtoi(parts[2], &limits.partitions) ||
      bytes < -1 || limits.partitions < 0) {
    return absl::DataLossError(absl::StrCat("\"", ToAbsl(text),
                                            "\" are no limits of a topic, "
                                            "<bytes>:<key wanted>:<partitions>"));
  }
  if (bytes >= 0) {
    limits.max_message_bytes = bytes;
  }
  limits.wants_key = parts[1] == "1";
  return limits;
}

}  // namespace millrace::kafka
