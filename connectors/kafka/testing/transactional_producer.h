// A transactional producer for tests of what readers see of transactions: open ones, aborted ones,
// control records; and of offsets that are part of them. Thread-compatible. The engine's own
// transactional sink is not built on this.
//
// Errors: ABORTED = fenced, UNAVAILABLE = no answer in time, which may still be carried out.
#ifndef MILLRACE_CONNECTORS_KAFKA_TESTING_TRANSACTIONAL_PRODUCER_H_
#define MILLRACE_CONNECTORS_KAFKA_TESTING_TRANSACTIONAL_PRODUCER_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "connectors/kafka/client/offsets.h"

namespace millrace::kafka {

class TransactionalProducer {
 public:
  virtual ~TransactionalProducer() = default;
  virtual absl::Status Begin() = 0;
  virtual absl::Status Send(const std::string& topic, int32_t partition,
                            std::string_view value) = 0;
  virtual absl::Status SendKeyed(const std::string& topic, int32_t partition, std::string_view key,
                                 std::string_view value) = 0;
  // Waits until all sent records are in the log.
  virtual absl::Status Flush() = 0;
  // Where the record that was sent last lies in its partition. REQUIRES: Flush.
  virtual int64_t last_offset() const = 0;
  // Adds offset 0 of `partition`, with `metadata`, for a group to the transaction.
  virtual absl::Status SendOffset(const std::string& group, const KafkaPartitionId& partition,
                                  std::string_view metadata) = 0;
  virtual absl::Status Commit(absl::Duration timeout = absl::Seconds(30)) = 0;
  virtual absl::Status Abort() = 0;
};
// Returns a producer that has called init_transactions.
absl::StatusOr<std::unique_ptr<TransactionalProducer>> NewTransactionalProducer(
    const std::string& bootstrap_servers, const std::string& transactional_id,
    absl::Duration transaction_timeout = absl::Seconds(60));

// Reads the metadata of the offset that SendOffset made part of a transaction. `stable`: waits
// while one is open or ending.
absl::StatusOr<std::optional<std::string>> ReadOffsetMetadata(const std::string& bootstrap_servers,
                                                              const std::string& group,
                                                              const KafkaPartitionId& partition,
                                                              bool stable, absl::Duration timeout);

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_TESTING_TRANSACTIONAL_PRODUCER_H_
