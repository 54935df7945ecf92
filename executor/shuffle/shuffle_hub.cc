#include "executor/shuffle/shuffle_hub.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status.h"

namespace millrace {

// A sender's credit account. Outlives the stream: blocks that are applied later give back to
// nobody.
class ShuffleHub::InboundCredit {
 public:
  InboundCredit(InboundStream* stream, int64_t window) : stream_(stream), window_(window) {}

  void Grant(int64_t bytes);
  void OnWritten();
  // No write is under way or will start once this has returned true; false: call again from
  // OnWritten's caller.
  void Detach();

 private:
  void MaybeWrite() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::Mutex mutex_;
  InboundStream* stream_ ABSL_GUARDED_BY(mutex_);
  const int64_t window_;
  int64_t owed_ ABSL_GUARDED_BY(mutex_) = 0;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  proto::ShuffleCredit message_ ABSL_GUARDED_BY(mutex_);
};

// Reads one sender's frames; gRPC's threads call it, one at a time for reads and one for writes.
class ShuffleHub::InboundStream
    : public grpc::ServerBidiReactor<proto::ShuffleFrame, proto::ShuffleCredit> {
 public:
  explicit InboundStream(ShuffleHub* hub)
      : hub_(hub), credit_(std::make_shared<InboundCredit>(this, hub->options_.window_bytes)) {
    credit_->Grant(hub->options_.window_bytes);
    StartRead(&frame_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      credit_->Detach();
      Finish(grpc::Status::OK);
      return;
    }
    if (!frame_.sender_id().empty()) {
      sender_ = frame_.sender_id();
      Open();
    } else {
      Take();
    }
    frame_.Clear();
    StartRead(&frame_);
  }

  void OnWriteDone(bool ok) override {
    if (ok) {
      credit_->OnWritten();
    }
  }

  void OnDone() override {
    if (serial_ != 0) {
      hub_->OnStreamClosed(sender_, serial_);
    }
    delete this;
  }

 private:
  void Open() {
    {
      absl::MutexLock lock(&hub_->mutex_);
      serial_ = ++hub_->next_stream_;
    }
    hub_->OnStreamOpened(sender_, serial_);
  }

  void Take() {
    ShuffleDelivery delivery{.sender_id = sender_, .batch = BatchId(frame_.batch())};
    for (proto::ShuffleFrame::Block& block : *frame_.mutable_blocks()) {
      ShuffleBlock& taken = delivery.blocks.emplace_back();
      taken.exchange = block.exchange();
      taken.shard = block.shard();
      for (const proto::ShuffleFrame::Run& run : block.runs()) {
        taken.runs.push_back(
            {.ordinal = run.ordinal(), .position = run.position(), .rows = run.rows()});
      }
      const int64_t bytes = static_cast<int64_t>(block.rows().size());
      taken.encoded = std::move(*block.mutable_rows());
      taken.credit = CreditHold([credit = credit_, bytes] { credit->Grant(bytes); });
    }
    for (const proto::ShuffleFrame::EndOfExchange& end : frame_.ends()) {
      delivery.ends.push_back({.exchange = end.exchange(), .blocks = end.blocks()});
    }
    hub_->Deliver(JobId(frame_.job_id()), Epoch(frame_.epoch()), std::move(delivery));
  }

  ShuffleHub* const hub_;
  const std::shared_ptr<InboundCredit> credit_;
  proto::ShuffleFrame frame_;
  std::string sender_;
  uint64_t serial_ = 0;
};

void ShuffleHub::InboundCredit::Grant(int64_t bytes) {
  absl::MutexLock lock(&mutex_);
  owed_ += bytes;
  MaybeWrite();
}

void ShuffleHub::InboundCredit::OnWritten() {
  absl::MutexLock lock(&mutex_);
  writing_ = false;
  MaybeWrite();
}

void ShuffleHub::InboundCredit::Detach() {
  absl::MutexLock lock(&mutex_);
  stream_ = nullptr;
}

void ShuffleHub::InboundCredit::MaybeWrite() {
  // An eighth of the window at a time: a message per block would cost more than the credit is
  // worth.
  if (stream_ == nullptr || writing_ || owed_ < window_ / 8) {
    return;
  }
  message_.set_bytes(owed_);
  owed_ = 0;
  writing_ = true;
  stream_->StartWrite(&message_);
}

class ShuffleHub::Service : public proto::Shuffle::CallbackService {
 public:
  explicit Service(ShuffleHub* hub) : hub_(hub) {}

