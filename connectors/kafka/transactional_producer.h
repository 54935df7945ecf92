// A transactional producer for tests of what readers see of transactions: open ones, aborted ones,
// control records. Thread-compatible. The engine's own transactional sink is not built on this.
#ifndef MILLRACE_CONNECTORS_KAFKA_TRANSACTIONAL_PRODUCER_H_
#define MILLRACE_CONNECTORS_KAFKA_TRANSACTIONAL_PRODUCER_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "connectors/kafka/admin.h"

namespace millrace {

class TransactionalProducer {
 public:
  virtual ~TransactionalProducer() = default;
  virtual absl::Status Begin() = 0;
  virtual absl::Status Send(const std::string& topic, int32_t partition,
                            std::string_view value) = 0;
  // Returns when all that was sent is in the log.
  virtual absl::Status Flush() = 0;
  virtual absl::Status Commit() = 0;
  virtual absl::Status Abort() = 0;
};
absl::StatusOr<std::unique_ptr<TransactionalProducer>> NewTransactionalProducer(
    const std::string& bootstrap_servers, const std::string& transactional_id);

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_KAFKA_TRANSACTIONAL_PRODUCER_H_
