// The executor's end of the shuffle: the server to which peers send rows, the links to the peers,
// and the table of running epochs that receive what arrives. Frames of an epoch that is over are
// dropped. Frames of an epoch that has not begun here are kept until it does; they are limited by
// their sender's credit, which is not given back meanwhile, and by a limit for all of them
// together.
//
// The hub does not believe what a sender says about itself. Rows reach a listener, and the end of a
// stream counts as the loss of a member, only if the stream has proven that it is that member's in
// that epoch (common/rpc/stream_proof.h). A stream that breaks the rules of proto/shuffle.proto is
// ended.
//
// The hub remembers the epochs that ended last, so that it recognises and drops frames that peers
// still send for them. It removes a broken link once no epoch uses the link.
//
// Thread-safe. Listeners are called under the hub's lock: see ShuffleListener.
#ifndef MILLRACE_EXECUTOR_SHUFFLE_SHUFFLE_HUB_H_
#define MILLRACE_EXECUTOR_SHUFFLE_SHUFFLE_HUB_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/base/ids.h"
#include "common/rpc/rpc.h"
#include "executor/shuffle/flow_gate.h"
#include "executor/shuffle/peer_link.h"
#include "executor/shuffle/shuffle_block.h"
#include "executor/stopped_epochs.h"
#include "proto/shuffle.grpc.pb.h"

namespace millrace::executor {

struct ShuffleHubOptions {
  std::string executor_id;
  // As host:port; port 0 = any free one; empty = no server, local epochs only.
  std::string listen_address;
  std::string advertised_address;      // empty = listen_address with the bound port
  int64_t window_bytes = 8 << 20;      // credit of each sender
  int64_t max_kept_bytes = 256 << 20;  // limit for frames of epochs that have not begun here
  absl::Duration connect_timeout = absl::Seconds(10);
  absl::Duration stall_timeout = absl::Minutes(2);
  absl::Duration hold_timeout = absl::Minutes(2);  // for frames of an epoch that never begins here
  FlowGate* gate = nullptr;                        // outlives the hub
};

struct ShufflePeer {
  std::string executor_id;
  std::string address;
  // This executor proves itself to the peer with it (common/rpc/stream_proof.h).
  std::string key_to;
  std::string key_from;  // the peer proves itself with it
};

class ShuffleHub {
 public:
  // Listens. Errors name the address that is in use.
  static absl::StatusOr<std::unique_ptr<ShuffleHub>> Start(ShuffleHubOptions options);
  ~ShuffleHub();

  ShuffleHub(const ShuffleHub&) = delete;
  ShuffleHub& operator=(const ShuffleHub&) = delete;

  // The address to which peers connect; empty without a server.
  const std::string& address() const { return address_; }

  // `listener` gets the epoch's frames from now on, beginning with those kept for it; a listener of
  // a lower epoch gets no more. Returns a link per peer, in order; connecting goes on in the
  // background.
  std::vector<std::shared_ptr<PeerLink>> StartEpoch(const JobId& job, Epoch epoch,
                                                    const std::vector<ShufflePeer>& peers,
                                                    const std::weak_ptr<ShuffleListener>& listener);
  // Drops frames that wait for this and lower epochs of the job, to be sent or to be delivered, and
  // those that still arrive.
  void StopEpoch(const JobId& job, Epoch epoch);

  // How much the hub remembers, running epochs included.
  struct Remembered {
    size_t jobs = 0;
    size_t claims = 0;
    size_t links = 0;
  };
  Remembered remembered();

  // Ends the server and all links; blocks.
  void Shutdown();

 private:
  class Service;
  class InboundStream;
  class InboundCredit;

  struct Receiver {
    Epoch epoch;
    std::weak_ptr<ShuffleListener> listener;    // expired: the epoch is over
    std::map<std::string, std::string> key_of;  // the key by which each member proves itself
  };
  struct Kept {
    Epoch epoch;
    absl::Time since;
    uint64_t stream = 0;
    int64_t bytes = 0;
    ShuffleDelivery delivery;
  };

  // A stream of a peer, and the epochs of which it claims to be a member.
  struct Inbound {
    std::string sender;
    std::string nonce;
    struct Claim {
      Epoch epoch;
      std::string proof;
      bool proven = false;
    };
    std::map<JobId, Claim> claims;  // the latest epoch of each job
  };

  struct Link {
    std::shared_ptr<PeerLink> link;
    uint64_t serial = 0;  // tells a link from all others that the hub has had
  };

  explicit ShuffleHub(ShuffleHubOptions options);
  absl::Status Listen();
  std::shared_ptr<PeerLink> LinkTo(const ShufflePeer& peer, uint64_t serial)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // The next four handle one stream, one call at a time. PERMISSION_DENIED or RESOURCE_EXHAUSTED:
  // the stream broke a rule and must end.
  uint64_t OnStreamOpened(Inbound stream);
  absl::Status Introduce(uint64_t stream, const JobId& job, Epoch epoch, const std::string& proof);
  absl::Status Deliver(uint64_t stream, const JobId& job, Epoch epoch, ShuffleDelivery delivery);
  void OnStreamClosed(uint64_t stream);

  static absl::Status NoMember(const JobId& job, Epoch epoch);
  // Whether the stream belongs to a member of the receiver's epoch; checks its proof once.
  bool IsMember(const JobId& job, const Receiver& receiver, Inbound* stream)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Keeps the frame that is the last element of `dropped`, and takes it out of there, unless the
  // limit is exceeded. The caller destroys `dropped` after it has released the lock.
  absl::Status Keep(const JobId& job, std::vector<Kept>* dropped)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Passes the frames kept for the epoch to `target`, and moves them and older ones to `dropped`.
  void DeliverKept(const JobId& job, const Receiver& receiver, ShuffleListener* target,
                   std::vector<Kept>* dropped) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Tells every epoch that has this member that the member is lost, and returns the listeners of
  // these epochs. The caller drops the references after it has released the lock, since they may be
  // the last ones.
  std::vector<std::shared_ptr<ShuffleListener>> TellPeerLost(const std::string& executor_id,
                                                             const absl::Status& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static bool IsOver(const Receiver& receiver, Epoch epoch);
  // Remembers that the job's epoch is over, and forgets the epochs that ended longest ago.
  void NoteStopped(const JobId& job, Epoch epoch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Moves links that are broken and that no epoch has any more to `unused`. The caller destroys
  // them after it has released the lock, since they wait for their threads.
  void TakeUnusedLinks(std::vector<std::shared_ptr<PeerLink>>* unused)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Moves kept frames of epochs ≤ `epoch`, and those that have waited too long, to `dropped`.
  void ExpireKept(const JobId& job, Epoch epoch, std::vector<Kept>* dropped)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const ShuffleHubOptions options_;
  std::string address_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<RpcServer> server_;

  absl::Mutex mutex_;
  std::map<JobId, Receiver> receivers_ ABSL_GUARDED_BY(mutex_);
  // Fewer than JobTable remembers, so that JobTable starts no epoch that counts as over here.
  StoppedEpochs stopped_ ABSL_GUARDED_BY(mutex_){512};
  std::map<JobId, std::deque<Kept>> kept_ ABSL_GUARDED_BY(mutex_);
  std::map<std::pair<std::string, std::string>, Link> links_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_link_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t kept_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<uint64_t, Inbound> streams_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_stream_ ABSL_GUARDED_BY(mutex_) = 0;
  bool shut_down_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_SHUFFLE_SHUFFLE_HUB_H_
