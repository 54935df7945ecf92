// The life of one sink table through the epochs of a job: a driver with its journal, and members
// that claim places, write and commit. The rules of docs/exactly-once.md §3 at their shortest, so
// that the contract suites check connectors against the rules, and not against the driver's code.
#ifndef MILLRACE_TESTS_CONTRACT_SINK_LIFE_H_
#define MILLRACE_TESTS_CONTRACT_SINK_LIFE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "connectors/sink.h"

namespace millrace {

class SinkLife;

// Which output of a shard is visible beyond the last committed batch: up to each of these batches,
// judged by these terms where no entry of a lower batch covers it.
using VisibleOutput = std::map<BatchId, std::string>;

// A session of an epoch with its shards. The life must outlive it. Write may run beside Commit;
// otherwise thread-compatible.
class SinkMember {
 public:
  SinkSession& session() { return *session_; }
  SinkMark mark() const { return session_->mark(); }
  SinkShard& shard(uint32_t shard = 0) { return *shards_.at(shard); }
  void AddShard(uint32_t shard);

  // Writes rows of a batch, which the driver has then planned. If the shard's output of the batch
  // is visible, the session is told so.
  absl::Status Write(int64_t batch, const Batch& rows, uint32_t shard = 0);
  // Prepares and commits. The journal hears of it by SinkLife::Journal.
  absl::Status Commit(int64_t through);

 private:
  friend class SinkLife;
  SinkMember(SinkLife* life, uint32_t place, std::unique_ptr<SinkSession> session)
      : life_(life), place_(place), session_(std::move(session)) {}

  SinkLife* const life_;
  const uint32_t place_;
  std::map<uint32_t, VisibleOutput> visible_;  // by shard, as its epoch found it
  std::unique_ptr<SinkSession> session_;
  std::map<uint32_t, SinkShard*> shards_;
};

using SinkMembers = std::vector<std::unique_ptr<SinkMember>>;

class SinkLife {
 public:
  // Every life is a job of its own.
  SinkLife(const SinkConnector* connector, proto::Sink table);

  // What sessions are told, but for epoch, place and marker.
  SinkContext context;
  // May be changed between epochs, like the options of a job that is submitted again.
  proto::Sink table;

  // An epoch whose member of each index has these shards; with scope kShard one each, which is its
  // place. Claims all places, also those of earlier epochs that have no member now, and journals
  // what that finds. An error is that of the first claim that fails: the epoch has then not opened,
  // and lower ones count as before.
  absl::StatusOr<SinkMembers> TryOpenEpoch(const std::vector<std::vector<uint32_t>>& shards);
  // Those of tests in which claims succeed.
  SinkMembers OpenEpoch(const std::vector<std::vector<uint32_t>>& shards);
  std::unique_ptr<SinkMember> Open();  // one member with shard 0

  // An epoch that begins and may never open: the next one that opens is a later one.
  void BeginEpoch() { epoch_ = epoch_.Next(); }
  // One claim, of the last epoch that has begun unless the context is changed.
  SinkContext ContextOf(uint32_t place) const;
  absl::StatusOr<std::unique_ptr<SinkSession>> Claim(const SinkContext& of_place) const;

  // What the journal says after all members have committed: their marks, and the batch.
  void Journal(const std::vector<SinkMember*>& members, int64_t committed);
  // Commit of the only member, its Journal record, and Settle.
  absl::Status CommitAndJournal(SinkMember* member, int64_t through);

  bool shared() const { return connector_->traits().scope == SinkTraits::Scope::kExecutor; }
  Epoch epoch() const { return epoch_; }

 private:
  friend class SinkMember;

  // What the journal says of the last epoch that has opened.
  struct Opened {
    Epoch epoch;
    std::map<uint32_t, uint32_t> place_of_shard;
    std::map<uint32_t, std::string> terms;  // by place
    std::map<uint32_t, VisibleOutput> visible;
  };

  // What is visible of each shard, as the claims of a new epoch have found it.
  std::map<uint32_t, VisibleOutput> Judge(const std::map<uint32_t, SinkMark>& found) const;

  const SinkConnector* const connector_;
  Epoch epoch_;  // the last that has begun
  Opened opened_;
  uint32_t places_ = 0;                      // most of any epoch since the one that has opened last
  std::map<uint32_t, std::string> markers_;  // by place, as journaled
};

}  // namespace millrace

#endif  // MILLRACE_TESTS_CONTRACT_SINK_LIFE_H_
