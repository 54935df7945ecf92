#include "connectors/kafka/admin/admin.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "connectors/kafka/client/admin_request.h"
#include "connectors/kafka/client/client.h"
#include "connectors/kafka/client/offsets.h"
#include "connectors/kafka/client/topics.h"

namespace millrace::kafka {
namespace {

KafkaTopicDescription Describe(const KafkaTopicMetadata& topic) {
  KafkaTopicDescription out{.name = topic.name};
  for (const auto& partition : topic.partitions) {
    out.partitions.push_back({.id = partition.id,
                              .leader = partition.leader,
                              .replicas = partition.replicas,
                              .in_sync = partition.in_sync});
  }
  return out;
}

}  // namespace

absl::StatusOr<std::unique_ptr<KafkaAdmin>> KafkaAdmin::Create(const KafkaProperties& properties) {
  OptionMap options(properties.begin(), properties.end());
  RETURN_IF_ERROR(CheckKafkaOptionNames(options, KafkaRole::kAdmin, {}));
  RETURN_IF_ERROR(
      RequiredOption(options, "kafka", "bootstrap.servers", "'localhost:9092'").status());
  // A consumer: the broker may create a topic when a producer asks for it.
  ASSIGN_OR_RETURN(
      std::shared_ptr<KafkaClient> client,
      KafkaClient::Create(KafkaRole::kConsumer, options, {{"group.id", "millrace-admin"}}));
  return std::unique_ptr<KafkaAdmin>(new KafkaAdmin(std::move(client)));
}

KafkaAdmin::KafkaAdmin(std::shared_ptr<KafkaClient> client) : client_(std::move(client)) {}
KafkaAdmin::~KafkaAdmin() = default;

absl::Status KafkaAdmin::CreateTopic(const KafkaTopicSpec& spec, absl::Duration timeout) {
  return CreateKafkaTopic(client_.get(), spec.name, spec.partitions, spec.replication, spec.config,
                          timeout);
}

absl::StatusOr<std::vector<KafkaTopicDescription>> KafkaAdmin::ListTopics(absl::Duration timeout) {
  ASSIGN_OR_RETURN(std::vector<KafkaTopicMetadata> all, ListKafkaTopics(client_.get(), timeout));
  std::vector<KafkaTopicDescription> out;
  for (const KafkaTopicMetadata& topic : all) {
    if (!absl::StartsWith(topic.name, "__")) {
      out.push_back(Describe(topic));
    }
  }
  return out;
}

absl::StatusOr<KafkaTopicDescription> KafkaAdmin::DescribeTopic(const std::string& name,
                                                                absl::Duration timeout) {
  ASSIGN_OR_RETURN(KafkaTopicMetadata topic, FindKafkaTopic(client_.get(), name, timeout));
  KafkaTopicDescription out = Describe(topic);
  std::vector<KafkaOffsetQuery> earliest;
  std::vector<KafkaOffsetQuery> latest;
  for (const auto& partition : out.partitions) {
    earliest.push_back({{name, partition.id}, RD_KAFKA_OFFSET_SPEC_EARLIEST});
    latest.push_back({{name, partition.id}, RD_KAFKA_OFFSET_SPEC_LATEST});
  }
  ASSIGN_OR_RETURN(std::vector<int64_t> begins,
                   QueryKafkaOffsets(client_.get(), earliest, false, timeout));
  ASSIGN_OR_RETURN(std::vector<int64_t> stable,
                   QueryKafkaOffsets(client_.get(), latest, true, timeout));
  ASSIGN_OR_RETURN(std::vector<int64_t> marks,
                   QueryKafkaOffsets(client_.get(), latest, false, timeout));
  for (size_t i = 0; i < out.partitions.size(); ++i) {
    out.partitions[i].earliest = begins[i];
    out.partitions[i].stable_end = stable[i];
    out.partitions[i].high_watermark = marks[i];
  }
  return out;
}

absl::StatusOr<std::map<std::string, std::string>> KafkaAdmin::TopicConfig(const std::string& name,
                                                                           absl::Duration timeout) {
  RETURN_IF_ERROR(FindKafkaTopic(client_.get(), name, timeout).status());
  std::map<std::string, std::string> config;
  ASSIGN_OR_RETURN(const auto settings, KafkaTopicSettings(client_.get(), name, timeout));
  for (const auto& [setting, in_force] : settings) {
    if (in_force.of_topic) {
      config[setting] = in_force.value;
    }
  }
  return config;
}

absl::Status KafkaAdmin::SetTopicConfig(const std::string& name, const std::string& setting,
                                        const std::string& value, absl::Duration timeout) {
  RETURN_IF_ERROR(FindKafkaTopic(client_.get(), name, timeout).status());
  const std::string what = absl::StrCat("changing the setting ", setting, " of topic ", name);
  KafkaPtr<rd_kafka_queue_t> queue(rd_kafka_queue_new(client_->get()));
  const auto options =
      KafkaAdminOptions(client_.get(), RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS, timeout);
  rd_kafka_ConfigResource_t* resource =
      rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name.c_str());
  const KafkaPtr<rd_kafka_error_t> refused(rd_kafka_ConfigResource_add_incremental_config(
      resource, setting.c_str(), RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET, value.c_str()));
  if (refused == nullptr) {
    rd_kafka_IncrementalAlterConfigs(client_->get(), &resource, 1, options.get(), queue.get());
  }
  rd_kafka_ConfigResource_destroy(resource);
  if (refused != nullptr) {
    return KafkaStatus(rd_kafka_error_code(refused.get()), what);
  }
  ASSIGN_OR_RETURN(KafkaPtr<rd_kafka_event_t> event,
                   KafkaAdminAnswer(client_.get(), queue.get(), what, timeout));
  size_t count = 0;
  const rd_kafka_ConfigResource_t** changed = rd_kafka_IncrementalAlterConfigs_result_resources(
      rd_kafka_event_IncrementalAlterConfigs_result(event.get()), &count);
  return count == 0 ? absl::OkStatus()
                    : KafkaStatus(rd_kafka_ConfigResource_error(changed[0]), what);
}

