#include "executor/testing/shared_test_sink.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "common/base/check.h"
#include "common/base/status.h"

namespace millrace::executor {
namespace {

std::string ShardName(uint32_t sink, uint32_t shard) { return absl::StrCat(sink, "/", shard); }

// What is outside of all processes. Thread-safe.
class Slots {
 public:
  // Returns who has written in the slot, and through which batch.
  absl::StatusOr<SinkMark> Claim(const std::string& slot, Epoch epoch) {
    absl::MutexLock lock(&mutex_);
    RETURN_IF_ERROR(CheckEpoch(slot, epoch));
    claimed_by_[slot] = epoch;
    return marks_[slot];
  }

  absl::StatusOr<SinkMark> Write(const std::string& slot, Epoch epoch, BatchId batch) {
    absl::MutexLock lock(&mutex_);
    RETURN_IF_ERROR(CheckEpoch(slot, epoch));
    return marks_[slot] = {.written = epoch,
                           .batch = batch,
                           .marker = absl::StrCat("e", epoch.value(), " b", batch.value())};
  }

 private:
  absl::Status CheckEpoch(const std::string& slot, Epoch epoch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return claimed_by_[slot] <= epoch ? absl::OkStatus()
                                      : absl::AbortedError("a higher epoch has claimed the slot");
  }

  absl::Mutex mutex_;
  std::map<std::string, Epoch> claimed_by_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, SinkMark> marks_ ABSL_GUARDED_BY(mutex_);
};

class SharedTestSession : public SinkSession {
 public:
  SharedTestSession(TestOutput* output, Slots* slots, const std::vector<SinkTable>& tables,
                    const SinkContext& context, std::string name, SinkMark found)
      : output_(*output),
        slots_(*slots),
        job_(context.job_name),
        epoch_(context.epoch),
        name_(std::move(name)),
        mark_(std::move(found)) {
    for (const SinkTable& table : tables) {
      sinks_.insert(table.index);
    }
    MILLRACE_CHECK(tables.front().index == context.sink) << "the first table names the group";
    output_.Add(absl::StrCat("open ", name_, " of ", absl::StrJoin(sinks_, ","), " '",
                             context.marker, "'"));
  }
  ~SharedTestSession() override { output_.Add(absl::StrCat("close ", name_)); }

  absl::StatusOr<SinkShard*> AddShard(uint32_t sink, uint32_t shard) override {
    const std::string added = ShardName(sink, shard);
    MILLRACE_CHECK(sinks_.contains(sink)) << name_ << " does not write sink " << sink;
    absl::MutexLock lock(&mutex_);
    MILLRACE_CHECK(writing_ == BatchId()) << added << " is added while a batch is written";
    MILLRACE_CHECK(!shards_.contains(added)) << added << " is added twice";
    output_.Add(absl::StrCat("add ", added, " to ", name_));
    return (shards_[added] = std::make_unique<Shard>(this, added)).get();
  }

  std::string Terms(uint32_t sink) const override {
    return absl::StrCat("e", epoch_.value(), " for ", sink);
  }

  void NoteBatch(BatchId batch, int64_t) override {
    absl::MutexLock lock(&mutex_);
    MILLRACE_CHECK(batch > prepared_) << "batch " << batch << " is noted behind its Prepare";
    rows_[batch];
  }

  absl::Status Prepare(BatchId batch, absl::Time) override {
    output_.Add(absl::StrCat("prepare ", name_, " b", batch.value()));
    absl::MutexLock lock(&mutex_);
    MILLRACE_CHECK(writing_ == BatchId() || writing_ == batch) << "it is batch " << writing_;
    MILLRACE_CHECK(batch > prepared_) << "batch " << batch << " comes behind " << prepared_;
    writing_ = BatchId();
    prepared_ = batch;
    return absl::OkStatus();
  }

