#include "executor/job/batch_committer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace millrace {
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

void BatchCommitter::Prepare(BatchId batch, std::vector<ShardWriter*> writers,
                             std::function<void()> done) {
  {
    absl::MutexLock lock(&mutex_);
    prepared_[batch] = writers;
  }
  const size_t count = writers.size();
  const auto prepare = [this, batch, writers = std::move(writers)](size_t i) {
    if (host_->ended()) {
      return;
    }
    const absl::Status status =
        writers[i]->Prepare(batch, clock_->Now() + options_.prepare_timeout);
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

void BatchCommitter::Commit(BatchId batch) {
  proto::BatchCommitted again;
  {
    absl::MutexLock lock(&mutex_);
    if (!prepared_.contains(batch)) {
      if (last_.batch() != batch.value()) {
        return;
      }
      again = last_;
    } else if (std::find(ordered_.begin(), ordered_.end(), batch) == ordered_.end()) {
      ordered_.push_back(batch);
    }
  }
  if (again.batch() != 0) {
    host_->SpawnBlocking([this, again = std::move(again)] { on_committed_(again); });
    return;
  }
  StartNext();
}

void BatchCommitter::StartNext() {
  auto committing = std::make_shared<Committing>();
  {
    absl::MutexLock lock(&mutex_);
    if (committing_ || ordered_.empty()) {
      return;
    }
    committing_ = true;
    committing->batch = ordered_.front();
    committing->writers = prepared_[committing->batch];
  }
  committing->markers.resize(committing->writers.size());
  committing->start_ns = clock_->MonotonicNs();
  FanOut(
      host_, committing->writers.size(),
      [this, committing](size_t i) { CommitWriter(committing, i); },
      [this, committing] {
        if (!host_->ended()) {
          Finish(committing);
        }
      });
}

void BatchCommitter::CommitWriter(const std::shared_ptr<Committing>& committing, size_t index) {
  const absl::Time deadline = clock_->Now() + options_.commit_timeout;
  for (int tries = 1;; ++tries) {
    if (host_->ended()) {
      return;
    }
    // Each try gets half of what is left: the first may hang on a connection that the second makes
    // anew.
    const absl::Time now = clock_->Now();
    absl::StatusOr<std::string> marker =
        committing->writers[index]->Commit(committing->batch, now + (deadline - now) / 2);
    if (marker.ok()) {
      committing->markers[index] = *std::move(marker);
      return;
    }
    if (tries >= options_.commit_tries || !WorthAnotherTry(marker.status())) {
      host_->Fail(committing->batch, marker.status());
      return;
    }
  }
}

void BatchCommitter::Finish(const std::shared_ptr<Committing>& committing) {
  proto::BatchCommitted committed;
  committed.set_batch(committing->batch.value());
  for (size_t i = 0; i < committing->writers.size(); ++i) {
    proto::SinkMarker* marker = committed.add_markers();
    marker->set_sink(committing->writers[i]->sink());
    marker->set_shard(committing->writers[i]->shard());
    marker->set_marker(committing->markers[i]);
  }
  metrics_->commit_seconds.Observe(
      static_cast<double>(clock_->MonotonicNs() - committing->start_ns) * 1e-9);
  {
    absl::MutexLock lock(&mutex_);
    prepared_.erase(committing->batch);
    ordered_.pop_front();
    last_ = committed;
    committing_ = false;
  }
  on_committed_(std::move(committed));
  StartNext();
}

size_t BatchCommitter::pending() const {
  absl::MutexLock lock(&mutex_);
  return prepared_.size();
}

}  // namespace millrace
