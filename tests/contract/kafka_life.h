// Fixture for tests of claims and commits of the Kafka sink: one topic of one partition, a job that
// writes to it through its epochs, and what the broker has of both.
#ifndef MILLRACE_TESTS_CONTRACT_KAFKA_LIFE_H_
#define MILLRACE_TESTS_CONTRACT_KAFKA_LIFE_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "tests/contract/kafka_place.h"
#include "tests/contract/sink_life.h"
#include "tests/contract/tables.h"

namespace millrace {

class KafkaLife : public testing::Test {
 protected:
  using Strings = std::vector<std::string>;

  KafkaLife();
  void TearDown() override;

  void SetOption(const std::string& name, const std::string& value);

  // Writes one row, and prepares the batch.
  static void Write(SinkMember& member, int64_t batch, const std::string& value,
                    uint32_t shard = 0);
  // Commits, and journals that. REQUIRES: the member is the only one.
  void Commit(SinkMember& member, int64_t through);
  void WriteAndCommit(SinkMember& member, int64_t batch, const std::string& value);
  // A commit whose answer comes too late: the broker gets it and carries it out.
  static void CommitUnanswered(SinkMember& member, int64_t through);

  // What readers of committed records see, once no transaction is open.
  Strings Visible() const;

  // The transactional id of a slot, and the job's log of marks with the keys of a slot's records.
  std::string PlaceName(uint32_t slot = 0) const;
  std::string LogTopic() const;
  std::string KeyPrefix(uint32_t slot = 0) const;

  // Calls `fn` at the first hit of a failpoint.
  static void At(const std::string& failpoint, std::function<void()> fn);

  const std::string topic_;
  SinkLife life_;
};

void ExpectAborted(const absl::Status& status, const std::string& says);

}  // namespace millrace

#endif  // MILLRACE_TESTS_CONTRACT_KAFKA_LIFE_H_
