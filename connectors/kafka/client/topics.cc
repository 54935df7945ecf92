#include "connectors/kafka/client/topics.h"

#include <re2/re2.h>

#include <algorithm>
#include <map>
#include <thread>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "connectors/shared/options.h"

namespace millrace::kafka {
namespace {

constexpr size_t kNamesShown = 20;

KafkaTopicMetadata FromLibrary(const rd_kafka_metadata_topic_t& topic) {
  KafkaTopicMetadata out{.name = topic.topic};
  for (int i = 0; i < topic.partition_cnt; ++i) {
    const rd_kafka_metadata_partition_t& partition = topic.partitions[i];
    out.partitions.push_back(
        {.id = partition.id,
         .leader = partition.leader,
         .replicas = {partition.replicas, partition.replicas + partition.replica_cnt},
         .in_sync = {partition.isrs, partition.isrs + partition.isr_cnt}});
  }
  std::sort(out.partitions.begin(), out.partitions.end(),
            [](const auto& a, const auto& b) { return a.id < b.id; });
  return out;
}

// Fetches the metadata of all topics (`handle` null) or of one, with the errors of the topics.
absl::Status Fetch(KafkaClient* client, rd_kafka_topic_t* handle, absl::Duration timeout,
                   std::vector<std::pair<KafkaTopicMetadata, rd_kafka_resp_err_t>>* out) {
  const rd_kafka_metadata_t* metadata = nullptr;
  rd_kafka_resp_err_t error = rd_kafka_metadata(client->get(), handle == nullptr ? 1 : 0, handle,
                                                &metadata, MillisecondsOf(timeout));
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return client->ErrorOf(error, "reading the cluster's metadata", timeout);
  }
  // This broker knows neither brokers nor topics yet.
  if (metadata->broker_cnt == 0) {
    rd_kafka_metadata_destroy(metadata);
    return absl::UnavailableError("reading the cluster's metadata: the broker is starting");
  }
  for (int i = 0; i < metadata->topic_cnt; ++i) {
    out->emplace_back(FromLibrary(metadata->topics[i]), metadata->topics[i].err);
  }
  rd_kafka_metadata_destroy(metadata);
  return absl::OkStatus();
}

// A topic that was just created may have partitions without a leader.
bool IsSettling(const std::pair<KafkaTopicMetadata, rd_kafka_resp_err_t>& topic) {
  if (topic.second == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) {
    return true;
  }
  return std::any_of(topic.first.partitions.begin(), topic.first.partitions.end(),
                     [](const auto& partition) { return partition.leader < 0; });
}

}  // namespace

absl::StatusOr<std::vector<KafkaTopicMetadata>> ListKafkaTopics(KafkaClient* client,
                                                                absl::Duration timeout) {
  std::vector<std::pair<KafkaTopicMetadata, rd_kafka_resp_err_t>> found;
  RETURN_IF_ERROR(Fetch(client, nullptr, timeout, &found));
  std::vector<KafkaTopicMetadata> topics;
  topics.reserve(found.size());
  for (auto& topic : found) {
    topics.push_back(std::move(topic.first));
  }
  std::sort(topics.begin(), topics.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return topics;
}

absl::StatusOr<KafkaTopicMetadata> FindKafkaTopic(KafkaClient* client, const std::string& topic,
                                                  absl::Duration timeout) {
  absl::Time deadline = SteadyNow() + timeout;
  KafkaPtr<rd_kafka_topic_t> handle(rd_kafka_topic_new(client->get(), topic.c_str(), nullptr));
  if (handle == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", topic, "\" cannot be the name of a topic"));
  }
  while (true) {
    std::vector<std::pair<KafkaTopicMetadata, rd_kafka_resp_err_t>> found;
    RETURN_IF_ERROR(Fetch(client, handle.get(), deadline - SteadyNow(), &found));
    if (found.empty() || found[0].second == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
      ASSIGN_OR_RETURN(std::vector<KafkaTopicMetadata> existing,
                       ListKafkaTopics(client, deadline - SteadyNow()));
      return NoSuchTopic(topic, existing);
    }
    bool settling = IsSettling(found[0]);
    if (!settling && found[0].second != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return KafkaStatus(found[0].second, absl::StrCat("topic ", topic));
    }
    if (!settling) {
      return std::move(found[0].first);
    }
    if (SteadyNow() + absl::Milliseconds(20) >= deadline) {
      return absl::UnavailableError(
          absl::StrCat("topic ", topic, " has partitions without a leader"));
    }
    absl::SleepFor(absl::Milliseconds(20));
  }
}

