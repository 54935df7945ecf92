// Messages of one partition on their way from librdkafka to Read. librdkafka fetches into its own
// queue; Drain moves fetched messages into the stage, so that the partition's fetched offset is
// known even if no thread is reading. Messages are passed on by pointer, never copied.
//
// Thread-safe. Drain is called by the reader's pump and by Take; one thread at a time may Take.
#ifndef MILLRACE_CONNECTORS_KAFKA_SOURCE_FETCHED_PARTITION_H_
#define MILLRACE_CONNECTORS_KAFKA_SOURCE_FETCHED_PARTITION_H_

#include <librdkafka/rdkafka.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/monotonic_cond_var.h"
#include "connectors/kafka/client/client.h"
#include "connectors/kafka/client/offsets.h"
#include "connectors/source.h"

namespace millrace::kafka {

// Messages that are passed on and destroyed together.
class MessageBlock {
 public:
  explicit MessageBlock(std::shared_ptr<KafkaClient> client) : client_(std::move(client)) {}
  MessageBlock(const MessageBlock&) = delete;
  MessageBlock& operator=(const MessageBlock&) = delete;
  ~MessageBlock();

  std::vector<rd_kafka_message_t*> messages;

 private:
  std::shared_ptr<KafkaClient> client_;  // must outlive the messages
};

// What to do when retention has removed offsets before they were read: option on_data_loss.
enum class OnDataLoss { kFail, kSkip };

class FetchedPartition : public std::enable_shared_from_this<FetchedPartition> {
 public:
  // `wake` is called on a librdkafka thread, under a lock of librdkafka, when messages have come to
  // an empty queue.
  FetchedPartition(std::shared_ptr<KafkaClient> client, KafkaPartitionId id, int64_t offset,
                   OnDataLoss on_data_loss,
                   std::function<void(std::shared_ptr<FetchedPartition>)> wake);
  FetchedPartition(const FetchedPartition&) = delete;
  FetchedPartition& operator=(const FetchedPartition&) = delete;
  ~FetchedPartition();

  // Begins to fetch.
  absl::Status Start();
  void Stop();

  // Moves fetched messages to the stage while the stage has less than `limit_bytes`. Returns
  // whether fetched_to() advanced.
  bool Drain(int64_t limit_bytes);

  struct Taken {
    std::shared_ptr<MessageBlock> block;
    int64_t next = 0;
    int64_t lost_begin = 0;  // as in SourceChunk
    int64_t lost_end = 0;
    bool fetched_more = false;  // fetched_to() advanced
    bool wants_drain = false;   // librdkafka has more messages, and there is room for them
  };
  // Takes messages with offsets in [position, end), as SourceReader::Read does. If the log no
  // longer has the next offset, it asks the cluster for the log's ends, which may take longer than
  // until `deadline`.
  absl::StatusOr<Taken> Take(int64_t end, size_t max_messages, int64_t limit_bytes,
                             absl::Time deadline);

  // The partition is gone: the rest of [position, end) counts as lost.
  Taken GiveUp(int64_t end);
  // The average size of messages that were fetched and not taken; 0 if there are none.
  double BytesPerOffset();
  // All offsets below have been fetched.
  int64_t fetched_to() const { return fetched_to_.load(std::memory_order_acquire); }
  const KafkaPartitionId& id() const { return id_; }
  const std::string& name() const { return name_; }

  // Whether the partition is in the pump's list, so that it is not put there a second time.
  std::atomic<bool> signalled{false};

 private:
  struct Staged {
    rd_kafka_message_t* message;
    int64_t offset;
  };

  static void OnQueueEvent(rd_kafka_t* client, void* opaque);
  bool DrainLocked(int64_t limit_bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The offset behind the last message or control record that librdkafka has passed on.
  int64_t LibraryPosition() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Stage(rd_kafka_message_t* message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteError(rd_kafka_resp_err_t error, const std::string& text)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AdvanceTo(int64_t offset);
  absl::Status StartLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether Take has an answer for `end`; `taken` then holds it.
  bool TakeLocked(int64_t end, size_t max_messages, Taken* taken)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The same, for lost offsets.
  bool TakeLostLocked(int64_t end, Taken* taken) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status TimeoutError(int64_t end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Called when the log does not have offset `next`. Returns the offset where to go on, or the
  // error that says which offsets are lost. Asks the cluster.
  absl::StatusOr<int64_t> WhereToGoOn(int64_t next, const std::string& reason)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Goes on fetching where WhereToGoOn says.
  absl::Status GoOnBehindLoss(int64_t next, const std::string& reason) ABSL_LOCKS_EXCLUDED(mutex_);
  // Goes on fetching at `offset`. Offsets below that have not been fetched are lost.
  absl::Status GoOnAt(int64_t offset) ABSL_LOCKS_EXCLUDED(mutex_);

  std::shared_ptr<KafkaClient> client_;
  KafkaPartitionId id_;
  std::string name_;
  const OnDataLoss on_data_loss_;
  std::function<void(std::shared_ptr<FetchedPartition>)> wake_;
  KafkaPtr<rd_kafka_queue_t> queue_;
  KafkaPtr<rd_kafka_topic_partition_list_t> list_;  // this partition alone, for librdkafka's calls

  std::atomic<int64_t> fetched_to_;
  absl::Mutex mutex_;
  MonotonicCondVar arrived_;
  KafkaPtr<rd_kafka_topic_partition_list_t> position_list_ ABSL_GUARDED_BY(mutex_);
  std::vector<Staged> staged_ ABSL_GUARDED_BY(mutex_);
  size_t head_ ABSL_GUARDED_BY(mutex_) = 0;  // staged_ from here on is still to be taken
  int64_t staged_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t position_ ABSL_GUARDED_BY(mutex_);
  // The position of an earlier assignment of the partition, which librdkafka forgets only a little
  // later.
  int64_t stale_position_ ABSL_GUARDED_BY(mutex_) = RD_KAFKA_OFFSET_INVALID;
  int64_t lost_begin_ ABSL_GUARDED_BY(mutex_) =
      0;  // offsets in here are gone; nothing is staged below lost_end_
  int64_t lost_end_ ABSL_GUARDED_BY(mutex_) = 0;
  bool more_ ABSL_GUARDED_BY(mutex_) = false;  // the last Drain stopped for lack of room
  absl::Status error_ ABSL_GUARDED_BY(mutex_);
  std::vector<rd_kafka_message_t*> scratch_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_SOURCE_FETCHED_PARTITION_H_
