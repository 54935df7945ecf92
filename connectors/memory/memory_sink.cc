#include <map>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/status.h"
#include "common/base/units.h"
#include "common/columnar/batch_codec.h"
#include "connectors/memory/memory.h"
#include "connectors/memory/memory_tables.h"
#include "connectors/shared/options.h"

namespace millrace::memory {
namespace {

// The marker is the last committed batch in decimal.
class MemorySession : public SingleShardSession {
 public:
  MemorySession(std::shared_ptr<MemoryTable> table, SinkContext context, BatchId committed)
      : table_(std::move(table)), context_(std::move(context)), committed_(committed) {}

  absl::Status Write(const SinkBatch& batch, const Batch& rows) override {
    // Encoding copies the text out of the memory that its views point into.
    std::string encoded;
    EncodeBatch(rows, &encoded);
    const auto bytes = static_cast<int64_t>(encoded.size());
    absl::MutexLock lock(&mutex_);
    UncommittedRows& held = uncommitted_[batch.id];
    held.time_us = batch.time_us;
    RETURN_IF_ERROR(held.memory.Add(context_.memory, bytes, "a writer of connector memory"));
    held.bytes.push_back(std::move(encoded));
    held_bytes_ += bytes;
    return absl::OkStatus();
  }

  absl::Status Prepare(BatchId, absl::Time) override { return absl::OkStatus(); }

  absl::Status Commit(BatchId through, absl::Time) override {
    absl::MutexLock lock(&mutex_);
    while (!uncommitted_.empty() && uncommitted_.begin()->first <= through) {
      const auto& [batch, held] = *uncommitted_.begin();
      for (const std::string& bytes : held.bytes) {
        if (batch > committed_) {
          ASSIGN_OR_RETURN(Batch rows, DecodeBatch(bytes));
          table_->Commit({batch, held.time_us, context_.sink, context_.shard, std::move(rows)});
        }
        held_bytes_ -= static_cast<int64_t>(bytes.size());
      }
      uncommitted_.erase(uncommitted_.begin());
    }
    committed_ = std::max(committed_, through);
    return absl::OkStatus();
  }

  SinkMark mark() const override {
    absl::MutexLock lock(&mutex_);
    return {.written = {}, .batch = committed_, .marker = absl::StrCat(committed_.value())};
  }
  int64_t held_bytes() const override {
    absl::MutexLock lock(&mutex_);
    return held_bytes_;
  }
  int64_t held_bytes_of(BatchId batch) const override {
    absl::MutexLock lock(&mutex_);
    const auto held = uncommitted_.find(batch);
    return held == uncommitted_.end() ? 0 : held->second.memory.bytes();
  }

 private:
  struct UncommittedRows {
    int64_t time_us = 0;
    HeldBytes memory;
    std::vector<std::string> bytes;
  };

  std::shared_ptr<MemoryTable> table_;
  const SinkContext context_;
  mutable absl::Mutex mutex_;  // Write of a batch may run beside Commit of the one before
  std::map<BatchId, UncommittedRows> uncommitted_ ABSL_GUARDED_BY(mutex_);
  int64_t held_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  BatchId committed_ ABSL_GUARDED_BY(mutex_);
};

class MemorySinkConnector : public SinkConnector {
 public:
  absl::Status Validate(const proto::Sink& sink) const override {
    RETURN_IF_ERROR(CheckOptionNames(sink.options(), "memory", {"table"}));
    return CheckSinkMode(sink, "memory", traits());
  }
  SinkTraits traits() const override { return {.accepts_changes = true, .accepts_upsert = true}; }
  absl::Status Probe(const proto::Sink&, absl::Duration) const override { return absl::OkStatus(); }
  std::vector<std::pair<std::string, SqlType>> MetadataColumns() const override { return {}; }

  absl::StatusOr<std::unique_ptr<SinkSession>> Open(const std::vector<SinkTable>& tables,
                                                    const SinkContext& context) const override {
    const proto::Sink& sink = *tables.front().table;
    int64_t committed = 0;
    if (!context.marker.empty() && !absl::SimpleAtoi(context.marker, &committed)) {
      return absl::DataLossError(
          absl::StrCat("the marker \"", context.marker, "\" is no batch number"));
    }
    return std::make_unique<MemorySession>(
        MemoryTables::Global().Table(OptionOr(sink.options(), "table", sink.table())), context,
        BatchId(committed));
  }
};

}  // namespace

std::unique_ptr<SinkConnector> NewMemorySinkConnector() {
  return std::make_unique<MemorySinkConnector>();
}

}  // namespace millrace::memory