absl::Status ConfirmKafkaTopicGone(KafkaClient* client, const absl::Status& gone,
                                   const std::string& topic, int32_t partition,
                                   absl::Duration timeout) {
  const absl::StatusOr<KafkaTopicMetadata> found = FindKafkaTopic(client, topic, timeout);
  if (absl::IsNotFound(found.status())) {
    return gone;
  }
  if (!found.ok()) {
    return absl::UnavailableError(found.status().message());
  }
  const bool there = std::any_of(found->partitions.begin(), found->partitions.end(),
                                 [&](const auto& one) { return one.id == partition; });
  return there ? absl::UnavailableError(absl::StrCat(KafkaPartitionName(topic, partition),
                                                     ": a broker did not know it for a moment"))
               : gone;
}

void RequestKafkaTopicOutlines(KafkaClient* client, const std::vector<std::string>& topics,
                               rd_kafka_queue_t* queue, absl::Duration timeout) {
  std::vector<const char*> names;
  names.reserve(topics.size());
  for (const std::string& topic : topics) {
    names.push_back(topic.c_str());
  }
  KafkaPtr<rd_kafka_TopicCollection_t> collection(
      rd_kafka_TopicCollection_of_topic_names(names.data(), names.size()));
  KafkaPtr<rd_kafka_AdminOptions_t> options(
      rd_kafka_AdminOptions_new(client->get(), RD_KAFKA_ADMIN_OP_DESCRIBETOPICS));
  char reason[256];
  rd_kafka_AdminOptions_set_request_timeout(options.get(), MillisecondsOf(timeout), reason,
                                            sizeof(reason));
  rd_kafka_DescribeTopics(client->get(), collection.get(), options.get(), queue);
}

absl::StatusOr<std::map<std::string, KafkaTopicOutline>> AwaitKafkaTopicOutlines(
    KafkaClient* client, rd_kafka_queue_t* queue, absl::Duration timeout) {
  const std::string what = "asking about topics";
  KafkaPtr<rd_kafka_event_t> event(rd_kafka_queue_poll(queue, MillisecondsOf(timeout) + 500));
  if (event == nullptr) {
    return Annotate(client->Unreachable(timeout), what);
  }
  if (const rd_kafka_resp_err_t error = rd_kafka_event_error(event.get());
      error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return client->ErrorOf(error, what, timeout);
  }
  size_t count = 0;
  const rd_kafka_TopicDescription_t** described = rd_kafka_DescribeTopics_result_topics(
      rd_kafka_event_DescribeTopics_result(event.get()), &count);
  std::map<std::string, KafkaTopicOutline> outlines;
  for (size_t i = 0; i < count; ++i) {
    const std::string name = rd_kafka_TopicDescription_name(described[i]);
    if (const rd_kafka_error_t* error = rd_kafka_TopicDescription_error(described[i]);
        rd_kafka_error_code(error) != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return client->ErrorOf(rd_kafka_error_code(error), absl::StrCat("topic ", name), timeout);
    }
    const rd_kafka_Uuid_t* id = rd_kafka_TopicDescription_topic_id(described[i]);
    const bool has_id = rd_kafka_Uuid_most_significant_bits(id) != 0 ||
                        rd_kafka_Uuid_least_significant_bits(id) != 0;
    size_t partitions = 0;
    rd_kafka_TopicDescription_partitions(described[i], &partitions);
    outlines[name] = {.id = has_id ? rd_kafka_Uuid_base64str(id) : "",
                      .partitions = static_cast<int32_t>(partitions)};
  }
  return outlines;
}

