#include "connectors/blackhole/blackhole.h"

#include <atomic>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/status.h"
#include "connectors/shared/options.h"

namespace millrace::blackhole {
namespace {

std::atomic<int64_t> rows_committed{0};

// The marker is the last committed batch in decimal.
class BlackholeSession : public SingleShardSession {
 public:
  explicit BlackholeSession(BatchId committed) : committed_(committed) {}

  absl::Status Write(const SinkBatch& batch, const Batch& rows) override {
    absl::MutexLock lock(&mutex_);
    held_rows_[batch.id] += static_cast<int64_t>(rows.row_count());
    return absl::OkStatus();
  }
  absl::Status Prepare(BatchId, absl::Time) override { return absl::OkStatus(); }

  absl::Status Commit(BatchId through, absl::Time) override {
    absl::MutexLock lock(&mutex_);
    while (!held_rows_.empty() && held_rows_.begin()->first <= through) {
      if (held_rows_.begin()->first > committed_) {
        rows_committed += held_rows_.begin()->second;
      }
      held_rows_.erase(held_rows_.begin());
    }
    committed_ = std::max(committed_, through);
    return absl::OkStatus();
  }

  SinkMark mark() const override {
    absl::MutexLock lock(&mutex_);
    return {.written = {}, .batch = committed_, .marker = absl::StrCat(committed_.value())};
  }

 private:
  mutable absl::Mutex mutex_;
  std::map<BatchId, int64_t> held_rows_ ABSL_GUARDED_BY(mutex_);
  BatchId committed_ ABSL_GUARDED_BY(mutex_);
};

class BlackholeSinkConnector : public SinkConnector {
 public:
  absl::Status Validate(const proto::Sink& sink) const override {
    RETURN_IF_ERROR(CheckOptionNames(sink.options(), "blackhole", {}));
    return CheckSinkMode(sink, "blackhole", traits());
  }
  SinkTraits traits() const override { return {.accepts_changes = true, .accepts_upsert = true}; }
  absl::Status Probe(const proto::Sink&, absl::Duration) const override { return absl::OkStatus(); }
  std::vector<std::pair<std::string, SqlType>> MetadataColumns() const override { return {}; }

  absl::StatusOr<std::unique_ptr<SinkSession>> Open(const std::vector<SinkTable>&,
                                                    const SinkContext& context) const override {
    int64_t committed = 0;
    if (!context.marker.empty() && !absl::SimpleAtoi(context.marker, &committed)) {
      return absl::DataLossError(
          absl::StrCat("the marker \"", context.marker, "\" is no batch number"));
    }
    return std::make_unique<BlackholeSession>(BatchId(committed));
  }
};

}  // namespace

std::unique_ptr<SinkConnector> NewBlackholeSinkConnector() {
  return std::make_unique<BlackholeSinkConnector>();
}

int64_t BlackholeRows() { return rows_committed.load(); }

}  // namespace millrace::blackhole
