// A sink session that is open on this executor, and the place that its claim has taken. Names the
// session in errors, and tells what it has made visible in the words of the protocol.
//
// Thread-safe as SinkSession is: BatchCommitter keeps the order of the calls that need one.
#ifndef MILLRACE_EXECUTOR_EPOCH_OPEN_SESSION_H_
#define MILLRACE_EXECUTOR_EPOCH_OPEN_SESSION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/ids.h"
#include "connectors/sink.h"
#include "executor/epoch/sink_places.h"
#include "proto/cluster.pb.h"

namespace millrace::executor {

class OpenSession {
 public:
  // `sinks`: the tables that it writes, by index; none if it was only opened to claim its place.
  // `sets_aside`: its rows are failed records. `name`: how errors call it.
  OpenSession(SessionPlace place, std::vector<uint32_t> sinks, bool sets_aside, std::string name,
              std::unique_ptr<SinkSession> session)
      : place_(place),
        sinks_(std::move(sinks)),
        sets_aside_(sets_aside),
        name_(std::move(name)),
        session_(std::move(session)) {}

  const SessionPlace& place() const { return place_; }
  bool sets_aside() const { return sets_aside_; }

  // As in SinkSession; errors name the session.
  absl::StatusOr<SinkShard*> AddShard(ShardPlace shard);
  absl::Status Prepare(BatchId batch, absl::Time deadline);
  absl::Status Commit(BatchId through, absl::Time deadline);
  absl::Status Settle(BatchId batch, absl::Time deadline);
  void NoteBatch(BatchId batch, int64_t batch_time_us) {
    session_->NoteBatch(batch, batch_time_us);
  }
  void Finish() { session_->Finish(); }

  int64_t wake_at_us() const { return session_->wake_at_us(); }
  int64_t held_bytes() const { return session_->held_bytes(); }
  int64_t held_bytes_of(BatchId batch) const { return session_->held_bytes_of(batch); }
  // Whether it is to be committed at this batch time although it has no rows.
  bool IsDue(int64_t batch_time_us) const {
    const int64_t wake_at_us = session_->wake_at_us();
    return wake_at_us != 0 && wake_at_us <= batch_time_us;
  }

  // What its claim has found, for EpochReady, and what its last commit has made visible, for
  // BatchCommitted. The driver keeps a marker for a shard, and a mark for a slot.
  void ReportClaim(proto::EpochReady* ready) const;
  void ReportCommit(proto::BatchCommitted* committed) const;
  // The marker of the session's shard. REQUIRES: its place is one.
  proto::SinkMarker ShardMarker() const;

 private:
  // REQUIRES: the session's place is a slot.
  proto::SessionMark SlotMark() const;

  const SessionPlace place_;
  const std::vector<uint32_t> sinks_;
  const bool sets_aside_;
  const std::string name_;
  const std::unique_ptr<SinkSession> session_;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_EPOCH_OPEN_SESSION_H_
