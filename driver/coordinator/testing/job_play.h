// A job whose journal, executors and clock are played by the test: each call is one event, and the
// actions that the state machine returns are kept for the test to look at. For tests;
// single-threaded.
#ifndef MILLRACE_DRIVER_COORDINATOR_TESTING_JOB_PLAY_H_
#define MILLRACE_DRIVER_COORDINATOR_TESTING_JOB_PLAY_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "driver/coordinator/job_state.h"

namespace millrace::driver {

inline constexpr int64_t kMs = 1000;

inline proto::JobSubmitted Submitted(int partitions, bool running_state = false) {
  proto::JobSubmitted submitted;
  submitted.set_job_id("job-1");
  submitted.set_name("wordcount");
  submitted.set_incarnation("inc-1");
  submitted.mutable_plan()->add_sources()->set_table("lines");
  submitted.mutable_plan()->set_parallelism(4);
  submitted.mutable_plan()->set_running_state(running_state);
  for (int p = 0; p < partitions; ++p) {
    proto::PartitionStart* start = submitted.add_partitions();
    start->mutable_key()->set_partition(absl::StrCat("t/", p));
    start->set_offset(100);
    start->set_ordinal(static_cast<uint32_t>(p));
  }
  return submitted;
}

// A job with its journal and executors played by the test.
class Play {
 public:
  explicit Play(proto::JobSubmitted submitted, const JobSettings& settings = Settings(10),
                JobStateOptions options = {})
      : Play(JobHistory(std::move(submitted)), settings, std::move(options)) {}
  Play(JobHistory history, const JobSettings& settings, JobStateOptions options)
      : state_(std::move(history), settings, WithOperators(std::move(options))) {}

  // One operator with state, as the plan of a script with an aggregate has.
  static JobStateOptions WithOperators(JobStateOptions options) {
    options.operators.emplace_back().set_name("counts/aggregate-1");
    return options;
  }

  static JobSettings Settings(int batch_ms) {
    JobSettings settings;
    settings.batch_duration = absl::Milliseconds(batch_ms);
    return settings;
  }

  // Handles the event; with `journal_works`, everything appended becomes durable at once.
  void Do(const JobEvent& event) {
    std::vector<JobAction> actions = state_.Handle(event, Now());
    Take(std::move(actions));
  }