absl::Status KafkaAdmin::DeleteTopic(const std::string& name, absl::Duration timeout) {
  RETURN_IF_ERROR(FindKafkaTopic(client_.get(), name, timeout).status());
  std::string what = absl::StrCat("deleting topic ", name);
  KafkaPtr<rd_kafka_DeleteTopic_t> topic(rd_kafka_DeleteTopic_new(name.c_str()));
  KafkaPtr<rd_kafka_queue_t> queue(rd_kafka_queue_new(client_->get()));
  auto options = KafkaAdminOptions(client_.get(), RD_KAFKA_ADMIN_OP_DELETETOPICS, timeout);
  char error_text[256];
  rd_kafka_AdminOptions_set_operation_timeout(options.get(), MillisecondsOf(timeout), error_text,
                                              sizeof(error_text));
  rd_kafka_DeleteTopic_t* topics[] = {topic.get()};
  rd_kafka_DeleteTopics(client_->get(), topics, 1, options.get(), queue.get());
  ASSIGN_OR_RETURN(KafkaPtr<rd_kafka_event_t> event,
                   KafkaAdminAnswer(client_.get(), queue.get(), what, timeout));
  size_t count = 0;
  const rd_kafka_topic_result_t** results =
      rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event.get()), &count);
  return FirstKafkaTopicError(results, count, what);
}

absl::Status KafkaAdmin::DeleteRecords(const std::string& topic, int32_t partition, int64_t offset,
                                       absl::Duration timeout) {
  std::string what = absl::StrCat("deleting records of ", KafkaPartitionName(topic, partition));
  KafkaPtr<rd_kafka_topic_partition_list_t> list(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition)->offset = offset;
  rd_kafka_DeleteRecords_t* request = rd_kafka_DeleteRecords_new(list.get());
  KafkaPtr<rd_kafka_queue_t> queue(rd_kafka_queue_new(client_->get()));
  auto options = KafkaAdminOptions(client_.get(), RD_KAFKA_ADMIN_OP_DELETERECORDS, timeout);
  rd_kafka_DeleteRecords(client_->get(), &request, 1, options.get(), queue.get());
  rd_kafka_DeleteRecords_destroy(request);
  ASSIGN_OR_RETURN(KafkaPtr<rd_kafka_event_t> event,
                   KafkaAdminAnswer(client_.get(), queue.get(), what, timeout));
  const rd_kafka_topic_partition_list_t* results =
      rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event.get()));
  return KafkaStatus(results->elems[0].err, what);
}

absl::StatusOr<std::vector<KafkaGroupPartition>> KafkaAdmin::GroupOffsets(const std::string& group,
                                                                          absl::Duration timeout) {
  ASSIGN_OR_RETURN(std::vector<KafkaGroupOffset> committed,
                   GroupKafkaOffsets(client_.get(), group, {}, timeout));
  std::vector<KafkaGroupPartition> out;
  std::vector<KafkaOffsetQuery> queries;
  out.reserve(committed.size());
  for (const KafkaGroupOffset& one : committed) {
    out.push_back({.topic = one.partition.topic,
                   .partition = one.partition.partition,
                   .committed = one.offset});
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
    return std::tie(a.topic, a.partition) < std::tie(b.topic, b.partition);
  });
  queries.reserve(out.size());
  for (const KafkaGroupPartition& one : out) {
    queries.push_back({{one.topic, one.partition}, RD_KAFKA_OFFSET_SPEC_LATEST});
  }
  ASSIGN_OR_RETURN(std::vector<int64_t> stable,
                   QueryKafkaOffsets(client_.get(), queries, true, timeout));
  ASSIGN_OR_RETURN(std::vector<int64_t> marks,
                   QueryKafkaOffsets(client_.get(), queries, false, timeout));
  for (size_t i = 0; i < out.size(); ++i) {
    out[i].stable_end = stable[i];
    out[i].high_watermark = std::max(stable[i], marks[i]);
  }
  return out;
}

absl::Status KafkaAdmin::DeleteGroup(const std::string& group, absl::Duration timeout) {
  std::string what = absl::StrCat("deleting group ", group);
  KafkaPtr<rd_kafka_queue_t> queue(rd_kafka_queue_new(client_->get()));
  auto options = KafkaAdminOptions(client_.get(), RD_KAFKA_ADMIN_OP_DELETEGROUPS, timeout);
  rd_kafka_DeleteGroup_t* request = rd_kafka_DeleteGroup_new(group.c_str());
  rd_kafka_DeleteGroups(client_->get(), &request, 1, options.get(), queue.get());
  rd_kafka_DeleteGroup_destroy(request);
  ASSIGN_OR_RETURN(KafkaPtr<rd_kafka_event_t> event,
                   KafkaAdminAnswer(client_.get(), queue.get(), what, timeout));
  size_t count = 0;
  const rd_kafka_group_result_t** results =
      rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(event.get()), &count);
  const rd_kafka_error_t* error = count == 0 ? nullptr : rd_kafka_group_result_error(results[0]);
  return error == nullptr ? absl::OkStatus() : KafkaStatus(rd_kafka_error_code(error), what);
}

}  // namespace millrace::kafka
