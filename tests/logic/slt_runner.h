// Runs the queries of an .slt file on a local engine: tables are CSV files, each query is a job of
// its own whose rows go to a memory table and are added up by weight. One thread at a time.
#ifndef MILLRACE_TESTS_LOGIC_SLT_RUNNER_H_
#define MILLRACE_TESTS_LOGIC_SLT_RUNNER_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/local_engine.h"
#include "tests/logic/slt_file.h"

namespace millrace {

class SltRunner {
 public:
  // Writes the file's tables below `directory`, which must exist. Borrows both.
  SltRunner(client::LocalEngine* engine, const SltFile* file, std::string directory);

  // OK if the query gave what the file says; else what differs, ready to be read.
  absl::Status Run(const SltQuery& query);

 private:
  // The declarations that stand before `query`.
  std::string Prelude(const SltQuery& query) const;
  // Rows of a query, as the text form of COPY, sorted; repeated ones repeated.
  absl::StatusOr<std::vector<std::string>> RowsOf(const std::string& script);

  client::LocalEngine* engine_;
  const SltFile* file_;
  std::string directory_;
};

}  // namespace millrace

#endif  // MILLRACE_TESTS_LOGIC_SLT_RUNNER_H_