  void Members(const std::vector<std::string>& ids) {
    MembersChanged event;
    for (const std::string& id : ids) {
      event.members.push_back({ExecutorId(id), "host:" + id, id + ":1", 2});
    }
    Do(event);
  }
  void Ends(int64_t end, int partitions = 1, double bytes_per_offset = 10) {
    EndsKnown event;
    for (int p = 0; p < partitions; ++p) {
      event.ends.push_back({.partition = absl::StrCat("t/", p),
                            .stable_end = end,
                            .high_watermark = end,
                            .bytes_per_offset = bytes_per_offset});
    }
    Do(event);
  }
  // Partition t/`p` is closed, or even gone.
  void Closed(int p, int64_t end, bool gone = false) {
    Do(EndsKnown{.ends = {{.partition = absl::StrCat("t/", p),
                           .stable_end = end,
                           .high_watermark = end,
                           .closed = true,
                           .gone = gone,
                           .why = gone ? "it was deleted" : "it is old"}}});
  }
  void Report(const std::string& from, proto::ExecutorMessage message) {
    Do(ExecutorReported{ExecutorId(from), std::move(message)});
  }
  // `marker_batch`: what the claim of shard 0 found. What claims of places find is in `places` and
  // `former_batches`.
  void Ready(const std::string& from, int64_t marker_batch = -1) {
    proto::ExecutorMessage message;
    proto::EpochReady* ready = message.mutable_epoch_ready();
    ready->set_epoch(state_.epoch().value());
    if (marker_batch >= 0) {
      ready->add_markers()->set_batch(marker_batch);
    }
    ready->set_store_mark_nonce(read_nonce);
    ready->mutable_store_answer()->set_name("answer of " + from);
    ClaimPlaces(started[from], ready);
    Report(from, std::move(message));
  }
  void SnapshotWritten(const std::string& from, int64_t batch, const std::string& error = "") {
    proto::ExecutorMessage message;
    message.mutable_snapshot_written()->set_epoch(state_.epoch().value());
    message.mutable_snapshot_written()->set_batch(batch);
    message.mutable_snapshot_written()->set_error(error);
    if (error.empty()) {
      message.mutable_snapshot_written()->mutable_file()->set_name(absl::StrCat("b", batch));
      message.mutable_snapshot_written()->mutable_file()->set_bytes(100);
    }
    Report(from, std::move(message));
  }
  void Prepared(const std::string& from, int64_t batch, int64_t hash_salt = 0,
                int64_t held_bytes = 0, int64_t wake_at_us = 0) {
    proto::ExecutorMessage message;
    proto::BatchPrepared* prepared = message.mutable_batch_prepared();
    prepared->set_held_bytes(held_bytes);
    prepared->set_wake_at_us(wake_at_us);
    prepared->set_epoch(state_.epoch().value());
    prepared->set_batch(batch);
    for (const auto& run : runs) {
      if (run.batch() == batch && run.epoch() == state_.epoch().value() &&
          receiver_of[&run - &runs[0]] == from) {
        for (const proto::Split& split : run.splits()) {
          proto::SplitReport* report = prepared->add_splits();
          *report->mutable_key() = split.key();
          report->set_records(split.end() - split.begin());
          report->set_input_hash(
              static_cast<uint64_t>(split.begin() * 31 + split.end() + hash_salt));
        }
      }
    }
    Report(from, std::move(message));
  }
  void Committed(const std::string& from, int64_t batch, const std::string& marker = "",
                 int64_t wake_at_us = 0) {
    proto::ExecutorMessage message;
    message.mutable_batch_committed()->set_wake_at_us(wake_at_us);
    message.mutable_batch_committed()->set_epoch(state_.epoch().value());
    message.mutable_batch_committed()->set_batch(batch);
    if (!marker.empty()) {
      message.mutable_batch_committed()->add_markers()->set_marker(marker);
    }
    Report(from, std::move(message));
  }
  // The executor has written in one place up to this batch, and commits it.
  void CommittedIn(const std::string& from, int64_t batch, uint32_t group, uint32_t slot) {
    const proto::SessionMark& mark = Write(group, slot, state_.epoch().value(), batch);
    proto::ExecutorMessage message;
    message.mutable_batch_committed()->set_epoch(state_.epoch().value());
    message.mutable_batch_committed()->set_batch(batch);
    *message.mutable_batch_committed()->add_sessions() = mark;
    Report(from, std::move(message));
  }
  // From now on, claims of the place find that this epoch has written all up to this batch there.
  proto::SessionMark& Write(uint32_t group, uint32_t slot, int64_t epoch, int64_t batch) {
    proto::SessionMark& mark = places[{group, slot}];
    mark.set_group(group);
    mark.set_slot(slot);
    mark.set_written_epoch(epoch);
    mark.set_batch(batch);
    mark.set_marker(absl::StrCat(epoch, ":", batch));
    return mark;
  }
  void Stopped(const std::string& from) {
    proto::ExecutorMessage message;
    message.mutable_epoch_stopped()->set_epoch(state_.epoch().value());
    Report(from, std::move(message));
  }
  void Failed(const std::string& from, bool retryable, const std::string& words) {
    proto::EpochFailed failed;
    failed.set_retryable(retryable);
    Failed(from, absl::StatusCode::kUnavailable, words, std::move(failed));
  }
  void FailedToRestore(const std::string& from, const std::string& words) {
    proto::EpochFailed failed;
    failed.set_restore_failed(true);
    Failed(from, absl::StatusCode::kDataLoss, words, std::move(failed));
  }
  void SeesNoStore(const std::string& from, const std::string& words) {
    proto::EpochFailed failed;
    failed.set_store_unseen(true);
    Failed(from, absl::StatusCode::kNotFound, words, std::move(failed));
  }
  // Reports a failure as an executor does that knows the kind.
  void FailedAs(const std::string& from, FailureKind kind, absl::StatusCode code, int64_t batch,
                const std::string& words) {
    proto::EpochFailed failed;
    failed.set_batch(batch);
    failed.set_kind(static_cast<proto::FailureKind>(kind));
    Failed(from, code, words, std::move(failed));
  }
  void At(int64_t us) {
    now_us = us;
    Do(TimerFired{});
  }
  // Begins with executor e alone, which is ready at time 0.
  void Start() {
    Members({"e"});
    Ready("e");
  }
  void RunBatch(int64_t batch) {
    Prepared("e", batch);
    Committed("e", batch);
  }
  void MakeDurable() {
    while (!unacknowledged.empty()) {
      const int64_t id = unacknowledged.front();
      unacknowledged.erase(unacknowledged.begin());
      Take(state_.Handle(RecordDurable{id}, Now()));
    }
  }

