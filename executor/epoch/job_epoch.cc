// Batches of a JobEpoch: from RunBatch to BatchPrepared, and the cut for a snapshot between two.
#include "executor/epoch/job_epoch.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/failpoint.h"

namespace millrace::executor {

bool JobEpoch::Spawn(std::function<void()> task, QueuePlace place) {
  EpochWork::Token token = work_.Take();
  if (token == nullptr) {
    return false;
  }
  runtime_.slots->Submit([token = std::move(token), task = std::move(task)] { task(); }, place);
  return true;
}

bool JobEpoch::SpawnBlocking(std::function<void()> task) {
  return SpawnOn(sessions_lane_.get(), std::move(task));
}

bool JobEpoch::SpawnReport(std::function<void()> task) {
  return SpawnOn(control_lane_.get(), std::move(task));
}

bool JobEpoch::SpawnOn(BlockingLanes::Lane* lane, std::function<void()> task) {
  EpochWork::Token token = work_.Take();
  if (token == nullptr) {
    return false;
  }
  lane->Submit([token = std::move(token), task = std::move(task)] { task(); });
  return true;
}

void JobEpoch::RunBatch(const proto::RunBatch& message) {
  {
    absl::MutexLock lock(&mutex_);
    if ((phase_ != Phase::kOpening && phase_ != Phase::kRunning) ||
        BatchId(message.batch()) <= last_batch_) {
      return;
    }
    last_batch_ = BatchId(message.batch());
    last_time_us_.store(message.batch_time_us(), std::memory_order_relaxed);
    waiting_.push_back(message);
  }
  reports_.AnsweredByRun(BatchId(message.batch()));
  StartNextBatch();
  const EpochWork::Token token = work_.Take();  // sessions stay
  if (token != nullptr) {
    committer_.SetDurable(BatchId(message.durable_batch()));
  }
}

void JobEpoch::Commit(const proto::CommitBatch& message) {
  const BatchId through(message.batch());
  reports_.AnsweredByCommit(through);
  const EpochWork::Token token = work_.Take();  // sessions stay
  if (token != nullptr) {
    committer_.Commit(through, BatchId(message.durable_batch()),
                      message.finish() ? sinks_->Sessions() : BatchCommitter::Sessions());
  }
}

void JobEpoch::TakeSnapshot(const proto::TakeSnapshot& message) {
  const BatchId batch(message.batch());
  const EpochWork::Token token = work_.Take();  // shards stay while we cut them
  bool is_cut = false;
  {
    absl::MutexLock lock(&mutex_);
    if (phase_ != Phase::kRunning || token == nullptr) {
      return;
    }
    // No batch can begin meanwhile: RunBatch comes from this thread.
    is_cut = run_ == nullptr && !starting_ && waiting_.empty() && last_batch_ == batch;
  }
  reports_.AnsweredBySnapshot(batch);
  if (is_cut) {
    snapshots_->Take(batch, message.full());
    return;
  }
  proto::SnapshotWritten refused;
  refused.set_batch(batch.value());
  refused.set_error(absl::StrCat("batch ", batch.value(),
                                 " is not the last that was prepared here, or another one runs"));
  reports_.Report(std::move(refused));
}

void JobEpoch::ContinueSnapshot() {
  const EpochWork::Token token = work_.Take();  // shards stay
  {
    absl::MutexLock lock(&mutex_);
    if (phase_ != Phase::kRunning || token == nullptr) {
      return;
    }
  }
  snapshots_->CopyOn();
}

void JobEpoch::StartNextBatch() {
  proto::RunBatch message;
  // Holds the parts of the epoch until the batch has begun: another thread may fail the epoch
  // meanwhile.
  const EpochWork::Token token = work_.Take();
  {
    absl::MutexLock lock(&mutex_);
    if (phase_ != Phase::kRunning || run_ != nullptr || starting_ || waiting_.empty() ||
        token == nullptr) {
      return;
    }
    message = std::move(waiting_.front());
    waiting_.pop_front();
    starting_ = true;
  }
  if (message.new_partitions().empty() && message.retired_partitions().empty()) {
    StartBatch(message);
    return;
  }
  auto shared = std::make_shared<proto::RunBatch>(std::move(message));
  SpawnBlocking(
      [this, shared] { OpenPartitions(*shared, [this, shared] { StartBatch(*shared); }); });
}

void JobEpoch::OpenPartitions(const proto::RunBatch& message, std::function<void()> done) {
  // Sessions of retired partitions stay: they still have rows to show later.
  for (const proto::PartitionKey& retired : message.retired_partitions()) {
    sources_->Unassign(retired);
  }
  sinks_->NoteMarkers(message.markers());
  std::vector<ShardPlace> shards;
  for (const proto::PartitionStart& partition : message.new_partitions()) {
    const absl::Status status = sources_->Assign(partition);
    if (!status.ok()) {
      Fail(BatchId(message.batch()), status);
      return;
    }
    const std::vector<ShardPlace> of_partition = sinks_->ShardsOf(partition);
    // A partition that was retired may have writers already.
    std::copy_if(of_partition.begin(), of_partition.end(), std::back_inserter(shards),
                 [this](const ShardPlace& shard) { return sinks_->Find(shard) == nullptr; });
  }
  claims_->AddShards(std::move(shards), std::move(done));
}

void JobEpoch::StartBatch(const proto::RunBatch& message) {
  for (const proto::Split& split : message.splits()) {
    const absl::Status status = sources_->CheckBegin(split);
    if (!status.ok()) {
      Fail(BatchId(message.batch()), status);
      return;
    }
  }
  auto run = std::make_shared<BatchRun>(layout_, message, runtime_.clock->MonotonicNs());
  for (const proto::PartitionStart& partition : message.new_partitions()) {
    for (const ShardPlace& shard : sinks_->ShardsOf(partition)) {
      if (!sinks_->shared(shard.sink)) {
        run->AddClaimed(sinks_->Find(shard)->session());
      }
    }
  }
  {
    absl::MutexLock lock(&mutex_);
    run_ = run;
    starting_ = false;
  }
  snapshots_->BatchBegins();
  BeginShards(run);
  Follow(run, run->EndEmptyStages());
  StartSplits(run, message);
}

void JobEpoch::BeginShards(const std::shared_ptr<BatchRun>& run) {
  for (KeyedShard* shard : OwnShards()) {
    shard->BeginBatch(run);
  }
  deliveries_->BeginBatch(run);
}

void JobEpoch::StartSplits(const std::shared_ptr<BatchRun>& run, const proto::RunBatch& message) {
  // Splits of the lowest ordinals start first: rows of an ordered exchange are applied in that
  // order.
  std::vector<const proto::Split*> splits;
  for (const proto::Split& split : message.splits()) {
    splits.push_back(&split);
  }
  std::sort(splits.begin(), splits.end(), [](const proto::Split* a, const proto::Split* b) {
    return a->ordinal() < b->ordinal();
  });
  for (const proto::Split* split : splits) {
    std::make_shared<SourceTask>(shared_from_this(), &source_context_, run, *split)->Start();
  }
}

void JobEpoch::UnitEnded(const std::shared_ptr<BatchRun>& run, uint32_t stage) {
  Follow(run, run->UnitEnded(stage));
}

void JobEpoch::Follow(const std::shared_ptr<BatchRun>& run,
                      const BatchRun::Consequences& consequences) {
  if (consequences.sources_ended) {
    run->set_read_us(MicrosSince(run->start_ns()));
  }
  for (const uint32_t exchange : consequences.exchanges) {
    router_->EndExchange(*run, exchange);
    deliveries_->EndLocal(run, exchange);
  }
  if (consequences.all_ended) {
    // On a slot, since this may be a thread of the shuffle, which must not block.
    Spawn([this, run] { PrepareBatch(run); }, QueuePlace::kUrgent);
  }
}

void JobEpoch::OnDelivery(ShuffleDelivery delivery) {
  const EpochWork::Token token = work_.Take();  // shards stay while we deliver to them
  if (token != nullptr) {
    deliveries_->OnDelivery(std::move(delivery));
  }
}

void JobEpoch::OnPeerLost(const std::string&, const absl::Status& status) {
  Fail(BatchId(), status);
}

void JobEpoch::PrepareBatch(const std::shared_ptr<BatchRun>& run) {
  const int64_t processed_ns = runtime_.clock->MonotonicNs();
  const auto report = [this, run, processed_ns] {
    SpawnReport([this, run, processed_ns] { ReportPrepared(run, processed_ns); });
  };
  if (run->suppressed()) {
    report();  // the batch has no output and will not be committed
  } else {
    committer_.Prepare(run->batch(), SessionsToCommit(run.get()), report);
  }
}

// The sessions that have rows or have refused some, and those that are due without rows.
std::vector<OpenSession*> JobEpoch::SessionsToCommit(BatchRun* run) {
  std::set<OpenSession*> sessions = run->TakeSessions();
  for (OpenSession* session : sinks_->Sessions()) {
    if (session->IsDue(run->time_us())) {
      sessions.insert(session);
    }
  }
  for (OpenSession* session : sessions) {
    session->NoteBatch(run->batch(), run->time_us());  // perhaps it has no rows of the batch
  }
  return {sessions.begin(), sessions.end()};
}

int64_t JobEpoch::WakeAtUs() const {
  const int64_t after_us = last_time_us_.load(std::memory_order_relaxed);
  int64_t wake_at_us = sinks_->WakeAfter(after_us);
  for (const KeyedShard* shard : OwnShards()) {
    wake_at_us = EarlierWake(wake_at_us, LaterWake(shard->wake_at_us(), after_us));
  }
  return wake_at_us;
}

void JobEpoch::ReportPrepared(const std::shared_ptr<BatchRun>& run, int64_t processed_ns) {
  int64_t state_rows = 0;
  int64_t state_bytes = 0;
  for (const KeyedShard* shard : OwnShards()) {
    state_rows += shard->state_rows();
    state_bytes += shard->state_bytes();
  }
  state_rows_.store(state_rows);
  state_bytes_.store(state_bytes);
  SendResults(run);
  proto::BatchPrepared prepared;
  run->FillPrepared(&prepared);
  prepared.set_state_rows(state_rows);
  prepared.set_state_bytes(state_bytes);
  for (const OpenSession* session : run->claimed()) {
    *prepared.add_claimed() = session->ShardMarker();
  }
  prepared.set_held_bytes(sinks_->held_bytes());
  prepared.set_batch_held_bytes(prepared.batch_held_bytes() + sinks_->held_bytes_of(run->batch()));
  prepared.set_wake_at_us(WakeAtUs());
  prepared.set_total_us(MicrosSince(run->start_ns()));
  metrics_.batches.Increment();
  metrics_.rows_out.Increment(static_cast<double>(prepared.rows_out()));
  metrics_.skipped.Increment(static_cast<double>(prepared.skipped()));
  metrics_.state_rows.Set(static_cast<double>(state_rows));
  metrics_.state_bytes.Set(static_cast<double>(state_bytes));
  metrics_.read_seconds.Observe(static_cast<double>(prepared.read_us()) * 1e-6);
  metrics_.process_seconds.Observe(static_cast<double>(processed_ns - run->start_ns()) * 1e-9);
  metrics_.prepare_seconds.Observe(
      static_cast<double>(runtime_.clock->MonotonicNs() - processed_ns) * 1e-9);
  snapshots_->BatchEnded();
  {
    // This comes before the report, since the driver answers that with the next batch.
    absl::MutexLock lock(&mutex_);
    run_.reset();
  }
  MILLRACE_FAILPOINT("executor.prepared");
  reports_.Report(std::move(prepared));
  StartNextBatch();
}

void JobEpoch::SendResults(const std::shared_ptr<BatchRun>& run) {
  for (auto& [sink, rows] : run->TakeResults()) {
    driver_->WaitForRoom();
    proto::ResultRows results;
    results.set_batch(run->batch().value());
    results.set_sink(sink);
    results.set_rows(std::move(rows));
    reports_.Report(std::move(results));
  }
}

std::vector<KeyedShard*> JobEpoch::OwnShards() const {
  std::vector<KeyedShard*> shards;
  for (const auto& of_stage : shards_) {
    for (const auto& shard : of_stage) {
      if (shard != nullptr) {
        shards.push_back(shard.get());
      }
    }
  }
  return shards;
}

void JobEpoch::Resend(uint64_t session) {
  reports_.Resend(session);
  std::shared_ptr<SourceSet> sources;
  {
    absl::MutexLock lock(&mutex_);
    sources = sources_;
  }
  if (sources != nullptr) {
    sources->ForgetReported();
  }
  driver_->ProgressChanged();
}

bool JobEpoch::idle() const {
  absl::MutexLock lock(&mutex_);
  const bool nothing_runs = run_ == nullptr && !starting_ && waiting_.empty();
  return phase_ == Phase::kEnded ||
         (phase_ != Phase::kEnding && nothing_runs && committer_.pending() == 0);
}

bool JobEpoch::TakeProgress(proto::SourceProgress* progress) {
  std::shared_ptr<SourceSet> sources;
  {
    absl::MutexLock lock(&mutex_);
    if (!has_sources_) {
      return false;
    }
    sources = sources_;
  }
  for (proto::SourceProgress::Partition& partition : sources->TakeProgress()) {
    *progress->add_partitions() = std::move(partition);
  }
  progress->set_job_id(layout_.job.value());
  progress->set_epoch(layout_.epoch.value());
  return !progress->partitions().empty();
}

}  // namespace millrace::executor