  absl::Status Commit(BatchId through, absl::Time) override {
    RETURN_IF_ERROR(output_.BeginCommit(job_));
    absl::MutexLock lock(&mutex_);
    if (rows_.empty() || rows_.begin()->first > through) {
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(mark_, slots_.Write(name_, epoch_, through));
    std::set<std::string> shown;
    while (!rows_.empty() && rows_.begin()->first <= through) {
      for (auto& [shard, row] : rows_.begin()->second) {
        shown.insert(shard);
        output_.AddRow(rows_.begin()->first, std::move(row));
      }
      rows_.erase(rows_.begin());
    }
    output_.Add(
        absl::StrCat("commit ", name_, " b", through.value(), ": ", absl::StrJoin(shown, " ")));
    return absl::OkStatus();
  }

  SinkMark mark() const override {
    absl::MutexLock lock(&mutex_);
    return mark_;
  }

 private:
  class Shard : public SinkShard {
   public:
    Shard(SharedTestSession* session, std::string name)
        : session_(*session), name_(std::move(name)) {}

    absl::Status Write(const SinkBatch& batch, const Batch& rows) override {
      if (batch.visible.has_value()) {
        session_.output_.Add(
            absl::StrCat("judge ", name_, " b", batch.id.value(), " by '", *batch.visible, "'"));
      }
      refused_ = session_.output_.RefusedOf(rows);
      if (!refused_.empty()) {
        return refused_.errors().front().status;
      }
      if (!batch.visible.has_value()) {
        session_.Hold(batch.id, name_, RowsAsText(rows));
      }
      return absl::OkStatus();
    }
    std::vector<RowError> TakeRefused() override { return refused_.Take(); }

   private:
    SharedTestSession& session_;
    const std::string name_;
    RowErrors refused_;  // by the last Write
  };

  void Hold(BatchId batch, const std::string& shard, std::vector<std::string> rows) {
    absl::MutexLock lock(&mutex_);
    MILLRACE_CHECK(batch > prepared_) << "batch " << batch << " is written behind its Prepare";
    writing_ = batch;
    for (std::string& row : rows) {
      rows_[batch].emplace_back(shard, std::move(row));
    }
  }

  TestOutput& output_;
  Slots& slots_;
  const std::string job_;
  const Epoch epoch_;
  const std::string name_;
  std::set<uint32_t> sinks_;
  mutable absl::Mutex mutex_;
  std::map<std::string, std::unique_ptr<Shard>> shards_ ABSL_GUARDED_BY(mutex_);
  BatchId writing_ ABSL_GUARDED_BY(mutex_);   // from its first row to its Prepare; 0 = none
  BatchId prepared_ ABSL_GUARDED_BY(mutex_);  // the last one
  // Of batches that are not committed, with the shard of each row. A batch without rows is there if
  // it was noted.
  std::map<BatchId, std::vector<std::pair<std::string, std::string>>> rows_ ABSL_GUARDED_BY(mutex_);
  SinkMark mark_ ABSL_GUARDED_BY(mutex_);
};

class SharedTestSinkConnector : public SinkConnector {
 public:
  explicit SharedTestSinkConnector(TestOutput* output) : output_(output) {}

  absl::Status Validate(const proto::Sink&) const override { return absl::OkStatus(); }
  SinkTraits traits() const override {
    return {.scope = SinkTraits::Scope::kExecutor, .accepts_changes = true, .accepts_upsert = true};
  }
  absl::Status Probe(const proto::Sink&, absl::Duration) const override { return absl::OkStatus(); }
  std::vector<std::pair<std::string, SqlType>> MetadataColumns() const override { return {}; }

  absl::StatusOr<std::unique_ptr<SinkSession>> Open(const std::vector<SinkTable>& tables,
                                                    const SinkContext& context) const override {
    RETURN_IF_ERROR(output_->BeginOpening(context.job_name));
    std::string slot = absl::StrCat("g", context.sink, "/s", context.slot);
    ASSIGN_OR_RETURN(SinkMark found, slots_->Claim(slot, context.epoch));
    return std::make_unique<SharedTestSession>(output_, slots_.get(), tables, context,
                                               std::move(slot), std::move(found));
  }

  // The marker is the last committed batch in decimal.
  absl::StatusOr<BatchId> ClaimFormerShard(const proto::Sink&,
                                           const SinkContext& context) const override {
    output_->Add(
        absl::StrCat("former ", ShardName(context.sink, context.shard), " '", context.marker, "'"));
    int64_t committed = 0;
    if (!absl::SimpleAtoi(context.marker, &committed)) {
      return absl::DataLossError("the marker is no batch number");
    }
    return BatchId(committed);
  }

 private:
  TestOutput* const output_;
  const std::unique_ptr<Slots> slots_ = std::make_unique<Slots>();
};

}  // namespace

std::unique_ptr<SinkConnector> NewSharedTestSink(TestOutput* output) {
  return std::make_unique<SharedTestSinkConnector>(output);
}

}  // namespace millrace::executor
