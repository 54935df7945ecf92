#include "driver/testing/fake_cluster.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/uuid.h"
#include "common/columnar/batch.h"
#include "common/columnar/batch_codec.h"
#include "common/storage/checkpoint_store.h"
#include "common/storage/store_mark.h"

namespace millrace::driver {
namespace {

class FakeEnumerator : public SourceEnumerator {
 public:
  FakeEnumerator(FakeWorld* world, std::string prefix)
      : world_(world), prefix_(std::move(prefix)) {}

  absl::StatusOr<std::vector<PartitionName>> Discover(absl::Duration) override {
    RETURN_IF_ERROR(world_->trouble());
    std::vector<PartitionName> names;
    for (const auto& [name, end] : world_->ends()) {
      if (Selects({.name = name})) {
        names.push_back(name);
      }
    }
    return names;
  }
  bool Selects(const KnownPartition& partition) const override {
    return absl::StartsWith(partition.name, prefix_);
  }
  absl::StatusOr<std::vector<PartitionOffset>> ResolveStart(
      const std::vector<PartitionName>& partitions, absl::Duration timeout) override {
    return ResolveEarliest(partitions, timeout);
  }
  absl::StatusOr<std::vector<PartitionOffset>> ResolveEarliest(
      const std::vector<PartitionName>& partitions, absl::Duration) override {
    RETURN_IF_ERROR(world_->trouble());
    std::vector<PartitionOffset> offsets;
    offsets.reserve(partitions.size());
    for (const PartitionName& name : partitions) {
      offsets.push_back({name, Offset(0)});
    }
    return offsets;
  }
  absl::StatusOr<std::vector<PartitionEnd>> Ends(const std::vector<PartitionName>& partitions,
                                                 absl::Duration) override {
    RETURN_IF_ERROR(world_->trouble());
    std::vector<PartitionEnd> ends;
    const std::map<std::string, int64_t> there = world_->ends();
    for (const PartitionName& name : partitions) {
      const auto found = there.find(name);
      const Offset end(found == there.end() ? 0 : found->second);
      ends.push_back({name, end, end});
      if (found == there.end() && world_->may_lose()) {
        ends.back().phase = PartitionPhase::kGone;
        ends.back().why = "it was deleted";
      }
    }
    return ends;
  }
  absl::Status PublishOffsets(const std::vector<PartitionOffset>& committed,
                              absl::Duration) override {
    for (const PartitionOffset& offset : committed) {
      world_->Publish(offset.partition, offset.offset.value());
    }
    return absl::OkStatus();
  }

 private:
  FakeWorld* world_;
  const std::string prefix_;
};

class FakeSource : public SourceConnector {
 public:
  explicit FakeSource(FakeWorld* world) : world_(world) {}
  absl::Status Validate(const proto::Source&) const override { return absl::OkStatus(); }
  SourceTraits Traits(const proto::Source&) const override {
    return {.may_lose_partitions = world_->may_lose(), .bounded = world_->bounded()};
  }
  std::vector<std::pair<std::string, SqlType>> MetadataColumns() const override { return {}; }
  absl::StatusOr<std::unique_ptr<SourceEnumerator>> CreateEnumerator(
      const proto::Source& source, const SourceContext&) const override {
    const auto prefix = source.options().find("prefix");
    return std::make_unique<FakeEnumerator>(world_,
                                            prefix == source.options().end() ? "" : prefix->second);
  }
  absl::StatusOr<std::unique_ptr<SourceReader>> CreateReader(const proto::Source&,
                                                             const SourceContext&) const override {
    return absl::UnimplementedError("fake executors read nothing");
  }

 private:
  FakeWorld* world_;
};

class FakeSink : public SinkConnector {
 public:
  explicit FakeSink(bool gathered) : gathered_(gathered) {}
  absl::Status Validate(const proto::Sink&) const override { return absl::OkStatus(); }
  SinkTraits traits() const override {
    return {.accepts_changes = true, .accepts_upsert = true, .gathered = gathered_};
  }
  absl::Status Probe(const proto::Sink&, absl::Duration) const override { return absl::OkStatus(); }
  std::vector<std::pair<std::string, SqlType>> MetadataColumns() const override { return {}; }
  absl::StatusOr<std::unique_ptr<SinkSession>> Open(const std::vector<SinkTable>&,
                                                    const SinkContext&) const override {
    return absl::UnimplementedError("fake executors write nothing");
  }

