// Sends blocks to one peer over one stream, within the credit that the peer has given. A link lives
// as long as its stream: when the stream breaks, blocks on their way are lost, every epoch that
// uses the link fails, and the next epoch gets a new link.
//
// Thread-safe. Two threads per link: one writes, one reads credit.
#ifndef MILLRACE_EXECUTOR_SHUFFLE_PEER_LINK_H_
#define MILLRACE_EXECUTOR_SHUFFLE_PEER_LINK_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/ids.h"
#include "common/base/monotonic_cond_var.h"
#include "executor/shuffle/flow_gate.h"
#include "proto/shuffle.grpc.pb.h"

namespace millrace::executor {

struct PeerLinkOptions {
  std::string self_id;
  std::string peer_id;
  std::string address;
  absl::Duration connect_timeout = absl::Seconds(10);
  // How long connections may be refused. A peer listens before it registers, so if nobody listens,
  // the peer is gone.
  absl::Duration refused_timeout = absl::Seconds(1);
  // A peer that gives no credit for this long while rows wait counts as lost.
  absl::Duration stall_timeout = absl::Minutes(2);
  size_t frame_bytes = 1 << 20;
  FlowGate* gate = nullptr;  // outlives the link
  // Called once with UNAVAILABLE, which names the peer, on one of the link's threads. Not called
  // after Close.
  std::function<void(const absl::Status&)> on_broken;
};

class PeerLink {
 public:
  explicit PeerLink(PeerLinkOptions options);
  // Does what Close does.
  ~PeerLink();

  PeerLink(const PeerLink&) = delete;
  PeerLink& operator=(const PeerLink&) = delete;

  // Proves to the peer that rows of the epoch are this executor's (common/rpc/stream_proof.h).
  // REQUIRES: the key is not empty.
  void Introduce(const JobId& job, Epoch epoch, const std::string& key);

  // Queues rows; never blocks. The gate counts the rows that wait here. Drops them when the link is
  // broken. REQUIRES: Introduce was called for the epoch.
  void SendBlock(const JobId& job, Epoch epoch, BatchId batch, proto::ShuffleFrame::Block block);
  // REQUIRES: all blocks of that batch and exchange have been queued.
  void SendEnd(const JobId& job, Epoch epoch, BatchId batch, uint32_t exchange, uint64_t blocks);
  // Drops what is queued for an epoch that has ended.
  void Forget(const JobId& job, Epoch epoch);

  bool broken() const;
  int64_t sent_bytes() const;

  // Ends the threads; blocks until they have.
  void Close();

 private:
  using Stream = grpc::ClientReaderWriter<proto::ShuffleFrame, proto::ShuffleCredit>;

  struct Outgoing {
    JobId job;
    Epoch epoch;
    BatchId batch;
    proto::ShuffleFrame::Block block;
    bool is_end = false;
    uint64_t end_blocks = 0;  // if is_end: `block` only names the exchange
    std::string key;          // the key of an introduction, which has no other content
    FlowHold flow;
  };

  void Enqueue(Outgoing outgoing);
  void Run();
  absl::Status Connect();
  absl::Status WriteFrames();
  void ReadCredit();
  // Waits until something may be sent, and moves it to `frame`. OK with an empty frame when the
  // link closes.
  absl::Status NextFrame(proto::ShuffleFrame* frame);
  bool FrontMayGo() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeFrame(proto::ShuffleFrame* frame, std::deque<Outgoing>* taken)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const PeerLinkOptions options_;
  grpc::ClientContext context_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<proto::Shuffle::Stub> stub_;
  std::unique_ptr<Stream> stream_;

  mutable absl::Mutex mutex_;
  MonotonicCondVar changed_;
  std::deque<Outgoing> queue_ ABSL_GUARDED_BY(mutex_);
  std::string nonce_ ABSL_GUARDED_BY(mutex_);  // empty until the peer has spoken
  int64_t credit_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t sent_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_SHUFFLE_PEER_LINK_H_
