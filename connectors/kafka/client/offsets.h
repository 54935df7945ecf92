// Asks the cluster for offsets of partitions: ends, offsets by time, offsets committed by groups.
// Blocking calls, limited by their timeout; thread-safe as the client is.
#ifndef MILLRACE_CONNECTORS_KAFKA_CLIENT_OFFSETS_H_
#define MILLRACE_CONNECTORS_KAFKA_CLIENT_OFFSETS_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/steady_time.h"
#include "connectors/kafka/client/client.h"
#include "connectors/source.h"

namespace millrace::kafka {

struct KafkaPartitionId {
  std::string topic;
  int32_t partition = 0;
};

// RD_KAFKA_OFFSET_SPEC_EARLIEST, …_LATEST or a timestamp in milliseconds, for one partition.
struct KafkaOffsetQuery {
  KafkaPartitionId partition;
  int64_t spec = 0;
};

// Repeats `fn(time left)` while it returns UNAVAILABLE and there is time: partitions change
// leaders, and a new one has none at first. The first repetitions come quickly, since an offset
// that waits for the end of its transaction is there in a moment.
template <typename Fn>
auto RetryWhileUnavailable(absl::Duration timeout, Fn&& fn) {
  constexpr absl::Duration kLongestPause = absl::Milliseconds(20);
  absl::Duration pause = absl::Milliseconds(1);
  absl::Time deadline = SteadyNow() + timeout;
  while (true) {
    auto result = fn(deadline - SteadyNow());
    if (result.status().code() != absl::StatusCode::kUnavailable ||
        SteadyNow() + pause >= deadline) {
      return result;
    }
    absl::SleepFor(pause);
    pause = std::min(pause * 2, kLongestPause);
  }
}

// One request per broker for all of `queries`. Answers are in their order, −1 if no record is as
// late as the timestamp. With `committed`, the end is the last stable offset. NOT_FOUND names a
// partition that is gone.
class KafkaOffsetRequest {
 public:
  // Sends the request; Wait collects the answers. Two requests can be under way at once.
  KafkaOffsetRequest(KafkaClient* client, std::vector<KafkaOffsetQuery> queries, bool committed,
                     absl::Duration timeout);
  absl::StatusOr<std::vector<int64_t>> Wait();

 private:
  absl::StatusOr<std::vector<int64_t>> Answer();

  KafkaClient* client_;
  std::vector<KafkaOffsetQuery> queries_;
  absl::Duration timeout_;
  KafkaPtr<rd_kafka_queue_t> queue_;
};

// Sends and waits in one call; tries again while a partition has no leader.
absl::StatusOr<std::vector<int64_t>> QueryKafkaOffsets(KafkaClient* client,
                                                       const std::vector<KafkaOffsetQuery>& queries,
                                                       bool committed, absl::Duration timeout);

// Offsets that the client's group has committed, in order; −1 = none.
absl::StatusOr<std::vector<int64_t>> CommittedKafkaOffsets(
    KafkaClient* client, const std::vector<KafkaPartitionId>& partitions, absl::Duration timeout);

// Commits offsets to the client's group.
absl::Status CommitKafkaOffsets(KafkaClient* client,
                                const std::vector<std::pair<KafkaPartitionId, int64_t>>& offsets,
                                absl::Duration timeout);

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_CLIENT_OFFSETS_H_
