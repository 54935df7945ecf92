// The truth ledger: sends the records, reads every output beside the job, and compares. One thread
// runs it; commands come from any thread.
//
// Events it tells (events.h): `violation` at once; `progress` every second; `mark` when every
// output shows, from every partition, a record that was sent after the mark; `stopped`,
// `complete` and `result` at the end.
#ifndef MILLRACE_TESTS_CHAOS_LEDGER_H_
#define MILLRACE_TESTS_CHAOS_LEDGER_H_

#include <cstdint>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/chaos/checks.h"
#include "tests/chaos/events.h"
#include "tests/chaos/file_reader.h"
#include "tests/chaos/generator.h"
#include "tests/chaos/latency_histogram.h"
#include "tests/chaos/topic_reader.h"
#include "tests/chaos/truth.h"

namespace millrace::chaos {

struct LedgerOptions {
  Truth truth;
  GeneratorOptions generator;
  // Name of the output (checks.h) and its topic, or its directory if the name ends in "_files".
  std::vector<std::pair<std::string, std::string>> outputs;
};

class Ledger {
 public:
  static absl::StatusOr<std::unique_ptr<Ledger>> Create(const LedgerOptions& options,
                                                        Events* events);

  // Until `finish` has been done; whether everything was right.
  bool Run();

  // Thread-safe. Commands:
  //   rate R         records per second from now on
  //   mark ID        remember what has been sent by now; the event `mark` says when outputs went on
  //   forget         latencies from now on only
  //   stop           send no more; the event `stopped`, and `complete` once everything has come
  //   finish         read all that is committed, tell what is missing, end
  void Command(const std::string& line);

 private:
  struct Output {
    std::string name;
    std::unique_ptr<Findings> findings;
    std::unique_ptr<OutputCheck> check;
    std::unique_ptr<FileReader> files;  // of a file sink
    LatencyHistogram latency;
    Counts shown;  // one past the last source record that it shows, by partition
    bool tells_records = true;
    int64_t records = 0;  // rows of the output
  };

  struct Mark {
    std::string id;
    int64_t at_us = 0;
    Counts sent;
    int64_t first_us = 0;  // when the first output went on; 0 = not yet
  };

  // A question to the broker, and what append outputs had shown when it was put.
  struct Barrier {
    std::vector<Counts> frontiers;  // by output
    std::future<std::optional<TopicReader::Offsets>> answer;
    std::optional<TopicReader::Offsets> ends;
  };

  explicit Ledger(const LedgerOptions& options, Events* events)
      : truth_(options.truth), events_(*events) {}
  absl::Status AddOutput(const std::string& name, const std::string& place);

  void ReadTopics();
  void ReadFiles();
  void DoCommands();
  void Do(const std::string& line);
  void CheckMarks();
  void CheckBarrier();
  void CheckStopped();
  void TellProgress();
  // Reads up to everything that is committed now; false if the broker does not answer.
  bool CatchUp();
  bool TellResults();
  bool Shows(const Output& output, const Counts& sent, bool everywhere) const;

  const Truth truth_;
  Events& events_;
  std::unique_ptr<Findings> source_findings_;
  std::unique_ptr<Generator> generator_;
  std::unique_ptr<TopicReader> topics_;
  std::vector<std::unique_ptr<Output>> outputs_;
  std::vector<size_t> of_topic_;  // output of each of the reader's topics
  std::vector<Mark> marks_;
  std::optional<Barrier> barrier_;
  int64_t next_barrier_us_ = 0;
  int64_t next_progress_us_ = 0;
  int64_t next_files_us_ = 0;
  int64_t next_complete_us_ = 0;
  bool told_stopped_ = false;
  bool told_complete_ = false;
  bool finish_ = false;

  std::mutex mutex_;
  std::vector<std::string> commands_;  // guarded by mutex_
  std::mutex source_mutex_;            // source findings come from the generator's thread
};

}  // namespace millrace::chaos

#endif  // MILLRACE_TESTS_CHAOS_LEDGER_H_
