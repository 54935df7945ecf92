#include "executor/shuffle/peer_link.h"

#include <pthread.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/rpc/rpc.h"
#include "common/rpc/stream_proof.h"

namespace millrace::executor {
namespace {

std::shared_ptr<grpc::Channel> PeerChannel(const std::string& address) {
  grpc::ChannelArguments arguments = DefaultChannelArguments();
  // Each link has a connection of its own, so that the back-off of an earlier epoch's attempt does
  // not delay this one.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

PeerLink::PeerLink(PeerLinkOptions options) : options_(std::move(options)) {
  thread_ = std::thread([this] { Run(); });
}

PeerLink::~PeerLink() { Close(); }

void PeerLink::Introduce(const JobId& job, Epoch epoch, const std::string& key) {
  Enqueue({.job = job, .epoch = epoch, .key = key});
}

void PeerLink::SendBlock(const JobId& job, Epoch epoch, BatchId batch,
                         proto::ShuffleFrame::Block block) {
  const int64_t bytes = static_cast<int64_t>(block.rows().size());
  Outgoing outgoing{.job = job, .epoch = epoch, .batch = batch, .block = std::move(block)};
  outgoing.flow = FlowHold(options_.gate, bytes);
  Enqueue(std::move(outgoing));
}

void PeerLink::SendEnd(const JobId& job, Epoch epoch, BatchId batch, uint32_t exchange,
                       uint64_t blocks) {
  Outgoing outgoing{
      .job = job, .epoch = epoch, .batch = batch, .is_end = true, .end_blocks = blocks};
  outgoing.block.set_exchange(exchange);
  Enqueue(std::move(outgoing));
}

void PeerLink::Enqueue(Outgoing outgoing) {
  absl::MutexLock lock(&mutex_);
  if (broken_ || closing_) {
    return;
  }
  queue_.push_back(std::move(outgoing));
  if (queue_.size() == 1) {
    changed_.Signal();
  }
}

void PeerLink::Forget(const JobId& job, Epoch epoch) {
  std::deque<Outgoing> dropped;  // outlives the lock: its destruction calls the gate
  absl::MutexLock lock(&mutex_);
  std::deque<Outgoing> kept;
  for (Outgoing& outgoing : queue_) {
    const bool over = outgoing.job == job && outgoing.epoch <= epoch;
    (over ? dropped : kept).push_back(std::move(outgoing));
  }
  queue_.swap(kept);
}

bool PeerLink::broken() const {
  absl::MutexLock lock(&mutex_);
  return broken_;
}

int64_t PeerLink::sent_bytes() const {
  absl::MutexLock lock(&mutex_);
  return sent_bytes_;
}

void PeerLink::Close() {
  {
    absl::MutexLock lock(&mutex_);
    closing_ = true;
    changed_.SignalAll();
  }
  context_.TryCancel();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void PeerLink::Run() {
  pthread_setname_np(pthread_self(), "shuffle-out");
  absl::Status status = Connect();
  if (status.ok()) {
    std::thread reader([this] { ReadCredit(); });
    status = WriteFrames();
    context_.TryCancel();
    reader.join();
    const grpc::Status end = stream_->Finish();
    if (status.ok()) {
      status = absl::UnavailableError(end.error_message());
    }
  }
  std::deque<Outgoing> dropped;
  {
    absl::MutexLock lock(&mutex_);
    broken_ = true;
    dropped.swap(queue_);
    if (closing_) {
      return;
    }
  }
  options_.on_broken(absl::UnavailableError(absl::StrCat(
      "lost executor ", options_.peer_id, " at ", options_.address, ": ", status.message())));
}

absl::Status PeerLink::Connect() {
  channel_ = PeerChannel(options_.address);
  // Waits in slices, so that neither Close nor a peer that refuses the connection has to wait for
  // the whole time.
  const absl::Time begin = SteadyNow();
  while (!channel_->WaitForConnected(RpcDeadline(absl::Milliseconds(50)))) {
    {
      absl::MutexLock lock(&mutex_);
      if (closing_) {
        return absl::CancelledError("closed");
      }
    }
    const absl::Duration elapsed = SteadyNow() - begin;
    const bool refused =
        channel_->GetState(/*try_to_connect=*/true) == GRPC_CHANNEL_TRANSIENT_FAILURE;
    if (elapsed >= options_.connect_timeout || (refused && elapsed >= options_.refused_timeout)) {
      return absl::UnavailableError(
          absl::StrCat("cannot connect within ", absl::FormatDuration(elapsed)));
    }
  }
  stub_ = proto::Shuffle::NewStub(channel_);
  stream_ = stub_->Push(&context_);
  proto::ShuffleFrame hello;
  hello.set_sender_id(options_.self_id);
  stream_->Write(hello);  // a failure shows at the first frame or credit
  return absl::OkStatus();
}

absl::Status PeerLink::WriteFrames() {
  proto::ShuffleFrame frame;
  while (true) {
    frame.Clear();
    RETURN_IF_ERROR(NextFrame(&frame));
    if (frame.blocks().empty() && frame.ends().empty() && frame.proof().empty()) {
      return absl::OkStatus();
    }
    if (!stream_->Write(frame)) {
      return absl::UnavailableError("the connection broke");
    }
  }
}

absl::Status PeerLink::NextFrame(proto::ShuffleFrame* frame) {
  std::deque<Outgoing> taken;  // outlives the lock: its destruction calls the gate
  absl::MutexLock lock(&mutex_);
  absl::Time stalled_at = SteadyNow() + options_.stall_timeout;
  while (!closing_ && !broken_ && !FrontMayGo()) {
    const bool idle = queue_.empty();
    const int64_t credit = credit_;
    const bool timed_out = changed_.WaitUntil(&mutex_, idle ? absl::InfiniteFuture() : stalled_at);
    if (idle || credit != credit_) {
      stalled_at = SteadyNow() + options_.stall_timeout;
    } else if (timed_out && !FrontMayGo()) {
      return absl::UnavailableError(
          absl::StrCat("it has taken no rows for ", absl::FormatDuration(options_.stall_timeout)));
    }
  }
  if (!closing_ && !broken_) {
    TakeFrame(frame, &taken);
  }
  return absl::OkStatus();
}

bool PeerLink::FrontMayGo() const {
  if (queue_.empty() || nonce_.empty()) {
    return false;
  }
  return queue_.front().is_end || !queue_.front().key.empty() || credit_ > 0;
}

void PeerLink::TakeFrame(proto::ShuffleFrame* frame, std::deque<Outgoing>* taken) {
  const JobId job = queue_.front().job;
  const Epoch epoch = queue_.front().epoch;
  const BatchId batch = queue_.front().batch;
  frame->set_job_id(job.value());
  frame->set_epoch(epoch.value());
  frame->set_batch(batch.value());
  if (!queue_.front().key.empty()) {
    frame->set_proof(StreamProof(queue_.front().key, nonce_, job, epoch));
    queue_.pop_front();
    return;
  }
  size_t bytes = 0;
  while (FrontMayGo() && queue_.front().key.empty()) {
    Outgoing& next = queue_.front();
    const size_t size = next.block.rows().size();
    const bool full = bytes > 0 && bytes + size > options_.frame_bytes;
    // A receiver reads a frame's ends after its blocks, so a block behind an end must go into a new
    // frame.
    const bool block_after_end = !next.is_end && !frame->ends().empty();
    if (full || block_after_end || next.batch != batch || next.epoch != epoch || next.job != job) {
      break;
    }
    if (next.is_end) {
      proto::ShuffleFrame::EndOfExchange* end = frame->add_ends();
      end->set_exchange(next.block.exchange());
      end->set_blocks(next.end_blocks);
    } else {
      *frame->add_blocks() = std::move(next.block);
      bytes += size;
      credit_ -= static_cast<int64_t>(size);
    }
    taken->push_back(std::move(next));
    queue_.pop_front();
  }
  sent_bytes_ += static_cast<int64_t>(bytes);
}

void PeerLink::ReadCredit() {
  pthread_setname_np(pthread_self(), "shuffle-credit");
  proto::ShuffleCredit credit;
  while (stream_->Read(&credit)) {
    absl::MutexLock lock(&mutex_);
    credit_ += credit.bytes();
    if (nonce_.empty()) {
      nonce_ = credit.nonce();
    }
    changed_.Signal();
  }
  absl::MutexLock lock(&mutex_);
  broken_ = true;
  changed_.SignalAll();
}

}  // namespace millrace::executor
