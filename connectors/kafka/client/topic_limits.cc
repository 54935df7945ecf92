#include "connectors/kafka/client/topic_limits.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "connectors/kafka/client/admin_request.h"
#include "connectors/kafka/client/topics.h"

namespace millrace::kafka {
namespace {

using SettingsByName = std::map<std::string, KafkaTopicSetting>;

KafkaTopicLimits LimitsBy(int32_t partitions, const SettingsByName& settings) {
  KafkaTopicLimits limits{.partitions = partitions};
  if (const auto bytes = settings.find("max.message.bytes"); bytes != settings.end()) {
    if (int64_t number = 0; absl::SimpleAtoi(bytes->second.value, &number) && number > 0) {
      limits.max_message_bytes = number;
    }
  }
  const auto policy = settings.find("cleanup.policy");
  limits.wants_key = policy != settings.end() && absl::StrContains(policy->second.value, "compact");
  return limits;
}

}  // namespace

bool KafkaTopicLimits::TighterThan(const KafkaTopicLimits& other) const {
  const bool smaller =
      max_message_bytes.has_value() &&
      (!other.max_message_bytes.has_value() || *max_message_bytes < *other.max_message_bytes);
  return smaller || (wants_key && !other.wants_key) ||
         (partitions > 0 && (other.partitions == 0 || partitions < other.partitions));
}

absl::StatusOr<KafkaTopicLimits> ReadKafkaTopicLimits(KafkaClient* client, const std::string& topic,
                                                      absl::Duration timeout) {
  ASSIGN_OR_RETURN(const KafkaTopicMetadata metadata, FindKafkaTopic(client, topic, timeout));
  if (metadata.partitions.empty()) {
    return absl::UnavailableError(absl::StrCat("topic ", topic, " has no partitions yet"));
  }
  const auto settings = KafkaTopicSettings(client, topic, timeout);
  if (absl::IsUnavailable(settings.status())) {
    return settings.status();
  }
  return LimitsBy(static_cast<int32_t>(metadata.partitions.size()),
                  settings.ok() ? *settings : SettingsByName());
}

KafkaTopicLimitsRequest::KafkaTopicLimitsRequest(KafkaClient* client,
                                                 std::vector<std::string> topics,
                                                 absl::Duration timeout)
    : client_(client),
      topics_(std::move(topics)),
      deadline_(SteadyNow() + timeout),
      partitions_(rd_kafka_queue_new(client->get())),
      settings_(rd_kafka_queue_new(client->get())) {
  std::vector<std::string> names = topics_;  // each once
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  RequestKafkaTopicOutlines(client, names, partitions_.get(), timeout);
  RequestKafkaTopicSettings(client, names, settings_.get(), timeout);
}

absl::StatusOr<std::vector<KafkaTopicLimits>> KafkaTopicLimitsRequest::Wait() {
  if (absl::StatusOr<std::vector<KafkaTopicLimits>> all = Answer(); all.ok()) {
    return all;
  }
  // One by one it takes longer, with patience for topics that settle, and better words.
  std::vector<KafkaTopicLimits> limits;
  limits.reserve(topics_.size());
  for (const std::string& topic : topics_) {
    ASSIGN_OR_RETURN(limits.emplace_back(),
                     ReadKafkaTopicLimits(client_, topic, deadline_ - SteadyNow()));
  }
  return limits;
}

absl::StatusOr<std::vector<KafkaTopicLimits>> KafkaTopicLimitsRequest::Answer() {
  ASSIGN_OR_RETURN(auto outlines,
                   AwaitKafkaTopicOutlines(client_, partitions_.get(), deadline_ - SteadyNow()));
  auto settings = AwaitKafkaTopicSettings(client_, settings_.get(), deadline_ - SteadyNow());
  if (absl::IsUnavailable(settings.status())) {
    return settings.status();
  }
  std::vector<KafkaTopicLimits> limits;
  limits.reserve(topics_.size());
  for (const std::string& topic : topics_) {
    if (outlines[topic].partitions == 0) {
      return absl::UnavailableError(absl::StrCat("topic ", topic, " has no partitions yet"));
    }
    limits.push_back(LimitsBy(outlines[topic].partitions,
                              settings.ok() ? (*settings)[topic] : SettingsByName()));
  }
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
