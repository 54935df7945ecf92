// Tables and rows for the contract suites: everything is one text column called value, unless a
// case says more.
#ifndef MILLRACE_TESTS_CONTRACT_TABLES_H_
#define MILLRACE_TESTS_CONTRACT_TABLES_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "common/columnar/batch.h"
#include "connectors/registry.h"

namespace millrace {

// The built-in connectors, made once per process.
const ConnectorRegistry& Connectors();

// A source or sink table of `connector` with these options and the column value.
proto::Source TextSource(const std::string& connector, const std::string& format,
                         const std::vector<std::pair<std::string, std::string>>& options);
proto::Sink TextSink(const std::string& connector, const std::string& format,
                     const std::vector<std::pair<std::string, std::string>>& options);
void AddSinkColumn(proto::Sink* sink, const std::string& name, proto::TypeKind type);

// Text columns of equal length as a batch of its own memory.
Batch TextRows(const std::vector<std::vector<std::string>>& columns);
ColumnPtr TextColumn(const std::vector<std::string>& values);
ColumnPtr Weights(const std::vector<int64_t>& weights);

// The selected rows' values of a text column; NULL as "<null>".
std::vector<std::string> Texts(const Batch& batch, size_t column = 0);

// A directory of the test's own under TEST_TMPDIR.
std::string NewDirectory();

}  // namespace millrace

// Fails the test unless `expr` (a Status or a StatusOr) is OK.
#define EXPECT_OK(expr) EXPECT_EQ(::millrace::StatusText(expr), "OK")
#define ASSERT_OK(expr) ASSERT_EQ(::millrace::StatusText(expr), "OK")

namespace millrace {

inline std::string StatusText(const absl::Status& status) { return status.ToString(); }
template <typename T>
std::string StatusText(const absl::StatusOr<T>& status) {
  return status.status().ToString();
}

}  // namespace millrace

#endif  // MILLRACE_TESTS_CONTRACT_TABLES_H_
