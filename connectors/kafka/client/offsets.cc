#include "connectors/kafka/client/offsets.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "connectors/kafka/client/topics.h"

namespace millrace::kafka {
namespace {

KafkaPtr<rd_kafka_topic_partition_list_t> NewList(size_t size) {
  return KafkaPtr<rd_kafka_topic_partition_list_t>(
      rd_kafka_topic_partition_list_new(static_cast<int>(size)));
}

}  // namespace

KafkaOffsetRequest::KafkaOffsetRequest(KafkaClient* client, std::vector<KafkaOffsetQuery> queries,
                                       bool committed, absl::Duration timeout)
    : client_(client),
      queries_(std::move(queries)),
      timeout_(timeout),
      queue_(rd_kafka_queue_new(client->get())) {
  if (queries_.empty()) {
    return;
  }
  auto list = NewList(queries_.size());
  for (const KafkaOffsetQuery& query : queries_) {
    rd_kafka_topic_partition_list_add(list.get(), query.partition.topic.c_str(),
                                      query.partition.partition)
        ->offset = query.spec;
  }
  KafkaPtr<rd_kafka_AdminOptions_t> options(
      rd_kafka_AdminOptions_new(client->get(), RD_KAFKA_ADMIN_OP_LISTOFFSETS));
  char reason[256];
  rd_kafka_AdminOptions_set_request_timeout(options.get(), MillisecondsOf(timeout), reason,
                                            sizeof(reason));
  KafkaPtr<rd_kafka_error_t> ignored(rd_kafka_AdminOptions_set_isolation_level(
      options.get(), committed ? RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED
                               : RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED));
  rd_kafka_ListOffsets(client->get(), list.get(), options.get(), queue_.get());
}

absl::StatusOr<std::vector<int64_t>> KafkaOffsetRequest::Wait() {
  absl::StatusOr<std::vector<int64_t>> answer = Answer();
  if (!absl::IsNotFound(answer.status())) {
    return answer;
  }
  absl::Status status = answer.status();
  const absl::Time deadline = SteadyNow() + timeout_;
  for (const KafkaOffsetQuery& query : queries_) {
    status = ConfirmKafkaTopicGone(client_, answer.status(), query.partition.topic,
                                   query.partition.partition, deadline - SteadyNow());
    if (absl::IsNotFound(status)) {
      return status;
    }
  }
  return status;
}

absl::StatusOr<std::vector<int64_t>> KafkaOffsetRequest::Answer() {
  if (queries_.empty()) {
    return std::vector<int64_t>();
  }
  // The request has its own timeout. The queue waits a little longer, so that the request's error
  // is the one that is returned.
  KafkaPtr<rd_kafka_event_t> event(
      rd_kafka_queue_poll(queue_.get(), MillisecondsOf(timeout_) + 500));
  if (event == nullptr) {
    return Annotate(client_->Unreachable(timeout_), "asking for offsets");
  }
  if (rd_kafka_resp_err_t error = rd_kafka_event_error(event.get());
      error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    if (KafkaStatus(error, "").code() == absl::StatusCode::kNotFound) {
      return absl::NotFoundError(absl::StrCat("asking for offsets of ", queries_[0].partition.topic,
                                              ": the topic or partition no longer exists"));
    }
    return client_->ErrorOf(
        error, absl::StrCat("asking for offsets of ", queries_[0].partition.topic), timeout_);
  }
  size_t count = 0;
  const rd_kafka_ListOffsetsResultInfo_t** infos =
      rd_kafka_ListOffsets_result_infos(rd_kafka_event_ListOffsets_result(event.get()), &count);
  std::map<std::pair<std::string, int32_t>, int64_t> found;
  for (size_t i = 0; i < count; ++i) {
    const rd_kafka_topic_partition_t* partition =
        rd_kafka_ListOffsetsResultInfo_topic_partition(infos[i]);
    if (partition->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return client_->ErrorOf(
          partition->err,
          absl::StrCat("asking for offsets of ",
                       KafkaPartitionName(partition->topic, partition->partition)),
          timeout_);
    }
    found[{partition->topic, partition->partition}] = partition->offset;
  }
  std::vector<int64_t> offsets;
  offsets.reserve(queries_.size());
  for (const KafkaOffsetQuery& query : queries_) {
    auto one = found.find({query.partition.topic, query.partition.partition});
    if (one == found.end()) {
      return absl::NotFoundError(absl::StrCat(
          "the cluster says nothing of partition ",
          KafkaPartitionName(query.partition.topic, query.partition.partition), ": it is gone"));
    }
    // −1 means that no record is as late as the timestamp. Other negative offsets are no answers;
    // librdkafka returns them without an error after a broker was killed.
    const bool none = one->second == -1 && query.spec >= 0;
    if (one->second < 0 && !none) {
      return absl::UnavailableError(absl::StrCat(
          "asking for offsets of ",
          KafkaPartitionName(query.partition.topic, query.partition.partition), ": no answer"));
    }
    offsets.push_back(one->second);
  }
  return offsets;
}

absl::StatusOr<std::vector<int64_t>> QueryKafkaOffsets(KafkaClient* client,
                                                       const std::vector<KafkaOffsetQuery>& queries,
                                                       bool committed, absl::Duration timeout) {
  return RetryWhileUnavailable(timeout, [&](absl::Duration left) {
    return KafkaOffsetRequest(client, queries, committed, left).Wait();
  });
}

absl::StatusOr<std::vector<int64_t>> CommittedKafkaOffsets(
    KafkaClient* client, const std::vector<KafkaPartitionId>& partitions, absl::Duration timeout) {
  auto list = NewList(partitions.size());
  for (const KafkaPartitionId& partition : partitions) {
    rd_kafka_topic_partition_list_add(list.get(), partition.topic.c_str(), partition.partition);
  }
  rd_kafka_resp_err_t error =
      rd_kafka_committed(client->get(), list.get(), MillisecondsOf(timeout));
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return client->ErrorOf(error, "reading the group's committed offsets", timeout);
  }
  std::vector<int64_t> offsets;
  offsets.reserve(partitions.size());
  for (size_t i = 0; i < partitions.size(); ++i) {
    const rd_kafka_topic_partition_t* found = rd_kafka_topic_partition_list_find(
        list.get(), partitions[i].topic.c_str(), partitions[i].partition);
    if (found->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return KafkaStatus(found->err,
                         absl::StrCat("reading the group's committed offset of ",
                                      KafkaPartitionName(found->topic, found->partition)));
    }
    offsets.push_back(found->offset < 0 ? -1 : found->offset);
  }
  return offsets;
}

