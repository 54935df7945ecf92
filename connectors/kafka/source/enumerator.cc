#include "connectors/kafka/source/enumerator.h"

#include <re2/re2.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "connectors/kafka/client/client.h"
#include "connectors/kafka/client/offsets.h"
#include "connectors/kafka/client/start_position.h"
#include "connectors/kafka/client/topics.h"

namespace millrace::kafka {
namespace {

// A client that is destroyed waits for the answers to its commits of offsets, also of those that
// its caller has given up, as long as this. With librdkafka's 60 s, a driver (or a job) that is
// told to stop while a broker hangs took a minute. A request that takes longer fails for its
// callers in any case: they wait for 5 s.
constexpr char kSocketTimeoutMs[] = "4000";

absl::StatusOr<std::vector<KafkaPartitionId>> ParseAll(const std::vector<PartitionName>& names) {
  std::vector<KafkaPartitionId> partitions;
  partitions.reserve(names.size());
  for (const PartitionName& name : names) {
    ASSIGN_OR_RETURN(auto parsed, ParseKafkaPartition(name));
    partitions.push_back({parsed.first, parsed.second});
  }
  return partitions;
}

std::vector<KafkaOffsetQuery> QueriesFor(const std::vector<KafkaPartitionId>& partitions,
                                         int64_t spec) {
  std::vector<KafkaOffsetQuery> queries;
  queries.reserve(partitions.size());
  for (const KafkaPartitionId& partition : partitions) {
    queries.push_back({partition, spec});
  }
  return queries;
}

class KafkaEnumerator : public SourceEnumerator {
 public:
  KafkaEnumerator(std::shared_ptr<KafkaClient> client, KafkaTopicSelection topics, KafkaStart start,
                  bool committed)
      : client_(std::move(client)),
        topics_(std::move(topics)),
        pattern_(std::make_unique<RE2>(topics_.pattern, RE2::Quiet)),
        start_(std::move(start)),
        committed_(committed) {}

  void Remember(const std::vector<KnownPartition>& known) override {
    for (const KnownPartition& one : known) {
      Life& life = lives_[FirstLife(one.name)];
      // A partition name may have had several lives, one after the other; the last one counts.
      if (!IsLaterLife(life.name, one.name)) {
        life = {one.name, one.identity};
      }
    }
  }

  absl::StatusOr<std::vector<PartitionName>> Discover(absl::Duration timeout) override {
    std::vector<PartitionName> names;
    absl::Time deadline = SteadyNow() + timeout;
    if (!topics_.pattern.empty()) {
      ASSIGN_OR_RETURN(std::vector<KafkaTopicMetadata> all,
                       ListKafkaTopics(client_.get(), timeout));
      for (const KafkaTopicMetadata& topic : all) {
        if (SelectsTopic(topic.name)) {
          AddPartitions(topic, &names);
        }
      }
      RETURN_IF_ERROR(NameByLife(deadline - SteadyNow(), &names));
      return names;  // there may be no topic yet: more may come
    }
    for (const std::string& name : topics_.names) {
      const absl::StatusOr<KafkaTopicMetadata> topic =
          FindKafkaTopic(client_.get(), name, deadline - SteadyNow());
      RETURN_IF_ERROR(WithCreationAdvice(topic.status(), name));
      AddPartitions(*topic, &names);
    }
    return names;
  }

  bool Selects(const KnownPartition& partition) const override {
    const auto parsed = ParseKafkaPartition(partition.name);
    return parsed.ok() && SelectsTopic(parsed->first);
  }

  absl::StatusOr<std::vector<PartitionOffset>> ResolveStart(const std::vector<PartitionName>& names,
                                                            absl::Duration timeout) override {
    ASSIGN_OR_RETURN(std::vector<KafkaPartitionId> partitions, ParseAll(names));
    std::vector<int64_t> offsets;
    switch (start_.kind) {
      case KafkaStart::Kind::kEarliest: {
        ASSIGN_OR_RETURN(offsets, Query(partitions, RD_KAFKA_OFFSET_SPEC_EARLIEST, timeout));
        break;
      }
      case KafkaStart::Kind::kLatest: {
        ASSIGN_OR_RETURN(offsets, Query(partitions, RD_KAFKA_OFFSET_SPEC_LATEST, timeout));
        break;
      }
      case KafkaStart::Kind::kTimestamp: {
        ASSIGN_OR_RETURN(offsets, FromTimestamp(partitions, timeout));
        break;
      }
      case KafkaStart::Kind::kOffsets: {
        ASSIGN_OR_RETURN(offsets, FromOffsets(partitions, timeout));
        break;
      }
      case KafkaStart::Kind::kGroup: {
        ASSIGN_OR_RETURN(offsets, FromGroup(partitions, timeout));
        break;
      }
    }
    return Zip(names, offsets);
  }

