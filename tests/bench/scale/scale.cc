// What a large cluster costs the driver: CPU time to plan a batch and to carry it to its end, and
// CPU time and bytes sent when an executor joins or leaves; memory per partition. The state machine
// of the driver is the real one; journal, executors and clock are played here.
//
//   bazel run //tests/bench/scale [-- --executors 1000 --partitions 100000]
//
// Prints a table for executors × partitions (each of two sizes below the largest, and the largest),
// one for jobs, and for each figure the exponent with which it grows. CPU time includes that of
// putting messages into bytes, which the driver does for every executor.
#include <malloc.h>
#include <time.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/base/check.h"
#include "common/config/settings.h"
#include "driver/coordinator/job_state.h"
#include "proto/cluster.pb.h"
#include "proto/journal.pb.h"

namespace {

// What operator new has given out and not taken back. The program has one thread.
size_t heap_bytes = 0;

}  // namespace

void* operator new(size_t size) {
  void* const memory = std::malloc(size);
  if (memory == nullptr) {
    std::abort();
  }
  heap_bytes += malloc_usable_size(memory);
  return memory;
}
void operator delete(void* memory) noexcept {
  heap_bytes -= malloc_usable_size(memory);
  std::free(memory);
}
void operator delete(void* memory, size_t) noexcept { operator delete(memory); }

namespace millrace {
namespace {

constexpr int64_t kBatchUs = 1'000'000;
constexpr int64_t kRecordsPerSplit = 10;
constexpr int kBatches = 5;  // of which the fastest counts
// Of an executor. The job has as many keyed shards as there are slots.
constexpr uint32_t kSlots = 2;

double CpuMs() {
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
}

// Figures of one step: what the driver's thread pays, and what it sends.
struct Cost {
  double cpu_ms = 0;
  int64_t bytes = 0;
};

std::string PartitionName(int partition) { return absl::StrCat("topic-of-events/", partition); }
std::string ExecutorName(int executor) { return absl::StrCat("executor-", executor); }

proto::JobSubmitted Submission(int job, int partitions, int executors) {
  proto::JobSubmitted submitted;
  submitted.set_job_id(absl::StrCat("job-", job));
  submitted.set_name(absl::StrCat("job", job));
  submitted.set_incarnation("6f1ed002-ab5a-4b1c-9d1d-3f2f0e0d7c11");
  submitted.mutable_plan()->add_sources()->set_table("events");
  submitted.mutable_plan()->add_sinks()->set_table("out");
  submitted.mutable_plan()->set_parallelism(static_cast<uint32_t>(executors) * kSlots);
  for (int partition = 0; partition < partitions; ++partition) {
    proto::PartitionStart* start = submitted.add_partitions();
    start->mutable_key()->set_partition(PartitionName(partition));
    start->set_ordinal(static_cast<uint32_t>(partition));
    start->set_topic_id("Zm9vYmFyYmF6cXV4MTIzNA");
  }
  return submitted;
}

// One job and its executors, which answer at once. Only the state machine's own work is counted,
// not that of the executors or of the journal.
class PlayedJob {
 public:
  PlayedJob(int job, int partitions, int executors)
      : partitions_(partitions),
        state_(driver::JobHistory(Submission(job, partitions, executors)), Settings(), Options()) {}

  // Makes executors [0, count) the live ones, and goes on until the epoch with them is open.
  Cost SetExecutors(int count) {
    counted_ = {};
    driver::MembersChanged event;
    for (int executor = 0; executor < count; ++executor) {
      event.members.push_back({.id = ExecutorId(ExecutorName(executor)),
                               .name = absl::StrCat("host:", executor),
                               .shuffle_address = absl::StrCat("10.0.0.", executor, ":7071"),
                               .slots = kSlots,
                               .memory_bytes = int64_t{512} << 20});
    }
    Do(std::move(event));
    // An executor that joins is waited for a moment, and taken in at a batch boundary.
    for (int tries = 0; tries < 10 && members_ != static_cast<size_t>(count); ++tries) {
      now_us_ += kBatchUs;
      Do(driver::TimerFired());
    }
    MILLRACE_CHECK(members_ == static_cast<size_t>(count)) << members_ << " of " << count;
    return counted_;
  }

