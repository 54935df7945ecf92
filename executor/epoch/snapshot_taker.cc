#include "executor/epoch/snapshot_taker.h"

#include <spdlog/spdlog.h>

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/excerpt.h"
#include "common/base/failpoint.h"
#include "common/base/status.h"
#include "common/columnar/row_hash.h"
#include "executor/shuffle/owned_rows.h"
#include "executor/state/snapshot/snapshot_file.h"

namespace millrace::executor {
namespace {

int64_t CopiedBytes(const std::vector<std::vector<StateBlock>>& shards) {
  int64_t bytes = 0;
  for (const std::vector<StateBlock>& blocks : shards) {
    for (const StateBlock& block : blocks) {
      bytes += OwnedBytes(block.rows);
    }
  }
  return bytes;
}

}  // namespace

SnapshotTaker::SnapshotTaker(Parts parts, std::string executor_id, std::string engine_version,
                             OnWritten on_written)
    : parts_(std::move(parts)),
      executor_id_(std::move(executor_id)),
      engine_version_(std::move(engine_version)),
      on_written_(std::move(on_written)),
      budget_(parts_.clock) {}

void SnapshotTaker::Take(BatchId batch, bool full) {
  if (parts_.store == nullptr) {
    Refuse(batch, "the epoch was started without a place for snapshots");
    return;
  }
  if (parts_.shards.empty()) {
    proto::SnapshotWritten nothing;
    nothing.set_batch(batch.value());
    on_written_(std::move(nothing));
    return;
  }
  std::shared_ptr<SnapshotCut> cut;
  std::shared_ptr<SnapshotCut> dropped;
  {
    absl::MutexLock lock(&mutex_);
    if (full || (copying_ == nullptr && !wants_full_)) {
      cut = std::make_shared<SnapshotCut>(batch, full, parts_.shards.size(), &budget_,
                                          [this](SnapshotCut* copied) { Copied(copied); });
      dropped = std::exchange(copying_, cut);
      wants_full_ = false;
    }
  }
  if (cut == nullptr) {
    Refuse(batch, "what changed before it is in no snapshot: only a full one can follow");
    return;
  }
  for (KeyedShard* shard : parts_.shards) {
    shard->Cut(cut);
  }
  MILLRACE_FAILPOINT("executor.snapshot_cut");
  if (dropped != nullptr) {
    Refuse(dropped->batch(), absl::StrCat("that of batch ", batch.value(), " took its place"));
  }
}

void SnapshotTaker::Refuse(BatchId batch, const std::string& why) {
  spdlog::warn("job {}: no snapshot of batch {}: {}", parts_.layout->job_name, batch.value(), why);
  proto::SnapshotWritten refused;
  refused.set_batch(batch.value());
  refused.set_error(why);
  on_written_(std::move(refused));
}

void SnapshotTaker::BatchBegins() {
  budget_.BeginBatch();
  CopyOn();
}

void SnapshotTaker::BatchEnded() {
  budget_.EndBatch();
  CopyOn();
}

void SnapshotTaker::CopyOn() {
  {
    absl::MutexLock lock(&mutex_);
    if (copying_ == nullptr) {
      return;
    }
  }
  for (KeyedShard* shard : parts_.shards) {
    shard->CopyOn();
  }
}

void SnapshotTaker::Copied(const SnapshotCut* copied) {
  std::shared_ptr<SnapshotCut> cut;
  {
    absl::MutexLock lock(&mutex_);
    if (copying_.get() != copied) {
      return;  // another snapshot took its place
    }
    cut.swap(copying_);
  }
  parts_.host->SpawnBlocking([this, cut = std::move(cut)] { Write(cut); });
}

void SnapshotTaker::Write(const std::shared_ptr<SnapshotCut>& cut) {
  if (parts_.host->ended()) {
    return;
  }
  proto::SnapshotWritten written;
  written.set_batch(cut->batch().value());
  written.set_cut_us(cut->marking_ns() / 1000);
  const absl::Status status = WriteFile(cut.get(), &written);
  if (!status.ok()) {
    {
      absl::MutexLock lock(&mutex_);
      wants_full_ = true;
    }
    spdlog::warn("job {}: the snapshot of batch {} could not be written: {}",
                 parts_.layout->job_name, cut->batch().value(), std::string(status.message()));
    written.clear_file();
    written.set_error(Excerpt(ToStd(status.message())));
  }
  MILLRACE_FAILPOINT("executor.snapshot_written");
  on_written_(std::move(written));
}

absl::Status SnapshotTaker::WriteFile(SnapshotCut* cut, proto::SnapshotWritten* written) {
  const int64_t start_ns = parts_.clock->MonotonicNs();
  std::vector<std::vector<StateBlock>> shards = cut->TakeShards();
  const int64_t copied_bytes = CopiedBytes(shards);
  SnapshotFileBuilder builder(Header(*cut));
  for (std::vector<StateBlock>& blocks : shards) {
    RETURN_IF_ERROR(builder.Add(blocks));
    blocks = {};  // frees the entries: the state and the file are enough to hold at once
  }
  written->set_rows(builder.rows());
  if (builder.rows() == 0) {
    return absl::OkStatus();
  }
  const std::string name = NewFileName(cut->batch());
  const std::string bytes = builder.Finish(name, OwnKeyGroups(), written->mutable_file());
  RETURN_IF_ERROR(parts_.store->Write(name, bytes));
  const double seconds = static_cast<double>(parts_.clock->MonotonicNs() - start_ns) * 1e-9;
  parts_.metrics->snapshot_seconds.Observe(seconds);
  parts_.metrics->snapshot_bytes.Increment(static_cast<double>(bytes.size()));
  spdlog::info(
      "job {}: {}snapshot of batch {}: {} entries, {} bytes copied, {} bytes in {}, "
      "written in {:.3f} s; marking took {} us",
      parts_.layout->job_name, cut->full() ? "full " : "", cut->batch().value(), builder.rows(),
      copied_bytes, bytes.size(), name, seconds, written->cut_us());
  return absl::OkStatus();
}

// A new name each time, since a batch may have a snapshot and a savepoint.
std::string SnapshotTaker::NewFileName(BatchId batch) {
  absl::MutexLock lock(&mutex_);
  return absl::StrCat(parts_.layout->incarnation.value(), "/e", parts_.layout->epoch.value(), "-b",
                      batch.value(), "-", executor_id_.substr(0, 8), "-", ++files_, ".state");
}

proto::SnapshotHeader SnapshotTaker::Header(const SnapshotCut& cut) const {
  proto::SnapshotHeader header;
  header.set_engine_version(engine_version_);
  header.set_incarnation(parts_.layout->incarnation.value());
  header.set_epoch(parts_.layout->epoch.value());
  header.set_batch(cut.batch().value());
  header.set_full(cut.full());
  header.set_key_groups(parts_.layout->plan.key_groups());
  header.set_key_hash_version(kRowHashVersion);
  std::set<std::string> names;  // the shards of a stage have the same operators
  for (const KeyedShard* shard : parts_.shards) {
    for (const proto::StateIdentity& identity : shard->identities()) {
      if (names.insert(identity.name()).second) {
        *header.add_operators() = identity;
      }
    }
  }
  return header;
}

std::vector<KeyGroups> SnapshotTaker::OwnKeyGroups() const {
  std::vector<KeyGroups> ranges;
  for (const uint32_t shard : parts_.layout->own_shards) {
    const KeyGroups range = parts_.layout->KeyGroupsOf(shard);
    if (!ranges.empty() && ranges.back().end == range.begin) {
      ranges.back().end = range.end;
    } else if (range.begin < range.end) {
      ranges.push_back(range);
    }
  }
  return ranges;
}

}  // namespace millrace::executor
