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
  // Like Visible, but does not wait for open transactions of writers, which may take long.
  virtual std::vector<std::string> VisibleNow() const { return Visible(); }
  // Whether the place itself keeps the marker, so that it can refuse a writer of a lower epoch. For
  // others the driver does: it takes no marker of one.
  virtual bool keeps_marker() const { return false; }
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
  // In a new epoch, with what the driver's journal would know: `marker`, and the batches that the
  // test has planned and committed so far.
  std::unique_ptr<SinkWriter> Open(const std::string& marker, uint32_t shard = 0);
  std::unique_ptr<SinkWriter> Open(const proto::Sink& sink, const std::string& marker,
                                   uint32_t shard = 0);
  // Writes, prepares and commits one batch; the marker.
  std::string CommitRows(SinkWriter* writer, int64_t batch, const std::vector<std::string>& values);
  void WriteRows(SinkWriter* writer, int64_t batch, const std::vector<std::string>& values);
  // Many rows, of more bytes than a HeldMemory of 100,000 has. REQUIRES: context_ had one when the
  // writer was opened.
  absl::Status WriteMany(SinkWriter* writer, int64_t batch);
  // Prepares and commits all batches up to `through`, and settles them as the driver does once the
  // commit is journaled.
  std::string Commit(SinkWriter* writer, int64_t through);

  std::unique_ptr<SinkUnderTest> place_;
  const SinkConnector* connector_ = nullptr;
  SinkContext context_;  // of the last writer
};

// Of the sinks whose rows may leave a writer's memory before their commit
// (connectors/shared/flow_out.h): batches that are much larger than the memory for them.
class LargeBatchContract : public SinkContract {
 protected:
  void SetUp() override;
};

}  // namespace millrace

#endif  // MILLRACE_TESTS_CONTRACT_SINK_CONTRACT_H_