  grpc::ServerBidiReactor<proto::ShuffleFrame, proto::ShuffleCredit>* Push(
      grpc::CallbackServerContext*) override {
    return new InboundStream(hub_);  // deletes itself in OnDone
  }

 private:
  ShuffleHub* const hub_;
};

absl::StatusOr<std::unique_ptr<ShuffleHub>> ShuffleHub::Start(ShuffleHubOptions options) {
  std::unique_ptr<ShuffleHub> hub(new ShuffleHub(std::move(options)));
  if (!hub->options_.listen_address.empty()) {
    RETURN_IF_ERROR(hub->Listen());
  }
  return hub;
}

ShuffleHub::ShuffleHub(ShuffleHubOptions options) : options_(std::move(options)) {}

ShuffleHub::~ShuffleHub() { Shutdown(); }

absl::Status ShuffleHub::Listen() {
  service_ = std::make_unique<Service>(this);
  ASSIGN_OR_RETURN(server_, RpcServer::Start(options_.listen_address, {service_.get()},
                                             "the shuffle", "--shuffle-listen"));
  if (!options_.advertised_address.empty()) {
    address_ = options_.advertised_address;
  } else {
    address_ = server_->address();
  }
  return absl::OkStatus();
}

std::vector<std::shared_ptr<PeerLink>> ShuffleHub::StartEpoch(
    const JobId& job, Epoch epoch, const std::vector<ShufflePeer>& peers,
    const std::weak_ptr<ShuffleListener>& listener) {
  std::vector<std::shared_ptr<PeerLink>> links;
  std::vector<std::shared_ptr<PeerLink>> retired;  // these and `dropped` go after the lock
  std::vector<Kept> dropped;
  absl::MutexLock lock(&mutex_);
  Receiver& receiver = receivers_[job];
  MILLRACE_CHECK(epoch > receiver.epoch)
      << "epoch " << epoch << " started after " << receiver.epoch;
  receiver = {.epoch = epoch, .listener = listener, .members = {}};
  for (const ShufflePeer& peer : peers) {
    receiver.members.push_back(peer.executor_id);
    Link& link = links_[{peer.executor_id, peer.address}];
    if (link.link == nullptr || link.link->broken()) {
      retired.push_back(std::exchange(link.link, LinkTo(peer, ++link.serial)));
    }
    links.push_back(link.link);
  }
  std::shared_ptr<ShuffleListener> target = listener.lock();
  auto kept = kept_.find(job);
  while (kept != kept_.end() && !kept->second.empty() && kept->second.front().epoch <= epoch) {
    Kept next = std::move(kept->second.front());
    kept->second.pop_front();
    if (next.epoch == epoch && target != nullptr) {
      target->OnDelivery(std::move(next.delivery));
    } else {
      dropped.push_back(std::move(next));
    }
  }
  return links;
}

std::shared_ptr<PeerLink> ShuffleHub::LinkTo(const ShufflePeer& peer, uint64_t serial) {
  PeerLinkOptions options;
  options.self_id = options_.executor_id;
  options.peer_id = peer.executor_id;
  options.address = peer.address;
  options.connect_timeout = options_.connect_timeout;
  options.stall_timeout = options_.stall_timeout;
  options.gate = options_.gate;
  options.on_broken = [this, peer, serial](const absl::Status& status) {
    {
      absl::MutexLock lock(&mutex_);
      auto link = links_.find({peer.executor_id, peer.address});
      if (link == links_.end() || link->second.serial != serial) {
        return;  // a newer link has taken its place, and no epoch uses this one
      }
    }
    PeerLost(peer.executor_id, status);
  };
  return std::make_shared<PeerLink>(std::move(options));
}

void ShuffleHub::StopEpoch(const JobId& job, Epoch epoch) {
  std::vector<Kept> dropped;
  std::vector<std::shared_ptr<PeerLink>> links;
  {
    absl::MutexLock lock(&mutex_);
    Receiver& receiver = receivers_[job];
    if (receiver.epoch <= epoch) {
      receiver = {.epoch = epoch, .listener = {}, .members = {}};
    }
    ExpireKept(job, epoch, &dropped);
    for (auto& [key, link] : links_) {
      links.push_back(link.link);
    }
  }
  for (const std::shared_ptr<PeerLink>& link : links) {
    link->Forget(job, epoch);
  }
}

void ShuffleHub::ExpireKept(const JobId& job, Epoch epoch, std::vector<Kept>* dropped) {
  const absl::Time oldest = absl::Now() - options_.hold_timeout;
  for (auto it = kept_.begin(); it != kept_.end();) {
    std::deque<Kept> left;
    for (Kept& kept : it->second) {
      if ((it->first == job && kept.epoch <= epoch) || kept.since < oldest) {
        dropped->push_back(std::move(kept));
      } else {
        left.push_back(std::move(kept));
      }
    }
    it->second = std::move(left);
    it = it->second.empty() ? kept_.erase(it) : std::next(it);
  }
}

void ShuffleHub::OnStreamOpened(const std::string& sender, uint64_t stream) {
  absl::MutexLock lock(&mutex_);
  streams_[sender] = stream;
}

void ShuffleHub::OnStreamClosed(const std::string& sender, uint64_t stream) {
  {
    absl::MutexLock lock(&mutex_);
    auto newest = streams_.find(sender);
    if (shut_down_ || newest == streams_.end() || newest->second != stream) {
      return;
    }
    streams_.erase(newest);
  }
  PeerLost(sender, absl::UnavailableError(absl::StrCat("lost executor ", sender,
                                                       ": it has closed its stream of rows")));
}

void ShuffleHub::Deliver(const JobId& job, Epoch epoch, ShuffleDelivery delivery) {
  std::vector<Kept> dropped;
  std::shared_ptr<ShuffleListener> target;  // the last reference must not go under the lock
  absl::MutexLock lock(&mutex_);
  auto receiver = receivers_.find(job);
  const Epoch current = receiver == receivers_.end() ? Epoch() : receiver->second.epoch;
  if (epoch == current) {
    target = receiver->second.listener.lock();
    if (target != nullptr) {
      target->OnDelivery(std::move(delivery));
    }
  } else if (epoch > current) {
    ExpireKept(job, current, &dropped);
    std::deque<Kept>& kept = kept_[job];
    // By epoch, so that StartEpoch finds its own in front; within one in order of arrival.
    auto place =
        std::upper_bound(kept.begin(), kept.end(), epoch,
                         [](Epoch wanted, const Kept& other) { return wanted < other.epoch; });
    kept.insert(place, {.epoch = epoch, .since = absl::Now(), .delivery = std::move(delivery)});
  }
}

void ShuffleHub::PeerLost(const std::string& executor_id, const absl::Status& status) {
  std::vector<std::shared_ptr<ShuffleListener>>
      targets;  // the last references must not go under the lock
  absl::MutexLock lock(&mutex_);
  for (auto& [job, receiver] : receivers_) {
    if (std::find(receiver.members.begin(), receiver.members.end(), executor_id) ==
        receiver.members.end()) {
      continue;
    }
    if (std::shared_ptr<ShuffleListener> listener = receiver.listener.lock()) {
      listener->OnPeerLost(executor_id, status);
      targets.push_back(std::move(listener));
    }
  }
}

void ShuffleHub::Shutdown() {
  std::map<std::pair<std::string, std::string>, Link> links;
  {
    absl::MutexLock lock(&mutex_);
    if (std::exchange(shut_down_, true)) {
      return;
    }
    links.swap(links_);
  }
  for (auto& [key, link] : links) {
    link.link->Close();
  }
  if (server_ != nullptr) {
    server_->Shutdown(absl::ZeroDuration());
  }
}

}  // namespace millrace