  // Gives every partition new records, and says what planning and the whole batch cost.
  struct BatchCost {
    Cost plan;
    Cost whole;  // with what the executors report, and the journal's answers
    double ends_cpu_ms = 0;
  };
  BatchCost RunBatch() {
    end_ += kRecordsPerSplit;
    driver::EndsKnown ends;
    for (int partition = 0; partition < partitions_; ++partition) {
      ends.ends.push_back({.partition = PartitionName(partition),
                           .stable_end = end_,
                           .high_watermark = end_,
                           .bytes_per_offset = 100});
    }
    BatchCost cost;
    counted_ = {};
    const size_t done = done_;
    now_us_ += kBatchUs / 2;  // between two ticks, unless the epoch has just begun
    Do(std::move(ends));
    cost.ends_cpu_ms = std::exchange(counted_, {}).cpu_ms;
    now_us_ += kBatchUs / 2;
    Take(Handle(driver::TimerFired()));
    cost.plan = counted_;
    AnswerAll();
    MILLRACE_CHECK(done_ > done);
    cost.whole = counted_;
    return cost;
  }

 private:
  static JobSettings Settings() {
    JobSettings settings;
    settings.batch_duration = absl::Microseconds(kBatchUs);
    return settings;
  }

  // The sink is one with shared sessions, as Kafka's is.
  static driver::JobStateOptions Options() {
    driver::JobStateOptions options;
    options.session_groups = {{0}};
    return options;
  }

