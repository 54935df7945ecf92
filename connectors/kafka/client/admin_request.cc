#include "connectors/kafka/client/admin_request.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "connectors/kafka/client/topics.h"

namespace millrace::kafka {
namespace {

absl::StatusOr<std::vector<KafkaGroupOffset>> ReadGroupOffsets(
    KafkaClient* client, const std::string& group, const std::vector<KafkaPartitionId>& only,
    absl::Duration timeout) {
  std::string what = absl::StrCat("reading the offsets of group ", group);
  KafkaPtr<rd_kafka_queue_t> queue(rd_kafka_queue_new(client->get()));
  auto options = KafkaAdminOptions(client, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, timeout);
  KafkaPtr<rd_kafka_error_t> ignored(
      rd_kafka_AdminOptions_set_require_stable_offsets(options.get(), 1));
  KafkaPtr<rd_kafka_topic_partition_list_t> partitions;
  if (!only.empty()) {
    partitions.reset(rd_kafka_topic_partition_list_new(static_cast<int>(only.size())));
    for (const KafkaPartitionId& one : only) {
      rd_kafka_topic_partition_list_add(partitions.get(), one.topic.c_str(), one.partition);
    }
  }
  rd_kafka_ListConsumerGroupOffsets_t* request =
      rd_kafka_ListConsumerGroupOffsets_new(group.c_str(), partitions.get());
  rd_kafka_ListConsumerGroupOffsets(client->get(), &request, 1, options.get(), queue.get());
  rd_kafka_ListConsumerGroupOffsets_destroy(request);
  ASSIGN_OR_RETURN(KafkaPtr<rd_kafka_event_t> event,
                   KafkaAdminAnswer(client, queue.get(), what, timeout));
  size_t groups = 0;
  const rd_kafka_group_result_t** results = rd_kafka_ListConsumerGroupOffsets_result_groups(
      rd_kafka_event_ListConsumerGroupOffsets_result(event.get()), &groups);
  std::vector<KafkaGroupOffset> out;
  for (size_t i = 0; i < groups; ++i) {
    if (const rd_kafka_error_t* error = rd_kafka_group_result_error(results[i]); error != nullptr) {
      if (rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND) {
        continue;
      }
      return client->ErrorOf(rd_kafka_error_code(error), what, timeout);
    }
    const rd_kafka_topic_partition_list_t* list = rd_kafka_group_result_partitions(results[i]);
    for (int j = 0; j < list->cnt; ++j) {
      const rd_kafka_topic_partition_t& one = list->elems[j];
      RETURN_IF_ERROR(KafkaStatus(one.err, what));
      if (one.offset >= 0) {
        out.push_back({{one.topic, one.partition},
                       one.offset,
                       std::string(static_cast<const char*>(one.metadata), one.metadata_size)});
      }
    }
  }
  return out;
}

std::map<std::string, KafkaTopicSetting> SettingsOf(const rd_kafka_ConfigResource_t* topic) {
  std::map<std::string, KafkaTopicSetting> settings;
  size_t entries = 0;
  const rd_kafka_ConfigEntry_t** entry = rd_kafka_ConfigResource_configs(topic, &entries);
  for (size_t i = 0; i < entries; ++i) {
    if (const char* value = rd_kafka_ConfigEntry_value(entry[i]); value != nullptr) {
      settings[rd_kafka_ConfigEntry_name(entry[i])] = {
          .value = value,
          .of_topic =
              rd_kafka_ConfigEntry_source(entry[i]) == RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG};
    }
  }
  return settings;
}

}  // namespace

KafkaPtr<rd_kafka_AdminOptions_t> KafkaAdminOptions(KafkaClient* client,
                                                    rd_kafka_admin_op_t operation,
                                                    absl::Duration timeout) {
  KafkaPtr<rd_kafka_AdminOptions_t> options(rd_kafka_AdminOptions_new(client->get(), operation));
  char reason[256];
  rd_kafka_AdminOptions_set_request_timeout(options.get(), MillisecondsOf(timeout), reason,
                                            sizeof(reason));
  return options;
}

absl::StatusOr<KafkaPtr<rd_kafka_event_t>> KafkaAdminAnswer(KafkaClient* client,
                                                            rd_kafka_queue_t* queue,
                                                            std::string_view what,
                                                            absl::Duration timeout) {
  KafkaPtr<rd_kafka_event_t> event(rd_kafka_queue_poll(queue, MillisecondsOf(timeout) + 500));
  if (event == nullptr) {
    return Annotate(client->Unreachable(timeout), what);
  }
  if (rd_kafka_resp_err_t error = rd_kafka_event_error(event.get());
      error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return client->ErrorOf(error, what, timeout);
  }
  return event;
}

absl::Status FirstKafkaTopicError(const rd_kafka_topic_result_t** results, size_t count,
                                  std::string_view what) {
  for (size_t i = 0; i < count; ++i) {
    rd_kafka_resp_err_t error = rd_kafka_topic_result_error(results[i]);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      const char* text = rd_kafka_topic_result_error_string(results[i]);
      return absl::Status(
          KafkaStatus(error, what).code(),
          absl::StrCat(ToAbsl(what), ": ", text == nullptr ? rd_kafka_err2str(error) : text));
    }
  }
  return absl::OkStatus();
}