  absl::StatusOr<std::vector<PartitionOffset>> ResolveEarliest(
      const std::vector<PartitionName>& names, absl::Duration timeout) override {
    ASSIGN_OR_RETURN(std::vector<KafkaPartitionId> partitions, ParseAll(names));
    ASSIGN_OR_RETURN(std::vector<int64_t> offsets,
                     Query(partitions, RD_KAFKA_OFFSET_SPEC_EARLIEST, timeout));
    return Zip(names, offsets);
  }

  absl::StatusOr<std::vector<PartitionEnd>> Ends(const std::vector<PartitionName>& names,
                                                 absl::Duration timeout) override {
    client_->Poll();
    const absl::Time deadline = SteadyNow() + timeout;
    std::vector<PartitionName> left;
    std::copy_if(names.begin(), names.end(), std::back_inserter(left),
                 [this](const PartitionName& name) { return !HasSuccessor(name); });
    absl::StatusOr<std::vector<PartitionEnd>> ends = EndsOf(left, timeout);
    if (absl::IsNotFound(ends.status()) && !topics_.pattern.empty()) {
      RETURN_IF_ERROR(LeaveMissingOut(deadline - SteadyNow(), &left));
      ends = EndsOf(left, deadline - SteadyNow());
    }
    RETURN_IF_ERROR(ends.status());
    std::vector<PartitionEnd> out;
    auto next = ends->begin();
    for (const PartitionName& name : names) {
      if (next != ends->end() && next->partition == name) {
        out.push_back(std::move(*next++));
        continue;
      }
      PartitionEnd& gone = out.emplace_back();
      gone.partition = name;
      gone.phase = PartitionPhase::kGone;
      gone.why =
          HasSuccessor(name) ? "its topic was deleted and created again" : "its topic was deleted";
    }
    return out;
  }

  absl::StatusOr<std::vector<std::string>> Identities(const std::vector<PartitionName>& names,
                                                      absl::Duration timeout) override {
    ASSIGN_OR_RETURN(std::vector<KafkaPartitionId> partitions, ParseAll(names));
    std::vector<std::string> topics;
    for (const KafkaPartitionId& partition : partitions) {
      topics.push_back(partition.topic);
    }
    std::sort(topics.begin(), topics.end());
    topics.erase(std::unique(topics.begin(), topics.end()), topics.end());
    ASSIGN_OR_RETURN(std::vector<std::string> ids,
                     RetryWhileUnavailable(timeout, [&](absl::Duration left) {
                       return KafkaTopicIds(client_.get(), topics, left);
                     }));
    std::vector<std::string> out;
    out.reserve(names.size());
    for (const KafkaPartitionId& partition : partitions) {
      const auto topic = std::lower_bound(topics.begin(), topics.end(), partition.topic);
      out.push_back(ids[static_cast<size_t>(topic - topics.begin())]);
    }
    return out;
  }

  absl::Status PublishOffsets(const std::vector<PartitionOffset>& committed,
                              absl::Duration timeout) override {
    std::vector<std::pair<KafkaPartitionId, int64_t>> offsets;
    for (const PartitionOffset& one : committed) {
      ASSIGN_OR_RETURN(auto parsed, ParseKafkaPartition(one.partition));
      offsets.push_back({{parsed.first, parsed.second}, one.offset.value()});
    }
    return CommitKafkaOffsets(client_.get(), offsets, timeout);
  }

 private:
  // The last life of a partition name.
  struct Life {
    PartitionName name;
    std::string topic_id;
  };

  bool SelectsTopic(const std::string& topic) const {
    if (topics_.pattern.empty()) {
      return std::binary_search(topics_.names.begin(), topics_.names.end(), topic);
    }
    const bool internal = absl::StartsWith(topic, "__") && !absl::StartsWith(topics_.pattern, "__");
    return !internal && RE2::FullMatch(topic, *pattern_);
  }