absl::Status CommitKafkaOffsets(KafkaClient* client,
                                const std::vector<std::pair<KafkaPartitionId, int64_t>>& offsets,
                                absl::Duration timeout) {
  if (offsets.empty()) {
    return absl::OkStatus();
  }
  auto list = NewList(offsets.size());
  for (const auto& [partition, offset] : offsets) {
    rd_kafka_topic_partition_list_add(list.get(), partition.topic.c_str(), partition.partition)
        ->offset = offset;
  }
  KafkaPtr<rd_kafka_queue_t> queue(rd_kafka_queue_new(client->get()));
  rd_kafka_resp_err_t error =
      rd_kafka_commit_queue(client->get(), list.get(), queue.get(), nullptr, nullptr);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
    KafkaPtr<rd_kafka_event_t> event(rd_kafka_queue_poll(queue.get(), MillisecondsOf(timeout)));
    if (event == nullptr) {
      return Annotate(client->Unreachable(timeout), "committing offsets to the consumer group");
    }
    error = rd_kafka_event_error(event.get());
  }
  if (error == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID ||
      error == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION) {
    return absl::FailedPreconditionError(
        "committing offsets to the consumer group: consumers of another program are in it; choose "
        "another group with "
        "the option group");
  }
  return error == RD_KAFKA_RESP_ERR_NO_ERROR
             ? absl::OkStatus()
             : client->ErrorOf(error, "committing offsets to the consumer group", timeout);
}

}  // namespace millrace::kafka