absl::Status CreateKafkaTopic(KafkaClient* client, const std::string& name, int32_t partitions,
                              int32_t replication, const std::map<std::string, std::string>& config,
                              absl::Duration timeout) {
  absl::Time deadline = SteadyNow() + timeout;
  ASSIGN_OR_RETURN(KafkaTopicSelection selection, ParseKafkaTopics(name));
  if (selection.names.size() != 1) {
    return absl::InvalidArgumentError(absl::StrCat("\"", name, "\" is not the name of one topic"));
  }
  std::string what = absl::StrCat("creating topic ", name);
  char reason[256] = "";
  KafkaPtr<rd_kafka_NewTopic_t> topic(
      rd_kafka_NewTopic_new(name.c_str(), partitions, replication, reason, sizeof(reason)));
  if (topic == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": ", reason));
  }
  for (const auto& [property, value] : config) {
    rd_kafka_NewTopic_set_config(topic.get(), property.c_str(), value.c_str());
  }
  KafkaPtr<rd_kafka_queue_t> queue(rd_kafka_queue_new(client->get()));
  auto options = KafkaAdminOptions(client, RD_KAFKA_ADMIN_OP_CREATETOPICS, timeout);
  rd_kafka_AdminOptions_set_operation_timeout(options.get(), MillisecondsOf(timeout), reason,
                                              sizeof(reason));
  rd_kafka_NewTopic_t* topics[] = {topic.get()};
  rd_kafka_CreateTopics(client->get(), topics, 1, options.get(), queue.get());
  ASSIGN_OR_RETURN(KafkaPtr<rd_kafka_event_t> event,
                   KafkaAdminAnswer(client, queue.get(), what, timeout));
  size_t count = 0;
  const rd_kafka_topic_result_t** results =
      rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event.get()), &count);
  RETURN_IF_ERROR(FirstKafkaTopicError(results, count, what));
  // The broker answers before every partition has a leader, and before its own metadata have the
  // topic.
  while (true) {
    absl::Status found = FindKafkaTopic(client, name, deadline - SteadyNow()).status();
    if (found.code() != absl::StatusCode::kNotFound || SteadyNow() >= deadline) {
      return found;
    }
    absl::SleepFor(absl::Milliseconds(10));
  }
}