  std::vector<driver::JobAction> Handle(const driver::JobEvent& event) {
    const double begin = CpuMs();
    std::vector<driver::JobAction> actions =
        state_.Handle(event, {now_us_, 1'700'000'000'000'000 + now_us_});
    counted_.cpu_ms += CpuMs() - begin;
    return actions;
  }

  void Do(const driver::JobEvent& event) {
    Take(Handle(event));
    AnswerAll();
  }

  // Counts what is sent, and lists what the executors and the journal answer.
  void Take(std::vector<driver::JobAction> actions) {
    for (driver::JobAction& action : actions) {
      if (const auto* append = std::get_if<driver::AppendRecord>(&action)) {
        answers_.push_back(driver::RecordDurable{append->id});
      } else if (const auto* send = std::get_if<driver::SendToExecutor>(&action)) {
        const double begin = CpuMs();
        const std::string bytes = send->message.SerializeAsString();
        counted_.cpu_ms += CpuMs() - begin;
        counted_.bytes += static_cast<int64_t>(bytes.size());
        AnswerMessage(send->to, send->message);
      } else if (std::holds_alternative<driver::BatchDone>(action)) {
        ++done_;
      } else if (const auto* over = std::get_if<driver::JobOver>(&action)) {
        MILLRACE_CHECK(false) << over->message;
      }
    }
  }

  void AnswerAll() {
    while (!answers_.empty()) {
      for (const driver::JobEvent& answer : std::exchange(answers_, {})) {
        Take(Handle(answer));
      }
    }
  }

  void AnswerMessage(const ExecutorId& from, const proto::DriverMessage& message) {
    driver::ExecutorReported report{.from = from, .message = {}};
    if (message.has_start_epoch()) {
      AnswerStart(message.start_epoch(), &report);
    } else if (message.has_run_batch()) {
      AnswerRun(message.run_batch(), report.message.mutable_batch_prepared());
    } else if (message.has_commit_batch()) {
      const proto::CommitBatch& commit = message.commit_batch();
      report.message.mutable_batch_committed()->set_epoch(commit.epoch());
      report.message.mutable_batch_committed()->set_batch(commit.batch());
    } else if (message.has_stop_epoch()) {
      report.message.mutable_epoch_stopped()->set_epoch(message.stop_epoch().epoch());
    } else {
      return;
    }
    answers_.push_back(std::move(report));
  }

  // Each executor has a session for all shards that live there. None has written before.
  void AnswerStart(const proto::StartEpoch& start, driver::ExecutorReported* report) {
    members_ = static_cast<size_t>(start.assignment().members_size());
    proto::EpochReady* ready = report->message.mutable_epoch_ready();
    ready->set_epoch(start.epoch());
    for (const proto::SessionMark& claim : start.sessions()) {
      proto::SessionMark* found = ready->add_sessions();
      *found = claim;
      found->set_marker(
          absl::StrCat("0:0:", claim.slot() % 4, ":", start.epoch(), ":", start.epoch()));
      found->add_terms()->set_terms("1048588:0:12");
    }
  }

  static void AnswerRun(const proto::RunBatch& run, proto::BatchPrepared* prepared) {
    prepared->set_epoch(run.epoch());
    prepared->set_batch(run.batch());
    for (const proto::Split& split : run.splits()) {
      proto::SplitReport* report = prepared->add_splits();
      *report->mutable_key() = split.key();
      report->set_begin(split.begin());
      report->set_end(split.end());
      report->set_records(split.end() - split.begin());
      report->set_bytes((split.end() - split.begin()) * 100);
      report->set_input_hash(static_cast<uint64_t>(split.end()) * 0x9e3779b97f4a7c15);
    }
  }

  const int partitions_;
  driver::JobState state_;
  int64_t now_us_ = 0;
  int64_t end_ = 0;
  Cost counted_;
  std::vector<driver::JobEvent> answers_;
  size_t members_ = 0;
  size_t done_ = 0;
};

struct Row {
  int executors = 0;
  int partitions = 0;
  int jobs = 1;
  double plan_ms = 0;
  double batch_ms = 0;
  double ends_ms = 0;
  double leave_ms = 0;
  double leave_mb = 0;
  double join_ms = 0;
  double join_mb = 0;
  double bytes_per_partition = 0;
};

Row Measure(int executors, int partitions, int jobs) {
  Row row{.executors = executors, .partitions = partitions, .jobs = jobs};
  std::vector<std::unique_ptr<PlayedJob>> played;
  const size_t before = heap_bytes;
  for (int job = 0; job < jobs; ++job) {
    played.push_back(std::make_unique<PlayedJob>(job, partitions, executors));
    played.back()->SetExecutors(executors);
    played.back()->RunBatch();
  }
  row.bytes_per_partition =
      static_cast<double>(heap_bytes - before) / (static_cast<double>(partitions) * jobs);
  for (int batch = 0; batch < kBatches; ++batch) {
    double plan_ms = 0;
    double batch_ms = 0;
    double ends_ms = 0;
    for (auto& job : played) {
      const PlayedJob::BatchCost cost = job->RunBatch();
      plan_ms += cost.plan.cpu_ms;
      batch_ms += cost.whole.cpu_ms;
      ends_ms += cost.ends_cpu_ms;
    }
    const auto least = [batch](double so_far, double now) {
      return batch == 0 ? now : std::min(so_far, now);
    };
    row.plan_ms = least(row.plan_ms, plan_ms);
    row.batch_ms = least(row.batch_ms, batch_ms);
    row.ends_ms = least(row.ends_ms, ends_ms);
  }
  for (auto& job : played) {
    const Cost leave = job->SetExecutors(executors - 1);
    const Cost join = job->SetExecutors(executors);
    row.leave_ms += leave.cpu_ms;
    row.leave_mb += static_cast<double>(leave.bytes) * 1e-6;
    row.join_ms += join.cpu_ms;
    row.join_mb += static_cast<double>(join.bytes) * 1e-6;
  }
  return row;
}

struct Figure {
  const char* name;
  double Row::* value;
  int decimals;
};
constexpr Figure kFigures[] = {
    {"plan ms", &Row::plan_ms, 2},   {"batch ms", &Row::batch_ms, 1},
    {"ends ms", &Row::ends_ms, 1},   {"leave ms", &Row::leave_ms, 1},
    {"leave MB", &Row::leave_mb, 2}, {"join ms", &Row::join_ms, 1},
    {"join MB", &Row::join_mb, 2},   {"B/partition", &Row::bytes_per_partition, 0},
};

void PrintHead() {
  std::cout << std::setw(10) << "executors" << std::setw(12) << "partitions" << std::setw(6)
            << "jobs";
  for (const Figure& figure : kFigures) {
    std::cout << std::setw(13) << figure.name;
  }
  std::cout << std::endl;
}

void Print(const Row& row) {
  std::cout << std::setw(10) << row.executors << std::setw(12) << row.partitions << std::setw(6)
            << row.jobs << std::fixed;
  for (const Figure& figure : kFigures) {
    std::cout << std::setw(13) << std::setprecision(figure.decimals) << row.*figure.value;
  }
  std::cout << std::endl;
}

// The exponent k of value ~ size^k, by least squares over the logarithms.
double Exponent(const std::vector<std::pair<double, double>>& points) {
  double sx = 0, sy = 0, sxx = 0, sxy = 0;
  for (const auto& [size, value] : points) {
    const double x = std::log(size);
    const double y = std::log(std::max(value, 1e-9));
    sx += x;
    sy += y;
    sxx += x * x;
    sxy += x * y;
  }
  const auto n = static_cast<double>(points.size());
  return (n * sxy - sx * sy) / (n * sxx - sx * sx);
}

// Measures three sizes along one dimension, and prints the exponents.
void Sweep(const std::string& along, const std::vector<Row>& sizes, int Row::* dimension) {
  std::cout << "\nalong " << along << "\n";
  PrintHead();
  std::vector<Row> rows;
  for (const Row& size : sizes) {
    rows.push_back(Measure(size.executors, size.partitions, size.jobs));
    Print(rows.back());
  }
  std::cout << std::setw(28) << "grows with the power";
  for (const Figure& figure : kFigures) {
    std::vector<std::pair<double, double>> points;
    for (const Row& row : rows) {
      points.emplace_back(row.*dimension, row.*figure.value);
    }
    std::cout << std::setw(13) << std::setprecision(2) << Exponent(points);
  }
  std::cout << std::endl;
}

int Main(int argc, char** argv) {
  CLI::App app("What executors, partitions and jobs cost the driver.", "scale");
  int executors = 1000;
  int partitions = 100'000;
  int jobs = 100;
  app.add_option("--executors", executors, "the most executors")
      ->capture_default_str()
      ->check(CLI::Range(16, 100'000));
  app.add_option("--partitions", partitions, "the most partitions of a job")
      ->capture_default_str()
      ->check(CLI::Range(100, 10'000'000));
  app.add_option("--jobs", jobs, "the most jobs, each with a thousandth of the partitions")
      ->capture_default_str()
      ->check(CLI::Range(4, 100'000));
  CLI11_PARSE(app, argc, argv);
  Sweep("executors",
        {{.executors = executors / 8, .partitions = partitions},
         {.executors = executors / 3, .partitions = partitions},
         {.executors = executors, .partitions = partitions}},
        &Row::executors);
  Sweep("partitions",
        {{.executors = executors, .partitions = partitions / 10},
         {.executors = executors, .partitions = partitions / 3},
         {.executors = executors, .partitions = partitions}},
        &Row::partitions);
  const int few = std::max(partitions / 1000, 10);
  Sweep("jobs",
        {{.executors = 16, .partitions = few, .jobs = jobs / 4},
         {.executors = 16, .partitions = few, .jobs = jobs / 2},
         {.executors = 16, .partitions = few, .jobs = jobs}},
        &Row::jobs);
  return 0;
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) { return millrace::Main(argc, argv); }
