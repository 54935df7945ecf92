#include "executor/testing/test_cluster.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/steady_time.h"
#include "common/columnar/batch_codec.h"

namespace millrace::executor {
namespace {

// The job's snapshot directory, which the driver makes.
constexpr char kJobDirectory[] = "/snapshots/incarnation-1";

}  // namespace

TestCluster::TestCluster(size_t executors, int64_t memory_bytes, uint32_t slots, Clock* clock,
                         AccessPolicy access)
    : connectors_(TestConnectors(&topic, &output, std::move(access))) {
  MILLRACE_CHECK(files.MakeDirectory(kJobDirectory).ok());
  for (size_t i = 0; i < executors; ++i) {
    ExecutorOptions options;
    options.slots = slots;
    options.shuffle_listen_address = executors > 1 ? "127.0.0.1:0" : "";
    options.memory_bytes = memory_bytes;
    options.files = &files;
    options.clock = clock;
    AddExecutor(options);
  }
}

TestCluster::TestCluster(const std::vector<FileSystem*>& files_of)
    : connectors_(TestConnectors(&topic, &output)) {
  MILLRACE_CHECK(files.MakeDirectory(kJobDirectory).ok());
  for (FileSystem* const files_here : files_of) {
    ExecutorOptions options;
    options.slots = 2;
    options.shuffle_listen_address = "127.0.0.1:0";
    options.memory_bytes = int64_t{64} << 20;
    options.files = files_here;
    AddExecutor(options);
  }
}

void TestCluster::AddExecutor(ExecutorOptions options) {
  options.driver_address = driver.address();
  options.name = absl::StrCat("executor-", executors_.size());
  options.connectors = connectors_.get();
  absl::StatusOr<std::unique_ptr<Executor>> executor = Executor::Start(std::move(options));
  MILLRACE_CHECK(executor.ok()) << executor.status();
  executors_.push_back(*std::move(executor));
  driver.WaitForExecutor(id(executors_.size() - 1));
}

TestJob::TestJob(TestCluster* cluster, proto::JobPlan plan, std::vector<std::string> partitions)
    : executors(cluster->size()),
      cluster_(*cluster),
      plan_(std::move(plan)),
      partitions_(std::move(partitions)) {}

template <typename Message>
void TestJob::Address(Message* message) const {
  message->set_job_id(id_);
  message->set_epoch(epoch_);
}

void TestJob::SendStart(int64_t epoch) {
  epoch_ = epoch;
  proto::DriverMessage message;
  proto::StartEpoch* start = message.mutable_start_epoch();
  Address(start);
  start->set_job_name(name_);
  start->set_incarnation("incarnation-1");
  *start->mutable_plan() = plan_;
  start->set_first_batch(first_batch);
  start->set_suppress_until(suppress_until);
  start->set_snapshot_location(snapshot_location);
  start->set_store_mark(store_mark);
  *start->mutable_restore() = restore;
  for (size_t i = 0; i < executors; ++i) {
    proto::Assignment::Member* member = start->mutable_assignment()->add_members();
    member->set_executor_id(cluster_.id(i));
    member->set_shuffle_address(cluster_.executor(i).shuffle_address());
  }
  for (uint32_t shard = 0; shard < plan_.parallelism(); ++shard) {
    start->mutable_assignment()->add_shard_owner(shard % executors);
  }
  for (const std::vector<uint32_t>& group : groups) {
    start->add_groups()->mutable_sinks()->Add(group.begin(), group.end());
  }
  for (size_t i = 0; i < executors; ++i) {
    start->mutable_assignment()->clear_partitions();
    for (size_t ordinal = i; ordinal < partitions_.size(); ordinal += executors) {
      proto::PartitionStart* partition = start->mutable_assignment()->add_partitions();
      partition->mutable_key()->set_partition(partitions_[ordinal]);
      partition->set_ordinal(static_cast<uint32_t>(ordinal));
      partition->set_offset(start_offsets[partitions_[ordinal]]);
    }
    AddClaims(i, start);
    start->clear_stream_keys();
    for (size_t other = 0; other < executors; ++other) {
      proto::StreamKeys* keys = start->add_stream_keys();
      keys->set_to(absl::StrCat("key of epoch ", epoch, " from ", i, " to ", other));
      keys->set_from(absl::StrCat("key of epoch ", epoch, " from ", other, " to ", i));
    }
    cluster_.driver.Send(cluster_.id(i), message);
  }
}

void TestJob::AddClaims(size_t executor, proto::StartEpoch* start) const {
  const auto deal = [&](const auto& all, auto* own) {
    own->Clear();
    for (size_t i = executor; i < all.size(); i += executors) {
      *own->Add() = all[i];
    }
  };
  deal(retired_shards, start->mutable_retired_shards());
  deal(former_shards, start->mutable_former_shards());
  deal(left_slots, start->mutable_sessions());
  for (const std::vector<uint32_t>& group : groups) {
    proto::SessionMark* own = start->add_sessions();
    own->set_group(group.front());
    own->set_slot(static_cast<uint32_t>(executor));
  }
}

void TestJob::AddVisible(size_t executor, proto::RunBatch* run) const {
  for (const proto::VisibleShards& of_sink : visible) {
    proto::VisibleShards own = of_sink;
    own.clear_shards();
    for (const uint32_t shard : of_sink.shards()) {
      if (shard % executors == executor) {
        own.add_shards(shard);
      }
    }
    *run->add_visible() = own;
  }
}

std::vector<proto::EpochReady> TestJob::Start(int64_t epoch) {
  SendStart(epoch);
  return WaitReady(epoch);
}

std::vector<proto::EpochReady> TestJob::WaitReady(int64_t epoch) {
  std::vector<proto::EpochReady> ready;
  for (size_t i = 0; i < executors; ++i) {
    const auto matches = [&](const proto::ExecutorMessage& m) {
      return m.has_epoch_ready() && m.epoch_ready().epoch() == epoch;
    };
    ready.push_back(WaitFrom(i, matches, "EpochReady").epoch_ready());
  }
  return ready;
}

void TestJob::AddPartition(const std::string& partition) {
  new_ordinals_.push_back(static_cast<uint32_t>(partitions_.size()));
  partitions_.push_back(partition);
}

void TestJob::SendRun(int64_t batch, const Ranges& ranges) {
  for (size_t i = 0; i < executors; ++i) {
    proto::DriverMessage message;
    proto::RunBatch* run = message.mutable_run_batch();
    Address(run);
    run->set_batch(batch);
    run->set_batch_time_us(batch * 1000000);
    run->set_durable_batch(durable_batch);
    AddVisible(i, run);
    for (const uint32_t ordinal : new_ordinals_) {
      if (ordinal % executors == i) {
        proto::PartitionStart* start = run->add_new_partitions();
        start->mutable_key()->set_partition(partitions_[ordinal]);
        start->set_ordinal(ordinal);
      }
    }
    for (const auto& [partition, range] : ranges) {
      const size_t ordinal = static_cast<size_t>(
          std::find(partitions_.begin(), partitions_.end(), partition) - partitions_.begin());
      if (ordinal % executors != i) {
        continue;
      }
      proto::Split* split = run->add_splits();
      split->mutable_key()->set_partition(partition);
      split->set_begin(range.first);
      split->set_end(range.second);
      split->set_ordinal(static_cast<uint32_t>(ordinal));
    }
    cluster_.driver.Send(cluster_.id(i), message);
  }
  new_ordinals_.clear();
}

std::vector<proto::BatchPrepared> TestJob::WaitPrepared(int64_t batch) {
  std::vector<proto::BatchPrepared> prepared;
  for (size_t i = 0; i < executors; ++i) {
    const auto matches = [&](const proto::ExecutorMessage& m) {
      return m.has_batch_prepared() && m.batch_prepared().epoch() == epoch_ &&
             m.batch_prepared().batch() == batch;
    };
    prepared.push_back(
        WaitFrom(i, matches, absl::StrCat("BatchPrepared ", batch)).batch_prepared());
  }
  return prepared;
}

std::map<std::string, proto::SplitReport> TestJob::Run(int64_t batch, const Ranges& ranges) {
  SendRun(batch, ranges);
  std::map<std::string, proto::SplitReport> reports;
  for (const proto::BatchPrepared& prepared : WaitPrepared(batch)) {
    for (const proto::SplitReport& report : prepared.splits()) {
      reports[report.key().partition()] = report;
    }
  }
  return reports;
}

void TestJob::SendCommit(int64_t batch) {
  proto::DriverMessage message;
  Address(message.mutable_commit_batch());
  message.mutable_commit_batch()->set_batch(batch);
  message.mutable_commit_batch()->set_durable_batch(durable_batch);
  message.mutable_commit_batch()->set_finish(finish);
  for (size_t i = 0; i < executors; ++i) {
    cluster_.driver.Send(cluster_.id(i), message);
  }
}

std::vector<proto::BatchCommitted> TestJob::Commit(int64_t batch) {
  SendCommit(batch);
  return WaitCommitted(batch);
}

std::vector<proto::BatchCommitted> TestJob::WaitCommitted(int64_t batch) {
  std::vector<proto::BatchCommitted> committed;
  for (size_t i = 0; i < executors; ++i) {
    const auto matches = [&](const proto::ExecutorMessage& m) {
      return m.has_batch_committed() && m.batch_committed().batch() == batch;
    };
    committed.push_back(
        WaitFrom(i, matches, absl::StrCat("BatchCommitted ", batch)).batch_committed());
  }
  return committed;
}

void TestJob::SendSnapshot(int64_t batch, bool full) {
  proto::DriverMessage message;
  Address(message.mutable_take_snapshot());
  message.mutable_take_snapshot()->set_batch(batch);
  message.mutable_take_snapshot()->set_full(full);
  for (size_t i = 0; i < executors; ++i) {
    cluster_.driver.Send(cluster_.id(i), message);
  }
}

std::vector<proto::SnapshotWritten> TestJob::WaitSnapshot(int64_t batch) {
  std::vector<proto::SnapshotWritten> written;
  for (size_t i = 0; i < executors; ++i) {
    const auto matches = [&](const proto::ExecutorMessage& m) {
      return m.has_snapshot_written() && m.snapshot_written().epoch() == epoch_ &&
             m.snapshot_written().batch() == batch;
    };
    written.push_back(
        WaitFrom(i, matches, absl::StrCat("SnapshotWritten ", batch)).snapshot_written());
  }
  return written;
}

proto::SnapshotLayer TestJob::Snapshot(int64_t batch, bool full) {
  SendSnapshot(batch, full);
  proto::SnapshotLayer layer;
  layer.set_batch(batch);
  layer.set_epoch(epoch_);
  layer.set_full(full);
  for (const proto::SnapshotWritten& written : WaitSnapshot(batch)) {
    MILLRACE_CHECK(written.error().empty()) << written.error();
    if (written.has_file()) {
      *layer.add_files() = written.file();
    }
  }
  return layer;
}

proto::EpochFailed TestJob::WaitFailed() {
  const absl::Time deadline = SteadyNow() + absl::Seconds(20);
  const auto failed = [&](const proto::ExecutorMessage& m) {
    return m.has_epoch_failed() && m.epoch_failed().epoch() == epoch_;
  };
  while (true) {
    for (size_t i = 0; i < executors; ++i) {
      for (const proto::ExecutorMessage& message : cluster_.driver.Take(cluster_.id(i), failed)) {
        return message.epoch_failed();
      }
    }
    MILLRACE_CHECK(SteadyNow() < deadline) << "no executor said EpochFailed";
    cluster_.driver.WaitForMessages(deadline);
  }
}

void TestJob::SendStop() {
  proto::DriverMessage message;
  Address(message.mutable_stop_epoch());
  message.mutable_stop_epoch()->set_durable_batch(durable_batch);
  for (size_t i = 0; i < executors; ++i) {
    cluster_.driver.Send(cluster_.id(i), message);
  }
}

void TestJob::Stop() {
  SendStop();
  for (size_t i = 0; i < executors; ++i) {
    WaitFrom(i, [](const auto& m) { return m.has_epoch_stopped(); }, "EpochStopped");
  }
}

std::vector<std::string> TestJob::ResultsOf(int64_t batch) {
  std::vector<std::string> rows;
  for (size_t i = 0; i < executors; ++i) {
    const auto matches = [&](const proto::ExecutorMessage& m) {
      return m.has_result_rows() && m.result_rows().batch() == batch;
    };
    for (const proto::ExecutorMessage& message : cluster_.driver.Take(cluster_.id(i), matches)) {
      absl::StatusOr<Batch> decoded = DecodeBatch(message.result_rows().rows());
      MILLRACE_CHECK(decoded.ok()) << decoded.status();
      for (std::string& row : RowsAsText(*decoded)) {
        rows.push_back(std::move(row));
      }
    }
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

proto::ExecutorMessage TestJob::WaitFrom(size_t executor, const FakeDriver::Matcher& matches,
                                         const std::string& what) {
  std::optional<proto::ExecutorMessage> message =
      cluster_.driver.Wait(cluster_.id(executor), matches);
  if (!message.has_value()) {
    std::string seen;
    for (const proto::ExecutorMessage& other : cluster_.driver.Take(
             cluster_.id(executor),
             [](const auto& m) { return !m.has_heartbeat() && !m.has_source_progress(); })) {
      absl::StrAppend(&seen, other.ShortDebugString().substr(0, 300), "\n");
    }
    MILLRACE_CHECK(false) << what << " did not come from executor " << executor << "; there was\n"
                          << seen;
  }
  return *std::move(message);
}

}  // namespace millrace::executor