absl::Status GrowKafkaTopic(KafkaClient* client, const std::string& name, int32_t partitions,
                            absl::Duration timeout) {
  std::string what = absl::StrCat("adding partitions to topic ", name);
  char reason[256] = "";
  KafkaPtr<rd_kafka_NewPartitions_t> grown(rd_kafka_NewPartitions_new(
      name.c_str(), static_cast<size_t>(partitions), reason, sizeof(reason)));
  if (grown == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": ", reason));
  }
  KafkaPtr<rd_kafka_queue_t> queue(rd_kafka_queue_new(client->get()));
  auto options = KafkaAdminOptions(client, RD_KAFKA_ADMIN_OP_CREATEPARTITIONS, timeout);
  rd_kafka_AdminOptions_set_operation_timeout(options.get(), MillisecondsOf(timeout), reason,
                                              sizeof(reason));
  rd_kafka_NewPartitions_t* topics[] = {grown.get()};
  rd_kafka_CreatePartitions(client->get(), topics, 1, options.get(), queue.get());
  ASSIGN_OR_RETURN(KafkaPtr<rd_kafka_event_t> event,
                   KafkaAdminAnswer(client, queue.get(), what, timeout));
  size_t count = 0;
  const rd_kafka_topic_result_t** results = rd_kafka_CreatePartitions_result_topics(
      rd_kafka_event_CreatePartitions_result(event.get()), &count);
  return FirstKafkaTopicError(results, count, what);
}

absl::StatusOr<std::vector<KafkaGroupOffset>> GroupKafkaOffsets(
    KafkaClient* client, const std::string& group, const std::vector<KafkaPartitionId>& only,
    absl::Duration timeout) {
  return RetryWhileUnavailable(
      timeout, [&](absl::Duration left) { return ReadGroupOffsets(client, group, only, left); });
}

void RequestKafkaTopicSettings(KafkaClient* client, const std::vector<std::string>& names,
                               rd_kafka_queue_t* queue, absl::Duration timeout) {
  const auto options = KafkaAdminOptions(client, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, timeout);
  std::vector<rd_kafka_ConfigResource_t*> resources;
  resources.reserve(names.size());
  for (const std::string& name : names) {
    resources.push_back(rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name.c_str()));
  }
  rd_kafka_DescribeConfigs(client->get(), resources.data(), resources.size(), options.get(), queue);
  rd_kafka_ConfigResource_destroy_array(resources.data(), resources.size());
}

absl::StatusOr<std::map<std::string, std::map<std::string, KafkaTopicSetting>>>
AwaitKafkaTopicSettings(KafkaClient* client, rd_kafka_queue_t* queue, absl::Duration timeout) {
  ASSIGN_OR_RETURN(KafkaPtr<rd_kafka_event_t> event,
                   KafkaAdminAnswer(client, queue, "reading the settings of topics", timeout));
  std::map<std::string, std::map<std::string, KafkaTopicSetting>> settings;
  size_t resources = 0;
  const rd_kafka_ConfigResource_t** found = rd_kafka_DescribeConfigs_result_resources(
      rd_kafka_event_DescribeConfigs_result(event.get()), &resources);
  for (size_t i = 0; i < resources; ++i) {
    if (rd_kafka_ConfigResource_error(found[i]) == RD_KAFKA_RESP_ERR_NO_ERROR) {
      settings[rd_kafka_ConfigResource_name(found[i])] = SettingsOf(found[i]);
    }
  }
  return settings;
}

absl::StatusOr<std::map<std::string, KafkaTopicSetting>> KafkaTopicSettings(
    KafkaClient* client, const std::string& name, absl::Duration timeout) {
  const std::string what = absl::StrCat("reading the settings of topic ", name);
  KafkaPtr<rd_kafka_queue_t> queue(rd_kafka_queue_new(client->get()));
  RequestKafkaTopicSettings(client, {name}, queue.get(), timeout);
  ASSIGN_OR_RETURN(KafkaPtr<rd_kafka_event_t> event,
                   KafkaAdminAnswer(client, queue.get(), what, timeout));
  std::map<std::string, KafkaTopicSetting> settings;
  size_t resources = 0;
  const rd_kafka_ConfigResource_t** found = rd_kafka_DescribeConfigs_result_resources(
      rd_kafka_event_DescribeConfigs_result(event.get()), &resources);
  for (size_t i = 0; i < resources; ++i) {
    RETURN_IF_ERROR(KafkaStatus(rd_kafka_ConfigResource_error(found[i]), what));
    settings = SettingsOf(found[i]);
  }
  return settings;
}

}  // namespace millrace::kafka