  std::vector<int64_t> RunBatches() const {
    std::vector<int64_t> batches;
    batches.reserve(runs.size());
    for (const proto::RunBatch& run : runs) {
      batches.push_back(run.batch());
    }
    return batches;
  }

  JobState& state() { return state_; }

  Moment Now() const { return {now_us, 1'000'000'000 + now_us + clock_step_us}; }

  int64_t now_us = 0;
  int64_t clock_step_us = 0;  // how far the wall clock has been set forward
  bool journal_works = true;
  std::vector<int64_t> unacknowledged;
  std::vector<proto::JournalRecord> journal;
  std::vector<proto::StartEpoch> starts;
  std::map<std::string, proto::StartEpoch> started;  // the last one to each executor
  std::vector<proto::RunBatch> runs;
  std::vector<std::string> receiver_of;  // receiver of each of `runs`
  std::vector<int64_t> commits;
  proto::CommitBatch last_commit;
  proto::StopEpoch last_stop;
  std::vector<proto::TakeSnapshot> cuts;
  std::vector<BatchDone> done;
  std::vector<JobOver> over;
  std::vector<PartitionsRetired::Retired> retired;
  int stops = 0;

  // What claims find outside, by (group, slot): what the journal knows, where nothing is here. The
  // session of each sink of a group has the terms "e" and its epoch.
  std::map<std::pair<uint32_t, uint32_t>, proto::SessionMark> places;
  // By (sink, shard): what versions before sessions have committed; 0 where nothing is here.
  std::map<std::pair<uint32_t, uint32_t>, int64_t> former_batches;
  bool claims_places = true;

  // What the driver finds in the snapshot directory. Its checks are answered at once, unless the
  // test wants to answer them itself.
  bool store_answers = true;
  absl::Status store_writable;  // answer to MarkStore
  // By executor: answers that the driver does not find.
  std::map<std::string, absl::Status> answers_seen;
  std::map<std::string, absl::Status> broken_files;  // by name
  std::string read_nonce = "nonce";                  // what executors read as the driver's mark
  std::vector<MarkStore> marks;
  std::vector<CheckSnapshotFiles> checks;

  void AnswerMark() {
    proto::StoreMark mark;
    mark.set_name("mark");
    mark.set_nonce("nonce");
    StoreMarked marked{.epoch = marks.back().epoch, .mark = mark};
    if (!store_writable.ok()) {
      marked.mark = store_writable;
    }
    Do(marked);
  }
  void AnswerCheck() {
    SnapshotFilesChecked checked{.epoch = checks.back().epoch, .batch = checks.back().batch};
    for (const proto::SnapshotFile& file : checks.back().files) {
      const auto broken = broken_files.find(file.name());
      if (broken != broken_files.end()) {
        checked.file = file.name();
        checked.status = broken->second;
      }
    }
    Do(checked);
  }

 private:
  void Failed(const std::string& from, absl::StatusCode code, const std::string& words,
              proto::EpochFailed failed) {
    failed.set_epoch(state_.epoch().value());
    failed.set_code(static_cast<int>(code));
    failed.set_message(words);
    proto::ExecutorMessage message;
    *message.mutable_epoch_failed() = std::move(failed);
    Report(from, std::move(message));
  }
  void ClaimPlaces(const proto::StartEpoch& start, proto::EpochReady* ready) const {
    if (!claims_places) {
      return;
    }
    for (const proto::SessionMark& known : start.sessions()) {
      const auto outside = places.find({known.group(), known.slot()});
      proto::SessionMark* claimed = ready->add_sessions();
      *claimed = outside == places.end() ? known : outside->second;
      for (const proto::SinkGroup& group : start.groups()) {
        if (group.sinks(0) == known.group() &&
            known.slot() < static_cast<uint32_t>(start.assignment().members_size())) {
          for (const uint32_t sink : group.sinks()) {
            claimed->add_terms()->set_sink(sink);
            claimed->mutable_terms()->rbegin()->set_terms(absl::StrCat("e", start.epoch()));
          }
        }
      }
    }
    for (const proto::SinkMarker& known : start.former_shards()) {
      const auto outside = former_batches.find({known.sink(), known.shard()});
      proto::SinkMarker* claimed = ready->add_former_shards();
      claimed->set_sink(known.sink());
      claimed->set_shard(known.shard());
      claimed->set_batch(outside == former_batches.end() ? 0 : outside->second);
    }
  }
  void Take(std::vector<JobAction> actions) {
    for (JobAction& action : actions) {
      if (auto* append = std::get_if<AppendRecord>(&action)) {
        journal.push_back(append->record);
        unacknowledged.push_back(append->id);
      } else if (auto* send = std::get_if<SendToExecutor>(&action)) {
        TakeMessage(send->to.value(), send->message);
      } else if (auto* batch = std::get_if<BatchDone>(&action)) {
        done.push_back(*batch);
      } else if (auto* end = std::get_if<JobOver>(&action)) {
        over.push_back(*end);
      } else if (auto* mark = std::get_if<MarkStore>(&action)) {
        marks.push_back(*mark);
        store_work_.push_back([this] { AnswerMark(); });
      } else if (auto* answer = std::get_if<CheckStoreAnswer>(&action)) {
        const StoreAnswerChecked checked{answer->epoch, answer->from,
                                         answers_seen[answer->from.value()]};
        store_work_.push_back([this, checked] { Do(checked); });
      } else if (auto* check = std::get_if<CheckSnapshotFiles>(&action)) {
        checks.push_back(*check);
        store_work_.push_back([this] { AnswerCheck(); });
      } else if (auto* gone = std::get_if<PartitionsRetired>(&action)) {
        retired.insert(retired.end(), gone->partitions.begin(), gone->partitions.end());
      }
    }
    if (journal_works) {
      MakeDurable();
    }
    for (const auto& work : std::exchange(store_work_, {})) {
      if (store_answers) {
        work();
      }
    }
  }
  void TakeMessage(const std::string& to, const proto::DriverMessage& message) {
    if (message.has_start_epoch()) {
      starts.push_back(message.start_epoch());
      started[to] = message.start_epoch();
    } else if (message.has_run_batch()) {
      runs.push_back(message.run_batch());
      receiver_of.push_back(to);
    } else if (message.has_commit_batch()) {
      commits.push_back(message.commit_batch().batch());
      last_commit = message.commit_batch();
    } else if (message.has_take_snapshot()) {
      cuts.push_back(message.take_snapshot());
    } else if (message.has_stop_epoch()) {
      ++stops;
      last_stop = message.stop_epoch();
    }
  }

  JobState state_;
  std::vector<std::function<void()>> store_work_;
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_COORDINATOR_TESTING_JOB_PLAY_H_
