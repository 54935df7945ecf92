// Kafka's transactions, as Millrace's exactly-once sinks rely on them. TransactionalLog states what
// the sinks rely on; SimulatedKafka does it in memory for simulations; and a real broker must do
// the same (tests/contract/kafka_conformance_test.cc).
#ifndef MILLRACE_DRIVER_COORDINATOR_TESTING_SIMULATED_KAFKA_H_
#define MILLRACE_DRIVER_COORDINATOR_TESTING_SIMULATED_KAFKA_H_

#include <cstdint>
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
// Errors: ABORTED = fenced, for good. UNAVAILABLE = of a commit: in doubt; of a read: an open
// transaction is in the way. FAILED_PRECONDITION = not the time for this call.
class TransactionalLog {
 public:
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
    virtual absl::Status Produce(const std::string& topic, const std::string& value) = 0;
    // REQUIRES: a stable read of that offset since the last commit that set it; without that, an
    // abort may undo the offset of that commit too. If the producer is fenced, the call is refused,
    // and may discard what the open transaction of its successor has set for the same offset.
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

  virtual ~TransactionalLog() = default;

  // The broker aborts a transaction that has been open for longer than the timeout, and fences its
  // producer.
  virtual std::unique_ptr<Producer> NewProducer(const std::string& transactional_id,
                                                absl::Duration transaction_timeout) = 0;

  // An ended transaction may take a moment to be seen here.
  virtual absl::StatusOr<Ends> EndsOf(const std::string& topic) = 0;
  virtual absl::StatusOr<std::vector<std::string>> ReadCommitted(const std::string& topic) = 0;

  // The offset's metadata, none if there is none. `stable`: waits for transactions that are ending,
  // UNAVAILABLE while one with this offset is open. Else it may be older.
  virtual absl::StatusOr<std::optional<std::string>> ReadOffset(const OffsetName& offset,
                                                                bool stable) = 0;
  // As after offsets.retention.minutes without members.
  virtual absl::Status ExpireGroup(const std::string& group) = 0;
};

// Kafka at its worst, as far as its rules allow: a fenced producer learns of that only from
// SendOffset and Commit, only a stable read waits for a committed offset to be seen, and offsets
// that can be lost are lost. Time is virtual.
class SimulatedKafka : public TransactionalLog {
 public:
  std::unique_ptr<Producer> NewProducer(const std::string& transactional_id,
                                        absl::Duration transaction_timeout) override;
  absl::StatusOr<Ends> EndsOf(const std::string& topic) override;
  absl::StatusOr<std::vector<std::string>> ReadCommitted(const std::string& topic) override;
  absl::StatusOr<std::optional<std::string>> ReadOffset(const OffsetName& offset,
                                                        bool stable) override;
  absl::Status ExpireGroup(const std::string& group) override;

  // Transactions time out.
  void PassTime(absl::Duration duration);

  // Stable reads of all offsets of a group at once, by partition.
  absl::StatusOr<std::map<int32_t, std::string>> ReadOffsets(const std::string& group);

  // What ReadOffsets gives once the open transactions have been aborted.
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
  struct Record {
    std::shared_ptr<const Transaction> transaction;
    std::optional<std::string> value;  // none: the end of the transaction
  };
  struct KeptOffset {
    std::optional<std::string> committed;
    std::optional<std::string> late;  // committed, but not visible to plain reads yet
    std::set<const Transaction*> open;
  };

  static size_t StableEnd(const std::vector<Record>& log);
  Transaction& OpenTransaction(Owner& owner, absl::Duration timeout);
  void End(Owner& owner, State state);

  absl::Duration now_;
  std::map<std::string, Owner> owners_;
  std::map<std::string, std::vector<Record>> topics_;
  std::map<OffsetName, KeptOffset> offsets_;
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_COORDINATOR_TESTING_SIMULATED_KAFKA_H_