 private:
  bool gathered_;
};

}  // namespace

void FakeWorld::SetEnd(const std::string& partition, int64_t end) {
  absl::MutexLock lock(&mutex_);
  ends_[partition] = end;
}
void FakeWorld::Remove(const std::string& partition) {
  absl::MutexLock lock(&mutex_);
  may_lose_ = true;
  ends_.erase(partition);
}
bool FakeWorld::may_lose() const {
  absl::MutexLock lock(&mutex_);
  return may_lose_;
}
void FakeWorld::SetBounded(bool bounded) {
  absl::MutexLock lock(&mutex_);
  bounded_ = bounded;
}
void FakeWorld::SetTrouble(absl::Status trouble) {
  absl::MutexLock lock(&mutex_);
  trouble_ = std::move(trouble);
}
std::map<std::string, int64_t> FakeWorld::ends() const {
  absl::MutexLock lock(&mutex_);
  return ends_;
}
std::map<std::string, int64_t> FakeWorld::published() const {
  absl::MutexLock lock(&mutex_);
  return published_;
}
absl::Status FakeWorld::trouble() const {
  absl::MutexLock lock(&mutex_);
  return trouble_;
}
bool FakeWorld::bounded() const {
  absl::MutexLock lock(&mutex_);
  return bounded_;
}
void FakeWorld::Publish(const std::string& partition, int64_t offset) {
  absl::MutexLock lock(&mutex_);
  published_[partition] = offset;
}

std::unique_ptr<ConnectorRegistry> FakeConnectors(FakeWorld* world) {
  auto registry = std::make_unique<ConnectorRegistry>();
  registry->AddSource("fake", std::make_unique<FakeSource>(world));
  registry->AddSink("shown", std::make_unique<FakeSink>(true));
  registry->AddSink("dropped", std::make_unique<FakeSink>(false));
  return registry;
}

FakeExecutor::FakeExecutor(const std::shared_ptr<grpc::Channel>& channel, std::string name)
    : name_(std::move(name)),
      stub_(proto::Cluster::NewStub(channel)),
      stream_(stub_->Connect(&context_)) {
  proto::ExecutorMessage message;
  message.mutable_register_()->set_executor_id(NewUuid());
  message.mutable_register_()->set_name(name_);
  message.mutable_register_()->set_slots(2);
  message.mutable_register_()->set_protocol(1);
  Send(message);
  reader_ = std::thread([this] { Serve(); });
  beater_ = std::thread([this] { Beat(); });
}

FakeExecutor::~FakeExecutor() {
  Kill();
  reader_.join();
  beater_.join();
  stream_->Finish();
}

void FakeExecutor::Kill() {
  {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
  }
  context_.TryCancel();
}

void FakeExecutor::Leave() {
  proto::ExecutorMessage message;
  message.mutable_leaving();
  Send(message);
}

void FakeExecutor::FailBatches(absl::Status status, bool retryable) {
  absl::MutexLock lock(&mutex_);
  failure_ = std::move(status);
  retryable_ = retryable;
}

void FakeExecutor::IgnoreBatches() {
  absl::MutexLock lock(&mutex_);
  ignores_batches_ = true;
}

std::vector<proto::RunBatch> FakeExecutor::runs() const {
  absl::MutexLock lock(&mutex_);
  return runs_;
}
std::vector<int64_t> FakeExecutor::commits() const {
  absl::MutexLock lock(&mutex_);
  return commits_;
}
std::vector<proto::StartEpoch> FakeExecutor::starts() const {
  absl::MutexLock lock(&mutex_);
  return starts_;
}

void FakeExecutor::Beat() {
  absl::MutexLock lock(&mutex_);
  while (!mutex_.AwaitWithTimeout(absl::Condition(&ended_), absl::Milliseconds(50))) {
    mutex_.Unlock();
    proto::ExecutorMessage message;
    message.mutable_heartbeat()->set_resident_bytes(1234);
    Send(message);
    mutex_.Lock();
  }
}

void FakeExecutor::Send(const proto::ExecutorMessage& message) {
  absl::MutexLock lock(&write_mutex_);
  stream_->Write(message);
}

void FakeExecutor::Serve() {
  proto::DriverMessage message;
  while (stream_->Read(&message)) {
    Answer(message);
  }
}

void FakeExecutor::Answer(const proto::DriverMessage& message) {
  proto::ExecutorMessage answer;
  if (message.has_start_epoch()) {
    {
      absl::MutexLock lock(&mutex_);
      starts_.push_back(message.start_epoch());
    }
    answer.mutable_epoch_ready()->set_job_id(message.start_epoch().job_id());
    answer.mutable_epoch_ready()->set_epoch(message.start_epoch().epoch());
    const absl::Status seen = ProveStore(message.start_epoch(), answer.mutable_epoch_ready());
    if (!seen.ok()) {
      proto::EpochFailed* failed = answer.mutable_epoch_failed();
      failed->set_job_id(message.start_epoch().job_id());
      failed->set_epoch(message.start_epoch().epoch());
      failed->set_code(static_cast<int>(seen.code()));
      failed->set_message(std::string(ToStd(seen.message())));
      failed->set_store_unseen(true);
    }
    Send(answer);
  } else if (message.has_run_batch()) {
    AnswerRun(message.run_batch());
  } else if (message.has_commit_batch()) {
    const proto::CommitBatch& commit = message.commit_batch();
    {
      absl::MutexLock lock(&mutex_);
      commits_.push_back(commit.batch());
    }
    answer.mutable_batch_committed()->set_job_id(commit.job_id());
    answer.mutable_batch_committed()->set_epoch(commit.epoch());
    answer.mutable_batch_committed()->set_batch(commit.batch());
    Send(answer);
  } else if (message.has_stop_epoch()) {
    answer.mutable_epoch_stopped()->set_job_id(message.stop_epoch().job_id());
    answer.mutable_epoch_stopped()->set_epoch(message.stop_epoch().epoch());
    Send(answer);
  } else if (message.has_take_snapshot()) {
    // The fake executor keeps no state, so there is nothing to write.
    const proto::TakeSnapshot& take = message.take_snapshot();
    answer.mutable_snapshot_written()->set_job_id(take.job_id());
    answer.mutable_snapshot_written()->set_epoch(take.epoch());
    answer.mutable_snapshot_written()->set_batch(take.batch());
    Send(answer);
  }
}

absl::Status FakeExecutor::ProveStore(const proto::StartEpoch& start, proto::EpochReady* ready) {
  if (start.store_mark().empty()) {
    return absl::OkStatus();
  }
  std::string directory;
  {
    absl::MutexLock lock(&mutex_);
    directory = store_directory_.empty() ? start.snapshot_location() : store_directory_;
  }
  ASSIGN_OR_RETURN(const auto store, CheckpointStore::Open(directory, FileSystem::Real(),
                                                           MissingDirectories::kRefuse));
  ASSIGN_OR_RETURN(*ready->mutable_store_mark_nonce(), ReadMark(store.get(), start.store_mark()));
  ASSIGN_OR_RETURN(const StoreMark answer,
                   LeaveMark(store.get(), StoreMarkPrefix(start.incarnation(), Epoch(start.epoch()),
                                                          "executor")));
  ready->mutable_store_answer()->set_name(answer.name);
  ready->mutable_store_answer()->set_nonce(answer.nonce);
  return absl::OkStatus();
}

void FakeExecutor::SeeStoreAt(std::string directory) {
  absl::MutexLock lock(&mutex_);
  store_directory_ = std::move(directory);
}

void FakeExecutor::AnswerRun(const proto::RunBatch& run) {
  absl::Status failure;
  bool retryable;
  {
    absl::MutexLock lock(&mutex_);
    runs_.push_back(run);
    if (ignores_batches_) {
      return;
    }
    failure = failure_;
    retryable = retryable_;
  }
  proto::ExecutorMessage answer;
  if (!failure.ok()) {
    proto::EpochFailed* failed = answer.mutable_epoch_failed();
    failed->set_job_id(run.job_id());
    failed->set_epoch(run.epoch());
    failed->set_code(static_cast<int>(failure.code()));
    failed->set_message(std::string(ToStd(failure.message())));
    failed->set_retryable(retryable);
    Send(answer);
    return;
  }
  for (const proto::Split& split : run.splits()) {
    auto names = std::make_shared<Column>(MakeType(TypeId::kText), 1);
    names->SetTextCopy(0, split.key().partition());
    auto counts = std::make_shared<Column>(MakeType(TypeId::kInt64), 1);
    counts->mutable_values<int64_t>()[0] = split.end() - split.begin();
    proto::ExecutorMessage rows;
    rows.mutable_result_rows()->set_job_id(run.job_id());
    rows.mutable_result_rows()->set_epoch(run.epoch());
    rows.mutable_result_rows()->set_batch(run.batch());
    EncodeBatch(Batch({names, counts}, 1), rows.mutable_result_rows()->mutable_rows());
    Send(rows);
  }
  proto::BatchPrepared* prepared = answer.mutable_batch_prepared();
  prepared->set_job_id(run.job_id());
  prepared->set_epoch(run.epoch());
  prepared->set_batch(run.batch());
  for (const proto::Split& split : run.splits()) {
    proto::SplitReport* report = prepared->add_splits();
    *report->mutable_key() = split.key();
    report->set_begin(split.begin());
    report->set_end(split.end());
    report->set_records(split.end() - split.begin());
    report->set_input_hash(static_cast<uint64_t>(split.begin() * 1000 + split.end()));
  }
  Send(answer);
}

}  // namespace millrace::driver
