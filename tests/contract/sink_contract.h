// What every sink connector must do (connectors/sink.h), as tests over any of them.
#ifndef MILLRACE_TESTS_CONTRACT_SINK_CONTRACT_H_
#define MILLRACE_TESTS_CONTRACT_SINK_CONTRACT_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "connectors/sink.h"
#include "tests/contract/sink_life.h"
#include "tests/contract/tables.h"

namespace millrace {

// A place to write to, empty at first.
class SinkUnderTest {
 public:
  virtual ~SinkUnderTest() = default;

  virtual const proto::Sink& sink() const = 0;
  // What a reader sees, in order where there is one: for append the values, for upsert "key=value"
  // and "key deleted".
  virtual std::vector<std::string> Visible() const = 0;
  // Like Visible, but does not wait for open transactions of sessions, which may take long.
  virtual std::vector<std::string> VisibleNow() const { return Visible(); }
  // The same place with a PRIMARY KEY column key before the column value.
  virtual proto::Sink UpsertSink() const { return {}; }
};

struct SinkCase {
  std::string name;
  std::function<std::unique_ptr<SinkUnderTest>()> make;

  friend std::ostream& operator<<(std::ostream& out, const SinkCase& one) {
    return out << one.name;
  }
};

class SinkContract : public testing::TestWithParam<SinkCase> {
 protected:
  void SetUp() override;

  void WriteRows(SinkMember& member, int64_t batch, const std::vector<std::string>& values,
                 uint32_t shard = 0);
  // Commits all batches up to `through` and settles them, as the driver has it done once the commit
  // is journaled. REQUIRES: the session is the job's only one.
  void Commit(SinkMember& member, int64_t through);
  void CommitRows(SinkMember& member, int64_t batch, const std::vector<std::string>& values);
  // Many rows, of more bytes than a HeldMemory of 100,000 has. REQUIRES: the life had one when the
  // session was opened.
  absl::Status WriteMany(SinkMember& member, int64_t batch, uint32_t shard = 0);

  std::unique_ptr<SinkUnderTest> place_;
  const SinkConnector* connector_ = nullptr;
  std::unique_ptr<SinkLife> life_;
};

// Of the sinks whose rows may leave a session's memory before their commit
// (connectors/shared/flow_out.h): batches that are much larger than the memory for them.
class LargeBatchContract : public SinkContract {
 protected:
  void SetUp() override;
};

// Of the sinks with SinkTraits::Scope::kExecutor: several shards in a session, and places that
// outlive executors.
class SharedSessionContract : public SinkContract {
 protected:
  void SetUp() override;
  void TearDown() override;

  // Commits of all members, then the journal's record of the batch.
  void CommitAll(const SinkMembers& members, int64_t through);
};

}  // namespace millrace

#endif  // MILLRACE_TESTS_CONTRACT_SINK_CONTRACT_H_
