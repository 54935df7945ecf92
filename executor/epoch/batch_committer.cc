#include "executor/epoch/batch_committer.h"

#include <algorithm>
#include <set>
#include <utility>

#include "common/base/failpoint.h"
#include "common/base/failure_kind.h"
#include "common/base/steady_time.h"

namespace millrace::executor {
namespace {

bool WorthAnotherTry(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

}  // namespace

BatchCommitter::BatchCommitter(TaskHost* host, Clock* clock, JobMetrics* metrics, Options options,
                               OnCommitted on_committed)
    : host_(host),
      clock_(clock),
      metrics_(metrics),
      options_(options),
      on_committed_(std::move(on_committed)) {}

void BatchCommitter::Prepare(BatchId batch, Sessions sessions, std::function<void()> done) {
  {
    absl::MutexLock lock(&mutex_);
    prepared_[batch] = sessions;
  }
  const size_t count = sessions.size();
  const auto prepare = [this, batch, sessions](size_t i) {
    if (host_->ended()) {
      return;
    }
    const absl::Status status = sessions[i]->Prepare(batch, SteadyNow() + options_.prepare_timeout);
    if (!status.ok()) {
      host_->Fail(batch, status);
    }
  };
  FanOut(host_, count, prepare, [this, done = std::move(done)] {
    if (!host_->ended()) {
      done();
    }
  });
}

void BatchCommitter::Commit(BatchId through, BatchId durable, Sessions finish) {
  proto::BatchCommitted again;
  {
    absl::MutexLock lock(&mutex_);
    durable_ = std::max(durable_, durable);
    if (!prepared_.contains(through)) {
      if (last_.batch() != through.value()) {
        return;
      }
      again = last_;
    } else if (ordered_.empty() || ordered_.back().through < through) {
      ordered_.push_back({.through = through, .finish = std::move(finish)});
    }
  }
  if (again.batch() != 0) {
    host_->SpawnReport([this, again = std::move(again)] { on_committed_(again); });
    return;
  }
  StartNext();
}

void BatchCommitter::SetDurable(BatchId batch) {
  {
    absl::MutexLock lock(&mutex_);
    if (batch <= durable_) {
      return;
    }
    durable_ = batch;
  }
  StartNext();
}

void BatchCommitter::SettleAll(BatchId durable, std::function<void()> settled) {
  {
    absl::MutexLock lock(&mutex_);
    durable_ = std::max(durable_, durable);
    when_settled_ = std::move(settled);
  }
  StartNext();
}

void BatchCommitter::StartNext() {
  auto round = std::make_shared<Round>();
  std::function<void()> settled;
  {
    absl::MutexLock lock(&mutex_);
    if (busy_) {
      return;
    }
    busy_ = PlanRound(round.get());
    if (!busy_) {
      settled.swap(when_settled_);
    }
  }
  if (round->through == BatchId() && round->tasks.empty()) {
    if (settled != nullptr) {
      settled();
    }
    return;
  }
  round->start_ns = clock_->MonotonicNs();
  round->deadline = SteadyNow() + options_.commit_timeout;
  if (round->through != BatchId()) {
    MILLRACE_FAILPOINT("executor.before_commit");
  }
  RunTasks(round);
}

void BatchCommitter::RunTasks(const std::shared_ptr<Round>& round) {
  const auto set_aside =
      std::stable_partition(round->tasks.begin(), round->tasks.end(),
                            [](const Task& task) { return !task.session->sets_aside(); });
  const auto first = static_cast<size_t>(set_aside - round->tasks.begin());
  const auto finish = [this, round] {
    if (!host_->ended()) {
      Finish(round);
    }
  };
  FanOut(
      host_, first, [this, round](size_t i) { RunTask(round, i); },
      [this, round, first, finish] {
        if (!host_->ended()) {
          FanOut(
              host_, round->tasks.size() - first,
              [this, round, first](size_t i) { RunTask(round, first + i); }, finish);
        }
      });
}

bool BatchCommitter::PlanRound(Round* round) {
  round->durable = durable_;
  if (!ordered_.empty()) {
    round->through = ordered_.front().through;
    PlanCommits(round);
    return true;
  }
  PlanSettling(round);
  return !round->tasks.empty();
}

void BatchCommitter::PlanCommits(Round* round) {
  const std::set<OpenSession*> finish(ordered_.front().finish.begin(),
                                      ordered_.front().finish.end());
  std::set<OpenSession*> sessions = finish;
  round->first = prepared_.begin()->first;
  for (const auto& [batch, prepared] : prepared_) {
    if (batch <= round->through) {
      sessions.insert(prepared.begin(), prepared.end());
    }
  }
  for (OpenSession* session : sessions) {
    round->tasks.push_back({.session = session,
                            .settle = WantsSettling(session),
                            .commit = true,
                            .finish = finish.contains(session)});
  }
}

// Adds tasks that settle sessions, but not those that a prepared batch has rows for, unless the
// epoch is ending: such a session is settled with its next commit, which in a busy job comes soon
// and would otherwise have to wait for this round.
void BatchCommitter::PlanSettling(Round* round) {
  std::set<OpenSession*> later;
  if (when_settled_ == nullptr) {
    for (const auto& [batch, prepared] : prepared_) {
      later.insert(prepared.begin(), prepared.end());
    }
  }
  for (const auto& [session, progress] : unsettled_) {
    if (!later.contains(session) && WantsSettling(session)) {
      round->tasks.push_back(
          {.session = session, .settle = true, .commit = false, .finish = false});
    }
  }
}

bool BatchCommitter::WantsSettling(OpenSession* session) const {
  const auto progress = unsettled_.find(session);
  return progress != unsettled_.end() && progress->second.settled < durable_;
}

void BatchCommitter::RunTask(const std::shared_ptr<Round>& round, size_t index) {
  const Task& task = round->tasks[index];
  absl::Status status;
  if (task.settle) {
    status = Try(round->deadline, [&](absl::Time deadline) {
      return task.session->Settle(round->durable, deadline);
    });
  }
  if (task.finish && status.ok()) {
    task.session->Finish();
  }
  if (task.commit && status.ok() && !host_->ended()) {
    status = Try(round->deadline, [&](absl::Time deadline) {
      return task.session->Commit(round->through, deadline);
    });
  }
  if (!status.ok()) {
    host_->Fail(BatchOf(*round, task, status), status);
  }
}

// Rows leave memory for a transaction or a file only in the first batch that is not committed, so
// it is that batch which was too large there, and not those that are committed with it.
BatchId BatchCommitter::BatchOf(const Round& round, const Task& task, const absl::Status& failure) {
  if (!task.commit) {
    return round.durable;
  }
  return FailureKindOf(failure) == FailureKind::kTooLarge ? round.first : round.through;
}

absl::Status BatchCommitter::Try(absl::Time deadline,
                                 absl::FunctionRef<absl::Status(absl::Time deadline)> call) {
  for (int tries = 1;; ++tries) {
    if (host_->ended()) {
      return absl::OkStatus();
    }
    // Each try gets half of the time that is left: the first may hang on a connection that the
    // second opens anew.
    const absl::Time now = SteadyNow();
    const absl::Status status = call(now + (deadline - now) / 2);
    if (status.ok() || tries >= options_.commit_tries || !WorthAnotherTry(status)) {
      return status;
    }
  }
}

void BatchCommitter::Finish(const std::shared_ptr<Round>& round) {
  const bool commits = round->through != BatchId();
  proto::BatchCommitted committed;
  if (commits) {
    MILLRACE_FAILPOINT("executor.committed");
    committed = Report(*round);
    metrics_->commit_seconds.Observe(static_cast<double>(clock_->MonotonicNs() - round->start_ns) *
                                     1e-9);
  }
  {
    absl::MutexLock lock(&mutex_);
    NoteProgress(*round);
    if (commits) {
      prepared_.erase(prepared_.begin(), prepared_.upper_bound(round->through));
      ordered_.pop_front();
      last_ = committed;
    }
    busy_ = false;
  }
  if (commits) {
    on_committed_(std::move(committed));
  }
  StartNext();
}

void BatchCommitter::NoteProgress(const Round& round) {
  for (const Task& task : round.tasks) {
    auto progress = unsettled_.find(task.session);
    if (task.settle && progress != unsettled_.end()) {
      progress->second.settled = round.durable;
      if (progress->second.committed <= round.durable) {
        unsettled_.erase(progress);
      }
    }
    if (task.commit) {
      // A session without an entry has settled everything before this round.
      unsettled_
          .try_emplace(task.session, Progress{.committed = {}, .settled = round.through.Prev()})
          .first->second.committed = round.through;
    }
  }
}

proto::BatchCommitted BatchCommitter::Report(const Round& round) const {
  proto::BatchCommitted committed;
  committed.set_batch(round.through.value());
  for (const Task& task : round.tasks) {
    task.session->ReportCommit(&committed);
  }
  return committed;
}

size_t BatchCommitter::pending() const {
  absl::MutexLock lock(&mutex_);
  return prepared_.size();
}

}  // namespace millrace::executor
