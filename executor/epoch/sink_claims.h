// Claims the places in which an epoch writes, so that no lower epoch can make anything visible
// there any more, and fills the epoch's SinkSet with the sessions and writers that this makes
// possible.
//
// Lives as long as the epoch's parts. Thread-safe: claims of one call are made side by side.
#ifndef MILLRACE_EXECUTOR_EPOCH_SINK_CLAIMS_H_
#define MILLRACE_EXECUTOR_EPOCH_SINK_CLAIMS_H_

#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "executor/epoch/epoch_layout.h"
#include "executor/epoch/sink_places.h"
#include "executor/epoch/sink_set.h"
#include "executor/epoch/task_host.h"
#include "proto/cluster.pb.h"

namespace millrace::executor {

class SinkClaims {
 public:
  // `fail` ends the epoch; it is called instead of what a claim would call next. All outlive this.
  SinkClaims(TaskHost* host, const EpochLayout* layout, SinkSet* sinks,
             std::function<void(const absl::Status&)> fail)
      : host_(host), layout_(*layout), sinks_(*sinks), fail_(std::move(fail)) {}

  // Claims all that the epoch has to claim when it starts, and adds writers for all shards that
  // this executor has. Then calls `done` with what the claims have found: markers, sessions and
  // former shards. Call once.
  void ClaimAll(std::function<void(proto::EpochReady found)> done);

  // Adds writers for shards that appear within the epoch. Their places are claimed, but not the
  // slots of groups, which have been. REQUIRES: they have no writers; no batch is being written.
  void AddShards(std::vector<ShardPlace> shards, std::function<void()> done);

 private:
  struct Claim {
    SessionPlace place;
    bool stays = false;  // else the session is closed at once: the claim is all that is wanted
  };

  // Makes one claim of several, and returns what it has found.
  using ClaimOne = std::function<absl::StatusOr<proto::EpochReady>(size_t index)>;

  std::vector<Claim> Slots() const;
  // Claims of those among the shards that have sessions of their own.
  void AddClaims(const std::vector<ShardPlace>& shards, bool stay,
                 std::vector<Claim>* claims) const;
  // These add to `found`, which lives as long as `done`, and then call `done`.
  void ClaimFormerShards(proto::EpochReady* found, std::function<void()> done);
  void Open(std::vector<Claim> claims, proto::EpochReady* found, std::function<void()> done);
  void SideBySide(size_t count, const ClaimOne& claim, proto::EpochReady* found,
                  std::function<void()> done);
  void AddWriters(const std::vector<ShardPlace>& shards, const std::function<void()>& done);

  TaskHost* const host_;
  const EpochLayout& layout_;
  SinkSet& sinks_;
  const std::function<void(const absl::Status&)> fail_;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_EPOCH_SINK_CLAIMS_H_