  // A topic that was deleted and created again under its name has other partitions than before.
  absl::Status NameByLife(absl::Duration timeout, std::vector<PartitionName>* names) {
    std::vector<PartitionName> known;
    for (const PartitionName& name : *names) {
      const auto life = lives_.find(name);
      if (life != lives_.end() && !life->second.topic_id.empty()) {
        known.push_back(name);
      }
    }
    if (known.empty()) {
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(const std::vector<std::string> ids, Identities(known, timeout));
    std::map<PartitionName, PartitionName> named;
    for (size_t i = 0; i < known.size(); ++i) {
      const Life& life = lives_.at(known[i]);
      named[known[i]] = ids[i].empty() || ids[i] == life.topic_id ? life.name : NextLife(life.name);
    }
    for (PartitionName& name : *names) {
      const auto found = named.find(name);
      name = found == named.end() ? name : found->second;
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<PartitionEnd>> EndsOf(const std::vector<PartitionName>& names,
                                                   absl::Duration timeout) {
    ASSIGN_OR_RETURN(std::vector<KafkaPartitionId> partitions, ParseAll(names));
    std::vector<KafkaOffsetQuery> queries = QueriesFor(partitions, RD_KAFKA_OFFSET_SPEC_LATEST);
    return RetryWhileUnavailable(
        timeout, [&](absl::Duration left) { return EndsOnce(names, queries, left); });
  }

  bool HasSuccessor(const PartitionName& name) const {
    const auto life = lives_.find(FirstLife(name));
    return life != lives_.end() && IsLaterLife(life->second.name, name);
  }

  // Uses the cluster's own list, which only a cluster with brokers returns.
  absl::Status LeaveMissingOut(absl::Duration timeout, std::vector<PartitionName>* names) {
    ASSIGN_OR_RETURN(std::vector<KafkaTopicMetadata> all, ListKafkaTopics(client_.get(), timeout));
    std::vector<PartitionName> existing;
    for (const KafkaTopicMetadata& topic : all) {
      AddPartitions(topic, &existing);
    }
    const std::set<PartitionName> there(existing.begin(), existing.end());
    const size_t missing = std::erase_if(
        *names, [&](const PartitionName& name) { return !there.contains(FirstLife(name)); });
    return missing > 0
               ? absl::OkStatus()
               : absl::UnavailableError("a broker did not know all partitions for a moment");
  }

  static void AddPartitions(const KafkaTopicMetadata& topic, std::vector<PartitionName>* names) {
    for (const auto& partition : topic.partitions) {
      names->push_back(KafkaPartitionName(topic.name, partition.id));
    }
  }

  // Both kinds of ends are asked for at once.
  absl::StatusOr<std::vector<PartitionEnd>> EndsOnce(const std::vector<PartitionName>& names,
                                                     const std::vector<KafkaOffsetQuery>& queries,
                                                     absl::Duration timeout) {
    KafkaOffsetRequest marks_request(client_.get(), queries, false, timeout);
    std::vector<int64_t> stable;
    if (committed_) {
      KafkaOffsetRequest stable_request(client_.get(), queries, true, timeout);
      ASSIGN_OR_RETURN(stable, stable_request.Wait());
    }
    ASSIGN_OR_RETURN(std::vector<int64_t> marks, marks_request.Wait());
    std::vector<PartitionEnd> ends;
    for (size_t i = 0; i < names.size(); ++i) {
      int64_t end = committed_ ? stable[i] : marks[i];
      // The log may have grown between the two answers.
      ends.push_back({names[i], Offset(end), Offset(std::max(end, marks[i]))});
    }
    return ends;
  }

  static std::vector<PartitionOffset> Zip(const std::vector<PartitionName>& names,
                                          const std::vector<int64_t>& offsets) {
    std::vector<PartitionOffset> out;
    out.reserve(names.size());
    for (size_t i = 0; i < names.size(); ++i) {
      out.push_back({names[i], Offset(offsets[i])});
    }
    return out;
  }

  absl::StatusOr<std::vector<int64_t>> Query(const std::vector<KafkaPartitionId>& partitions,
                                             int64_t spec, absl::Duration timeout) {
    return QueryKafkaOffsets(client_.get(), QueriesFor(partitions, spec), committed_, timeout);
  }

  absl::StatusOr<std::vector<int64_t>> FromTimestamp(
      const std::vector<KafkaPartitionId>& partitions, absl::Duration timeout) {
    ASSIGN_OR_RETURN(std::vector<int64_t> offsets, Query(partitions, start_.timestamp_ms, timeout));
    ASSIGN_OR_RETURN(std::vector<int64_t> ends,
                     Query(partitions, RD_KAFKA_OFFSET_SPEC_LATEST, timeout));
    for (size_t i = 0; i < offsets.size(); ++i) {
      offsets[i] =
          offsets[i] < 0 ? ends[i] : offsets[i];  // no record is that late: begin with new records
    }
    return offsets;
  }

  absl::StatusOr<std::vector<int64_t>> FromOffsets(const std::vector<KafkaPartitionId>& partitions,
                                                   absl::Duration timeout) {
    ASSIGN_OR_RETURN(std::vector<int64_t> offsets,
                     Query(partitions, RD_KAFKA_OFFSET_SPEC_EARLIEST, timeout));
    ASSIGN_OR_RETURN(std::vector<int64_t> ends,
                     Query(partitions, RD_KAFKA_OFFSET_SPEC_LATEST, timeout));
    size_t used = 0;
    for (size_t i = 0; i < partitions.size(); ++i) {
      auto wanted = start_.offsets.find(partitions[i].partition);
      if (wanted == start_.offsets.end()) {
        continue;
      }
      ++used;
      if (wanted->second < offsets[i] || wanted->second > ends[i]) {
        return absl::OutOfRangeError(
            absl::StrCat("option start: offset ", wanted->second, " of ",
                         KafkaPartitionName(partitions[i].topic, partitions[i].partition),
                         " is not in the log, which holds [", offsets[i], ", ", ends[i], ")"));
      }
      offsets[i] = wanted->second;
    }
    if (used < start_.offsets.size()) {
      return absl::InvalidArgumentError(absl::StrCat("option start names ", start_.offsets.size(),
                                                     " partitions, of which ", used, " exist"));
    }
    return offsets;
  }

  absl::StatusOr<std::vector<int64_t>> FromGroup(const std::vector<KafkaPartitionId>& partitions,
                                                 absl::Duration timeout) {
    ASSIGN_OR_RETURN(std::vector<int64_t> offsets,
                     CommittedKafkaOffsets(client_.get(), partitions, timeout));
    ASSIGN_OR_RETURN(std::vector<int64_t> earliest,
                     Query(partitions, RD_KAFKA_OFFSET_SPEC_EARLIEST, timeout));
    for (size_t i = 0; i < offsets.size(); ++i) {
      offsets[i] = offsets[i] < 0 ? earliest[i] : offsets[i];
    }
    return offsets;
  }

  std::shared_ptr<KafkaClient> client_;
  KafkaTopicSelection topics_;
  const std::unique_ptr<const RE2> pattern_;
  std::map<PartitionName, Life> lives_;  // by the name of the first life
  KafkaStart start_;
  bool committed_;
};

}  // namespace

std::string KafkaGroupOf(const proto::Source& source, const std::string& job_name) {
  return OptionOr(source.options(), "group", absl::StrCat("millrace-", job_name));
}

bool ReadsCommitted(const proto::Source& source, const SourceContext& context) {
  const std::string level =
      OptionOr(source.options(), "isolation.level",
               context.read_uncommitted ? "read_uncommitted" : "read_committed");
  return level == "read_committed";
}

absl::StatusOr<std::unique_ptr<SourceEnumerator>> NewKafkaEnumerator(const proto::Source& source,
                                                                     const SourceContext& context) {
  ASSIGN_OR_RETURN(KafkaTopicSelection topics,
                   ParseKafkaTopics(OptionOr(source.options(), "topic", "")));
  ASSIGN_OR_RETURN(KafkaStart start,
                   ParseKafkaStart(OptionOr(source.options(), "start", "earliest")));
  std::map<std::string, std::string> fixed = {{"group.id", KafkaGroupOf(source, context.job_name)},
                                              {"enable.auto.commit", "false"}};
  if (source.options().count("socket.timeout.ms") == 0) {
    fixed["socket.timeout.ms"] = kSocketTimeoutMs;
  }
  ASSIGN_OR_RETURN(std::shared_ptr<KafkaClient> client,
                   KafkaClient::Create(KafkaRole::kConsumer, source.options(), std::move(fixed)));
  return std::make_unique<KafkaEnumerator>(std::move(client), std::move(topics), std::move(start),
                                           ReadsCommitted(source, context));
}

}  // namespace millrace::kafka
