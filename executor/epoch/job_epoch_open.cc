// Life of a JobEpoch: opening its parts and taking them down again.
#include <utility>

#include "common/base/excerpt.h"
#include "common/base/failpoint.h"
#include "common/base/failure_kind.h"
#include "common/base/status.h"
#include "connectors/plan_access.h"
#include "executor/epoch/job_epoch.h"
#include "executor/epoch/state_restorer.h"
#include "executor/state/store/rocksdb_backend.h"

namespace millrace::executor {
namespace {

// An epoch's quota of threads for blocking calls. If all calls of an epoch hang, some of the shared
// threads remain for the others, and each epoch has a few of its own.
constexpr BlockingLanes::Quota kSessionsQuota{.most = 96, .reserved = 8};
constexpr BlockingLanes::Quota kControlQuota{.most = 4, .reserved = 4};

}  // namespace

JobEpoch::JobEpoch(const JobRuntime* runtime, DriverSink* driver, uint64_t session,
                   EpochLayout layout)
    : runtime_(*runtime),
      driver_(driver),
      layout_(std::move(layout)),
      metrics_(runtime->metrics, layout_.job_name),
      reports_(driver, session, layout_.job, layout_.epoch),
      sessions_lane_(runtime->blocking->NewLane(kSessionsQuota)),
      control_lane_(runtime->blocking->NewLane(kControlQuota)),
      committer_(this, runtime->clock, &metrics_, runtime->commit,
                 [this](proto::BatchCommitted committed) {
                   committed.set_wake_at_us(WakeAtUs());
                   reports_.Report(std::move(committed));
                 }),
      last_batch_(layout_.first_batch.Prev()) {}

JobEpoch::~JobEpoch() = default;

void JobEpoch::Open() {
  metrics_.epochs.Increment();
  work_.Begin(
      [self = shared_from_this()] { self->control_lane_->Submit([self] { self->Close(); }); });
  if (ended()) {
    BeginEnd();  // it was stopped before it was opened: it only has to close
    return;
  }
  SpawnReport([this] { OpenParts(); });
}

void JobEpoch::OpenParts() {
  sinks_ = std::make_unique<SinkSet>(&layout_, runtime_.connectors, runtime_.held_memory,
                                     [this] { return ended(); });
  claims_ = std::make_unique<SinkClaims>(
      this, &layout_, sinks_.get(), [this](const absl::Status& status) { FailOpening(status); });
  router_ = std::make_unique<OutputRouter>(
      &layout_, sinks_.get(), runtime_.gate, &metrics_,
      [this](ShuffleBlock block) { deliveries_->DeliverLocal(std::move(block)); });
  workers_ = std::make_unique<SourceWorkers>(&layout_, runtime_.functions, router_.get());
  absl::Status status = CheckAccess();
  if (status.ok()) {
    status = sinks_->Init();
  }
  if (status.ok()) {
    status = OpenSources();
  }
  if (status.ok()) {
    status = OpenStateBackend();
  }
  if (status.ok()) {
    status = OpenShards();
  }
  if (status.ok()) {
    status = OpenSnapshots();
  }
  if (!status.ok()) {
    FailOpening(status);
    return;
  }
  if (!OpenStoreProof()) {
    return;
  }
  // Claims come first: whoever waits for a transaction that a dead session has left open waits no
  // longer than necessary.
  claims_->ClaimAll([this](proto::EpochReady found) {
    MILLRACE_FAILPOINT("executor.claimed");
    RestoreState([this, found = std::move(found)] {
      const absl::Status connected = Connect();
      if (connected.ok()) {
        Ready(found);
      } else {
        FailOpening(connected);
      }
    });
  });
}

void JobEpoch::FailOpening(const absl::Status& status) {
  // DATA_LOSS without a batch would tell the driver that the snapshot cannot be read, so other
  // failures must not use it.
  Fail(BatchId(),
       absl::IsDataLoss(status) ? absl::FailedPreconditionError(status.message()) : status);
}

absl::Status JobEpoch::CheckAccess() const {
  const AccessPolicy& access = runtime_.connectors->access();
  RETURN_IF_ERROR(CheckPlanAccess(*runtime_.connectors, layout_.plan));
  return layout_.snapshot_location.empty() ? absl::OkStatus()
                                           : access.CheckPath(layout_.snapshot_location);
}

absl::Status JobEpoch::OpenSources() {
  auto sources = std::make_shared<SourceSet>(&layout_, runtime_.connectors, runtime_.memory);
  RETURN_IF_ERROR(sources->Open([this] { driver_->ProgressChanged(); }));
  absl::MutexLock lock(&mutex_);
  sources_ = std::move(sources);
  source_context_ = {.layout = &layout_,
                     .sources = sources_.get(),
                     .workers = workers_.get(),
                     .gate = runtime_.gate,
                     .slots = runtime_.slots,
                     .metrics = &metrics_};
  return absl::OkStatus();
}

absl::Status JobEpoch::OpenStateBackend() {
  if (layout_.settings.state_backend == "rocksdb") {
    ASSIGN_OR_RETURN(state_backend_, OpenRocksdbBackend({.directory = runtime_.state_directory}));
  }
  return absl::OkStatus();
}

absl::Status JobEpoch::OpenShards() {
  shards_.resize(layout_.stages.size());
  for (uint32_t stage = 0; stage < layout_.stages.size(); ++stage) {
    if (layout_.stages[stage].source.has_value()) {
      // A worker is made now, so that a stage that cannot be built fails here; the first split uses
      // it.
      const uint32_t source = *layout_.stages[stage].source;
      ASSIGN_OR_RETURN(std::unique_ptr<SourceWorker> worker, workers_->Take(source));
      workers_->Return(source, std::move(worker));
      continue;
    }
    shards_[stage].resize(layout_.shard_count());
    for (const uint32_t shard : layout_.own_shards) {
      ASSIGN_OR_RETURN(shards_[stage][shard],
                       KeyedShard::Create(this, layout_, stage, shard, *runtime_.functions,
                                          router_.get(), state_backend_.get()));
    }
  }
  ShardDeliveries::Shards inputs;
  for (const auto& of_stage : shards_) {
    std::vector<ShardInput*>& of_inputs = inputs.emplace_back();
    for (const std::unique_ptr<KeyedShard>& shard : of_stage) {
      of_inputs.push_back(shard.get());
    }
  }
  deliveries_ = std::make_unique<ShardDeliveries>(&layout_, this, std::move(inputs));
  return absl::OkStatus();
}

absl::Status JobEpoch::OpenSnapshots() {
  if (!layout_.snapshot_location.empty()) {
    ASSIGN_OR_RETURN(store_, CheckpointStore::Open(layout_.snapshot_location, runtime_.files,
                                                   MissingDirectories::kRefuse));
  }
  snapshots_ = std::make_unique<SnapshotTaker>(
      SnapshotTaker::Parts{.host = this,
                           .clock = runtime_.clock,
                           .metrics = &metrics_,
                           .layout = &layout_,
                           .store = store_.get(),
                           .shards = OwnShards()},
      runtime_.executor_id, runtime_.engine_version,
      [this](proto::SnapshotWritten written) { reports_.Report(std::move(written)); });
  return absl::OkStatus();
}

bool JobEpoch::OpenStoreProof() {
  if (store_ == nullptr || layout_.store_mark.empty()) {
    return true;
  }
  absl::StatusOr<StoreProof> proof = ProveStore(store_.get(), layout_);
  if (!proof.ok()) {
    EndFailed(BatchId(), proof.status(), /*store_unseen=*/true);
    return false;
  }
  store_proof_ = *std::move(proof);
  return true;
}

void JobEpoch::RestoreState(std::function<void()> done) {
  if (layout_.restore.layers().empty()) {
    done();
    return;
  }
  std::make_shared<StateRestorer>(this, &layout_, store_.get(), OwnShards())
      ->Start(std::move(done));
}

absl::Status JobEpoch::Connect() {
  if (layout_.members.size() > 1 && runtime_.shuffle->address().empty()) {
    return absl::FailedPreconditionError(
        "this executor was started without a shuffle address and cannot have peers");
  }
  std::vector<ShufflePeer> peers;
  for (uint32_t member = 0; member < layout_.members.size(); ++member) {
    if (member != layout_.self) {
      peers.push_back(layout_.members[member]);
    }
  }
  std::vector<std::shared_ptr<PeerLink>> links =
      runtime_.shuffle->StartEpoch(layout_.job, layout_.epoch, peers, weak_from_this());
  links.insert(links.begin() + layout_.self, nullptr);
  router_->SetLinks(std::move(links));
  return absl::OkStatus();
}

void JobEpoch::Ready(proto::EpochReady ready) {
  {
    absl::MutexLock lock(&mutex_);
    if (phase_ != Phase::kOpening) {
      return;
    }
    phase_ = Phase::kRunning;
    has_sources_ = true;
  }
  ready.set_wake_at_us(WakeAtUs());
  if (store_proof_.has_value()) {
    ready.set_store_mark_nonce(store_proof_->nonce);
    ready.mutable_store_answer()->set_name(store_proof_->answer.name);
    ready.mutable_store_answer()->set_nonce(store_proof_->answer.nonce);
  }
  reports_.Report(std::move(ready));
  driver_->ProgressChanged();
  StartNextBatch();
}

void JobEpoch::Fail(BatchId batch, const absl::Status& status) {
  EndFailed(batch, status, /*store_unseen=*/false);
}

void JobEpoch::EndFailed(BatchId batch, const absl::Status& status, bool store_unseen) {
  {
    absl::MutexLock lock(&mutex_);
    if (phase_ == Phase::kEnding || phase_ == Phase::kEnded) {
      return;
    }
    failure_.emplace();
    failure_->set_batch(batch.value());
    failure_->set_code(static_cast<int32_t>(status.code()));
    failure_->set_message(Excerpt(ToStd(status.message())));
    const FailureKind kind = FailureKindOf(status);
    failure_->set_kind(static_cast<proto::FailureKind>(kind));
    failure_->set_retryable(store_unseen || kind != FailureKind::kCertain);
    failure_->set_store_unseen(store_unseen);
    failure_->set_restore_failed(!store_unseen && phase_ == Phase::kOpening && batch == BatchId() &&
                                 absl::IsDataLoss(status));
    phase_ = Phase::kEnding;
  }
  metrics_.failures.Increment();
  BeginEnd();
}

void JobEpoch::Stop(bool report, std::function<void()> when_ended) {
  bool begin = false;
  bool over = false;
  {
    absl::MutexLock lock(&mutex_);
    begin = phase_ == Phase::kOpening || phase_ == Phase::kRunning;
    over = phase_ == Phase::kEnded;
    report_stop_ = report_stop_ || report;
    if (begin) {
      phase_ = Phase::kEnding;
    }
    if (!over && when_ended != nullptr) {
      when_ended_.push_back(std::exchange(when_ended, nullptr));
    }
  }
  if (begin) {
    BeginEnd();
  } else if (over) {
    if (report) {
      ReportEnd();
    }
    if (when_ended != nullptr) {
      when_ended();
    }
  }
}

void JobEpoch::SettleAndStop(BatchId durable) {
  const EpochWork::Token token = work_.Take();  // sessions stay
  if (durable == BatchId() || token == nullptr) {
    Stop(/*report=*/true);
  } else {
    committer_.SettleAll(durable, [this] { Stop(/*report=*/true); });
  }
}

void JobEpoch::BeginEnd() {
  ending_.store(true);
  const EpochWork::Token last = work_.End();
  runtime_.gate->Cancel(static_cast<TaskHost*>(this));
}

void JobEpoch::Close() {
  runtime_.shuffle->StopEpoch(layout_.job, layout_.epoch);
  std::shared_ptr<SourceSet> sources;
  {
    absl::MutexLock lock(&mutex_);
    sources.swap(sources_);
    has_sources_ = false;
    run_.reset();
    waiting_.clear();
  }
  deliveries_.reset();
  sources.reset();
  snapshots_.reset();
  shards_.clear();
  state_backend_.reset();
  store_.reset();
  workers_.reset();
  router_.reset();
  claims_.reset();
  sinks_.reset();
  metrics_.state_rows.Set(0);
  metrics_.state_bytes.Set(0);
  ReportEnd();
}

void JobEpoch::ReportEnd() {
  std::optional<proto::EpochFailed> failed;
  bool stopped = false;
  std::vector<std::function<void()>> callbacks;
  {
    absl::MutexLock lock(&mutex_);
    phase_ = Phase::kEnded;
    failed.swap(failure_);
    stopped = std::exchange(report_stop_, false);
    callbacks.swap(when_ended_);
  }
  if (failed.has_value()) {
    reports_.Report(*std::move(failed));
  }
  if (stopped) {
    reports_.Report(proto::EpochStopped());
  }
  for (const std::function<void()>& callback : callbacks) {
    callback();
  }
}

}  // namespace millrace::executor
