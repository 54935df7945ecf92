// Reads topics from their start as any read_committed consumer does, for ever. Thread-compatible
// except where noted.
#ifndef MILLRACE_TESTS_CHAOS_TOPIC_READER_H_
#define MILLRACE_TESTS_CHAOS_TOPIC_READER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

struct rd_kafka_s;
struct rd_kafka_queue_s;
struct rd_kafka_message_s;

namespace millrace::chaos {

struct TopicRecord {
  size_t topic = 0;  // its place in the list that Create got
  int32_t partition = 0;
  int64_t offset = 0;
  std::string_view key;
  std::optional<std::string_view> value;
};

class TopicReader {
 public:
  using PartitionId = std::pair<size_t, int32_t>;  // topic, partition
  using Offsets = std::map<PartitionId, int64_t>;

  // REQUIRES: the topics exist, each with `partitions` partitions.
  static absl::StatusOr<std::unique_ptr<TopicReader>> Create(const std::string& bootstrap,
                                                             std::vector<std::string> topics,
                                                             int32_t partitions);
  ~TopicReader();

  // Hands over what there is, waiting up to `wait_ms` for a first record. Each partition in its
  // order. Views end with the call of `take`.
  void Poll(int wait_ms, const std::function<void(const TopicRecord&)>& take);

  // The last stable offsets as the broker says now: what was committed before the call lies below
  // them. Nothing if the broker does not answer. Thread-safe.
  std::optional<Offsets> StableEnds(int timeout_ms) const;

  // Whether all that is visible below `ends` has been handed over.
  bool HasReached(const Offsets& ends) const;

 private:
  TopicReader() = default;
  void Take(const rd_kafka_message_s& message, const std::function<void(const TopicRecord&)>& take);

  std::vector<std::string> topics_;
  std::map<std::string, size_t> numbers_;  // of topics, by name
  Offsets positions_;                      // next offset to be handed over
  rd_kafka_s* consumer_ = nullptr;
  rd_kafka_queue_s* queue_ = nullptr;
};

}  // namespace millrace::chaos

#endif  // MILLRACE_TESTS_CHAOS_TOPIC_READER_H_
