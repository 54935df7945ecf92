// Kafka's transactions, as Millrace's exactly-once sinks rely on them. TransactionalLog states what
// the sinks rely on; SimulatedKafka does it in memory for simulations; and a real broker must do
// the same (tests/contract/kafka_conformance_test.cc).
#ifndef MILLRACE_DRIVER_COORDINATOR_TESTING_SIMULATED_KAFKA_H_
#define MILLRACE_DRIVER_COORDINATOR_TESTING_SIMULATED_KAFKA_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace millrace::driver {

// A cluster with topics of one partition, and groups with an offset for each partition of a topic
// of which only the metadata matters. Thread-compatible, like its producers, which it must outlive.
//
// A topic may be compacted: a record that a later committed record of the same key supersedes may
// vanish at any time. All others keep their offsets and stay.
//
// Errors: ABORTED = fenced, for good. UNAVAILABLE = of a commit: in doubt; of a read: an open
// transaction is in the way. FAILED_PRECONDITION = not the time for this call.
class TransactionalLog {
 public:
  struct Record {
    std::optional<std::string> key;
    std::string value;
    friend bool operator==(const Record&, const Record&) = default;
  };

  // Only versions before sessions keep marks in offsets (SinkConnector::ClaimFormerShard).
  struct OffsetName {
    std::string group;
    int32_t partition = 0;
    friend auto operator<=>(const OffsetName&, const OffsetName&) = default;
  };

  // What happens to a commit that is not answered.
  enum class Fate {
    kCarriedOut,  // the producer may ask for it again
    kLost,        // lost on its way to the broker; the producer cannot be used any more
  };

  // Destroying a producer is like its crash: an open transaction stays open.
  class Producer {
   public:
    virtual ~Producer() = default;

    // Ends what an earlier producer of the transactional id left open, and fences it: the last to
    // come here owns the id. When it returns, that transaction is committed or aborted for good.
    virtual absl::Status Init() = 0;
    virtual absl::Status Begin() = 0;
    // Only SendOffset and Commit are guaranteed to find that the producer is fenced.
    virtual absl::Status Produce(const std::string& topic, const Record& record) = 0;
    // Where the record lies that was produced last. REQUIRES: its transaction is committed, and
    // Commit has said so.
    virtual int64_t LastOffset() const = 0;
    // REQUIRES: a read of that offset since the last commit that set it; without that, an abort may
    // undo the offset of that commit too. If the producer is fenced, the call is refused, and may
    // discard what the open transaction of its successor has set for the same offset.
    virtual absl::Status SendOffset(const OffsetName& offset, const std::string& metadata) = 0;
    virtual absl::Status Commit() = 0;
    virtual absl::Status Abort() = 0;
    // The next commit is not answered: UNAVAILABLE.
    virtual void LoseAnswerOfCommit(Fate fate) = 0;
  };

  struct Ends {
    int64_t stable = 0;  // the last stable offset: readers of committed records get so far
    int64_t last = 0;    // behind all records, including the one that ends each transaction
    friend bool operator==(const Ends&, const Ends&) = default;
  };

  struct PlacedRecord {
    int64_t offset = 0;
    Record record;
    friend bool operator==(const PlacedRecord&, const PlacedRecord&) = default;
  };

  virtual ~TransactionalLog() = default;

  // The broker aborts a transaction that has been open for longer than the timeout, and fences its
  // producer.
  virtual std::unique_ptr<Producer> NewProducer(const std::string& transactional_id,
                                                absl::Duration transaction_timeout) = 0;

  // An ended transaction may take a moment to be seen here.
  virtual absl::StatusOr<Ends> EndsOf(const std::string& topic) = 0;
  // The values of all committed records before the last stable offset.
  virtual absl::StatusOr<std::vector<std::string>> ReadCommitted(const std::string& topic) = 0;
  // The committed records from the offset `first` to the offset `last`, the one there included:
  // waits for transactions that are ending. UNAVAILABLE while one is open that began at or before
  // `last`, whatever its transactional id. REQUIRES: a record was produced at `last`.
  virtual absl::StatusOr<std::vector<PlacedRecord>> ReadThrough(const std::string& topic,
                                                                int64_t first, int64_t last) = 0;

  // The offset's metadata, none if there is none: waits for transactions that are ending.
  // UNAVAILABLE while one with this offset is open.
  virtual absl::StatusOr<std::optional<std::string>> ReadOffset(const OffsetName& offset) = 0;
};

// Kafka at its worst, as far as its rules allow: a fenced producer learns of that only from
// SendOffset and Commit, only ReadOffset waits for a committed offset to be seen, and offsets that
// can be lost are lost. Time is virtual.
class SimulatedKafka : public TransactionalLog {
 public:
  std::unique_ptr<Producer> NewProducer(const std::string& transactional_id,
                                        absl::Duration transaction_timeout) override;
  absl::StatusOr<Ends> EndsOf(const std::string& topic) override;
  absl::StatusOr<std::vector<std::string>> ReadCommitted(const std::string& topic) override;
  absl::StatusOr<std::vector<PlacedRecord>> ReadThrough(const std::string& topic, int64_t first,
                                                        int64_t last) override;
  absl::StatusOr<std::optional<std::string>> ReadOffset(const OffsetName& offset) override;

  // Transactions time out.
  void PassTime(absl::Duration duration);

  // Removes each record of the topic that may vanish, if `vanishes` says so, which is asked once
  // for each.
  void Compact(const std::string& topic, const std::function<bool()>& vanishes);
  // From now on, all that may vanish from the topic does so at once.
  void CompactAlways(const std::string& topic) { compacted_always_.insert(topic); }

  // What readers would get once the open transactions have been aborted.
  std::vector<PlacedRecord> AllCommitted(const std::string& topic) const;
  // ReadOffset of all offsets of a group at once, by partition; and the same once the open
  // transactions have been aborted.
  absl::StatusOr<std::map<int32_t, std::string>> ReadOffsets(const std::string& group);
  std::map<int32_t, std::string> CommittedOffsets(const std::string& group) const;

 private:
  class SimulatedProducer;

  enum class State { kOpen, kCommitted, kAborted };
  struct Transaction {
    State state = State::kOpen;
    absl::Duration ends_at = absl::InfiniteDuration();
    std::set<std::string> topics;
    std::map<OffsetName, std::string> offsets;
  };
  // The state of one transactional id.
  struct Owner {
    int64_t epoch = 0;
    std::shared_ptr<Transaction> open;
  };
  struct Entry {
    std::shared_ptr<const Transaction> transaction;
    std::optional<Record> record;  // none: the end of the transaction, or the record has vanished
  };
  struct KeptOffset {
    std::optional<std::string> committed;
    std::optional<std::string> late;  // committed, but only ReadOffset makes it count
    std::set<const Transaction*> open;
  };
  using Topic = std::vector<Entry>;  // by offset

  static bool IsCommitted(const Entry& entry);
  static size_t StableEnd(const Topic& topic);
  Transaction& OpenTransaction(Owner& owner, absl::Duration timeout);
  void End(Owner& owner, State state);

  absl::Duration now_;
  std::map<std::string, Owner> owners_;
  std::map<std::string, Topic> topics_;
  std::set<std::string> compacted_always_;
  std::map<OffsetName, KeptOffset> offsets_;
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_COORDINATOR_TESTING_SIMULATED_KAFKA_H_