absl::StatusOr<std::vector<std::string>> KafkaTopicIds(KafkaClient* client,
                                                       const std::vector<std::string>& topics,
                                                       absl::Duration timeout) {
  if (topics.empty()) {
    return std::vector<std::string>();
  }
  KafkaPtr<rd_kafka_queue_t> queue(rd_kafka_queue_new(client->get()));
  RequestKafkaTopicOutlines(client, topics, queue.get(), timeout);
  ASSIGN_OR_RETURN(auto outlines, AwaitKafkaTopicOutlines(client, queue.get(), timeout));
  std::vector<std::string> ids;
  ids.reserve(topics.size());
  for (const std::string& topic : topics) {
    ids.push_back(outlines[topic].id);
  }
  return ids;
}

absl::Status NoSuchTopic(const std::string& topic,
                         const std::vector<KafkaTopicMetadata>& existing) {
  std::vector<std::string> names;
  for (const KafkaTopicMetadata& one : existing) {
    if (!absl::StartsWith(one.name, "__")) {
      names.push_back(one.name);
    }
  }
  std::vector<std::string> near = NearNames(topic, names);
  std::string message = absl::StrCat("there is no topic \"", topic, "\"");
  if (!near.empty()) {
    absl::StrAppend(&message, "; did you mean ", absl::StrJoin(near, ", "), "?");
  }
  if (names.empty()) {
    absl::StrAppend(&message, "; the cluster has no topics yet");
  } else {
    size_t shown = std::min(names.size(), kNamesShown);
    absl::StrAppend(
        &message, near.empty() ? "; there are: " : " There are: ",
        absl::StrJoin(names.begin(), names.begin() + static_cast<long>(shown), ", "),
        shown < names.size() ? absl::StrCat(" and ", names.size() - shown, " more") : "");
  }
  return absl::NotFoundError(message);
}

absl::Status WithCreationAdvice(const absl::Status& status, const std::string& topic) {
  return absl::IsNotFound(status)
             ? absl::NotFoundError(absl::StrCat(status.message(),
                                                ". Create it with: millrace topics create ", topic))
             : status;
}

PartitionName KafkaPartitionName(std::string_view topic, int32_t partition) {
  return absl::StrCat(ToAbsl(topic), "/", partition);
}

absl::StatusOr<std::pair<std::string, int32_t>> ParseKafkaPartition(const PartitionName& full) {
  const PartitionName name = FirstLife(full);
  size_t slash = name.rfind('/');
  int32_t partition = -1;
  if (slash == std::string::npos || slash == 0 ||
      !absl::SimpleAtoi(name.substr(slash + 1), &partition) || partition < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", full, "\" is no Kafka partition; one looks like topic/0"));
  }
  return std::make_pair(name.substr(0, slash), partition);
}

absl::StatusOr<KafkaTopicSelection> ParseKafkaTopics(std::string_view text) {
  KafkaTopicSelection selection;
  if (text.size() >= 2 && text.front() == '/' && text.back() == '/') {
    selection.pattern = std::string(text.substr(1, text.size() - 2));
    RE2 pattern(selection.pattern, RE2::Quiet);
    if (selection.pattern.empty() || !pattern.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "option topic = '", ToAbsl(text),
          "': ", selection.pattern.empty() ? "the pattern is empty" : pattern.error()));
    }
    return selection;
  }
  for (absl::string_view piece : absl::StrSplit(ToAbsl(text), ',')) {
    absl::string_view name = absl::StripAsciiWhitespace(piece);
    bool legal = !name.empty() && name.size() <= 249 && name != "." && name != ".." &&
                 std::all_of(name.begin(), name.end(), [](char c) {
                   return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
                 });
    if (!legal) {
      return absl::InvalidArgumentError(absl::StrCat(
          "option topic = '", ToAbsl(text), "': \"", name,
          "\" cannot be a topic's name; allowed are names of letters, digits, '.', '_' and '-' "
          "with commas between, or a pattern in slashes"));
    }
    selection.names.emplace_back(name);
  }
  std::sort(selection.names.begin(), selection.names.end());
  selection.names.erase(std::unique(selection.names.begin(), selection.names.end()),
                        selection.names.end());
  return selection;
}

}  // namespace millrace::kafka
