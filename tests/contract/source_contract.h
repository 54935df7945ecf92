// What every source connector must do (connectors/source.h), as tests over any of them. A case
// fills a table with two partitions; the suite reads it in every way an executor may.
#ifndef MILLRACE_TESTS_CONTRACT_SOURCE_CONTRACT_H_
#define MILLRACE_TESTS_CONTRACT_SOURCE_CONTRACT_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "connectors/source.h"
#include "tests/contract/tables.h"

namespace millrace {

// A table with records in it.
class SourceUnderTest {
 public:
  virtual ~SourceUnderTest() = default;

  virtual const proto::Source& source() const = 0;
  // What the records of the i-th partition (in the order of names) hold by now.
  virtual std::vector<std::string> Expected(size_t partition) const = 0;
  // Whether records can be added, and the adding.
  virtual bool can_append() const { return false; }
  virtual void Append(size_t /*partition*/, const std::vector<std::string>& /*values*/) {}
  // Whether FetchedTo reaches the end although nobody reads.
  virtual bool prefetches() const { return false; }
};

struct SourceCase {
  std::string name;
  std::function<std::unique_ptr<SourceUnderTest>()> make;

  friend std::ostream& operator<<(std::ostream& out, const SourceCase& one) {
    return out << one.name;
  }
};

class SourceContract : public testing::TestWithParam<SourceCase> {
 protected:
  // What reading a range gave.
  struct Result {
    std::vector<std::string> values;
    std::vector<int64_t> offsets;
    std::vector<int64_t> nexts;  // position after each chunk
    uint64_t hash = 0;
    int64_t position = 0;
  };

  void SetUp() override;
  std::unique_ptr<SourceReader> NewReader(const proto::Source& source);
  std::unique_ptr<SourceReader> NewReader() { return NewReader(table_->source()); }
  void RefreshEnds();
  // Reads [position, end) of a partition; expects what the contract says of every chunk.
  void ReadTo(SourceReader* reader, size_t partition, int64_t end, size_t max_rows, Result* result);
  // A whole partition with a reader of its own.
  Result ReadAll(size_t partition, size_t max_rows);

  std::unique_ptr<SourceUnderTest> table_;
  const SourceConnector* connector_ = nullptr;
  SourceContext context_;
  std::unique_ptr<SourceEnumerator> enumerator_;
  std::vector<PartitionName> partitions_;
  std::vector<int64_t> begins_;
  std::vector<int64_t> ends_;
};

}  // namespace millrace

#endif  // MILLRACE_TESTS_CONTRACT_SOURCE_CONTRACT_H_
