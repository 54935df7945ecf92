#include "executor/shuffle/shuffle_hub.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/rpc/stream_proof.h"

namespace millrace::executor {
// A sender's credit account. It outlives the stream: credit for blocks that are applied after the
// stream's end goes to nobody.
class ShuffleHub::InboundCredit {
 public:
  InboundCredit(InboundStream* stream, int64_t window, const std::string& nonce)
      : stream_(stream), window_(window) {
    message_.set_nonce(nonce);
  }

  void Grant(int64_t bytes);
  // Takes the credit for a block that the sender has sent. False: it had no credit.
  bool Spend(int64_t bytes);
  void OnWritten();
  // Ends the use of the stream. True: no write is under way or will start. False: a write is under
  // way; call again from OnWritten's caller.
  void Detach();

 private:
  void MaybeWrite() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::Mutex mutex_;
  InboundStream* stream_ ABSL_GUARDED_BY(mutex_);
  const int64_t window_;
  int64_t owed_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t left_ ABSL_GUARDED_BY(mutex_) = 0;  // granted on the wire and not spent
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  proto::ShuffleCredit message_ ABSL_GUARDED_BY(mutex_);
};

// Reads one sender's frames. gRPC's threads call it, one at a time for reads and one at a time for
// writes.
class ShuffleHub::InboundStream
    : public grpc::ServerBidiReactor<proto::ShuffleFrame, proto::ShuffleCredit> {
 public:
  InboundStream(ShuffleHub* hub, grpc::CallbackServerContext* context)
      : hub_(hub),
        context_(context),
        nonce_(NewStreamSecret()),
        credit_(std::make_shared<InboundCredit>(this, hub->options_.window_bytes, nonce_)) {
    credit_->Grant(hub->options_.window_bytes);
    StartRead(&frame_);
  }

  void OnReadDone(bool ok) override {
    const absl::Status taken = ok ? Take() : absl::OkStatus();
    if (!ok || !taken.ok()) {
      if (!taken.ok()) {
        spdlog::warn("shuffle: the stream of {} at {} is ended: {}",
                     sender_.empty() ? "nobody" : sender_, context_->peer(),
                     ToStd(taken.message()));
      }
      credit_->Detach();
      Finish(ToGrpc(taken));
      return;
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
      hub_->OnStreamClosed(serial_);
    }
    delete this;
  }

 private:
  // Processes one frame; an error ends the stream.
  absl::Status Take() {
    if (serial_ == 0) {
      return Open();
    }
    if (!frame_.sender_id().empty()) {
      return absl::PermissionDeniedError("it names itself a second time");
    }
    const JobId job(frame_.job_id());
    const Epoch epoch(frame_.epoch());
    if (!frame_.proof().empty()) {
      return hub_->Introduce(serial_, job, epoch, frame_.proof());
    }
    ASSIGN_OR_RETURN(ShuffleDelivery delivery, TakeDelivery());
    return hub_->Deliver(serial_, job, epoch, std::move(delivery));
  }

  absl::Status Open() {
    if (frame_.sender_id().empty()) {
      return absl::PermissionDeniedError("it does not begin with its name");
    }
    sender_ = frame_.sender_id();
    serial_ = hub_->OnStreamOpened({.sender = sender_, .nonce = nonce_});
    return absl::OkStatus();
  }

  absl::StatusOr<ShuffleDelivery> TakeDelivery() {
    ShuffleDelivery delivery{.sender_id = sender_, .batch = BatchId(frame_.batch())};
    for (proto::ShuffleFrame::Block& block : *frame_.mutable_blocks()) {
      const int64_t bytes = static_cast<int64_t>(block.rows().size());
      // Each row carries a hash, so with this check runs take no more memory than the rows that
      // credit was spent on.
      if (block.runs_size() > bytes / static_cast<int64_t>(sizeof(uint64_t))) {
        return absl::PermissionDeniedError(
            absl::StrCat("it sends ", block.runs_size(), " runs of rows in ", bytes, " bytes"));
      }
      if (bytes == 0 || !credit_->Spend(bytes)) {
        return absl::ResourceExhaustedError("it sends rows beyond its credit");
      }
      ShuffleBlock& taken = delivery.blocks.emplace_back();
      taken.exchange = block.exchange();
      taken.shard = block.shard();
      for (const proto::ShuffleFrame::Run& run : block.runs()) {
        taken.runs.push_back(
            {.ordinal = run.ordinal(), .position = run.position(), .rows = run.rows()});
      }
      taken.encoded = std::move(*block.mutable_rows());
      taken.credit = CreditHold([credit = credit_, bytes] { credit->Grant(bytes); });
    }
    for (const proto::ShuffleFrame::EndOfExchange& end : frame_.ends()) {
      delivery.ends.push_back({.exchange = end.exchange(), .blocks = end.blocks()});
    }
    return delivery;
  }

  ShuffleHub* const hub_;
  grpc::CallbackServerContext* const context_;
  const std::string nonce_;
  const std::shared_ptr<InboundCredit> credit_;
  proto::ShuffleFrame frame_;
  std::string sender_;
  uint64_t serial_ = 0;  // 0: the sender has not named itself
};

void ShuffleHub::InboundCredit::Grant(int64_t bytes) {
  absl::MutexLock lock(&mutex_);
  owed_ += bytes;
  MaybeWrite();
}

// The sender goes by the same rule: it may send a block while any credit is left, even if the block
// costs more than that.
bool ShuffleHub::InboundCredit::Spend(int64_t bytes) {
  absl::MutexLock lock(&mutex_);
  if (left_ <= 0) {
    return false;
  }
  left_ -= bytes;
  return true;
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
  // Credit is given back an eighth of the window at a time: a message per block would cost too
  // much.
  if (stream_ == nullptr || writing_ || owed_ < window_ / 8) {
    return;
  }
  message_.set_bytes(owed_);
  left_ += owed_;
  owed_ = 0;
  writing_ = true;
  stream_->StartWrite(&message_);
}

class ShuffleHub::Service : public proto::Shuffle::CallbackService {
 public:
  explicit Service(ShuffleHub* hub) : hub_(hub) {}

  grpc::ServerBidiReactor<proto::ShuffleFrame, proto::ShuffleCredit>* Push(
      grpc::CallbackServerContext* context) override {
    return new InboundStream(hub_, context);  // deletes itself in OnDone
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
  // These and `dropped` are destroyed after the lock is released.
  std::vector<std::shared_ptr<PeerLink>> retired;
  std::vector<Kept> dropped;
  absl::MutexLock lock(&mutex_);
  TakeUnusedLinks(&retired);
  Receiver& receiver = receivers_[job];
  MILLRACE_CHECK(epoch > receiver.epoch)
      << "epoch " << epoch << " started after " << receiver.epoch;
  receiver = {.epoch = epoch, .listener = listener, .key_of = {}};
  for (const ShufflePeer& peer : peers) {
    receiver.key_of[peer.executor_id] = peer.key_from;
    Link& link = links_[{peer.executor_id, peer.address}];
    if (link.link == nullptr || link.link->broken()) {
      link.serial = ++next_link_;
      retired.push_back(std::exchange(link.link, LinkTo(peer, link.serial)));
    }
    link.link->Introduce(job, epoch, peer.key_to);
    links.push_back(link.link);
  }
  std::shared_ptr<ShuffleListener> target = listener.lock();
  DeliverKept(job, receiver, target.get(), &dropped);
  return links;
}

void ShuffleHub::DeliverKept(const JobId& job, const Receiver& receiver, ShuffleListener* target,
                             std::vector<Kept>* dropped) {
  auto kept = kept_.find(job);
  while (kept != kept_.end() && !kept->second.empty() &&
         kept->second.front().epoch <= receiver.epoch) {
    Kept next = std::move(kept->second.front());
    kept->second.pop_front();
    kept_bytes_ -= next.bytes;
    const auto stream = streams_.find(next.stream);
    const bool of_member = next.epoch == receiver.epoch && stream != streams_.end() &&
                           IsMember(job, receiver, &stream->second);
    if (of_member && target != nullptr) {
      target->OnDelivery(std::move(next.delivery));
    } else {
      dropped->push_back(std::move(next));
    }
  }
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
    // The last references must not be dropped under the lock.
    std::vector<std::shared_ptr<ShuffleListener>> told;
    absl::MutexLock lock(&mutex_);
    auto link = links_.find({peer.executor_id, peer.address});
    if (link == links_.end() || link->second.serial != serial) {
      return;  // no epoch uses this link any more: a newer one has taken its place
    }
    told = TellPeerLost(peer.executor_id, status);
  };
  return std::make_shared<PeerLink>(std::move(options));
}

void ShuffleHub::StopEpoch(const JobId& job, Epoch epoch) {
  std::vector<Kept> dropped;
  std::vector<std::shared_ptr<PeerLink>> links;
  std::vector<std::shared_ptr<PeerLink>> unused;
  {
    absl::MutexLock lock(&mutex_);
    NoteStopped(job, epoch);
    ExpireKept(job, epoch, &dropped);
    TakeUnusedLinks(&unused);
    for (auto& [key, link] : links_) {
      links.push_back(link.link);
    }
  }
  for (const std::shared_ptr<PeerLink>& link : links) {
    link->Forget(job, epoch);
  }
}

// Also forgets the claims of the epoch's members. A long-lived executor works for many jobs, and
// would otherwise keep the claims of all of them.
void ShuffleHub::NoteStopped(const JobId& job, Epoch epoch) {
  Receiver& receiver = receivers_[job];
  if (receiver.epoch > epoch) {
    return;
  }
  receiver = {.epoch = epoch, .listener = {}, .key_of = {}};
  for (auto& [serial, stream] : streams_) {
    const auto claim = stream.claims.find(job);
    if (claim != stream.claims.end() && claim->second.epoch <= epoch) {
      stream.claims.erase(claim);
    }
  }
  stopped_.Note(job, epoch, &receivers_);
}

bool ShuffleHub::IsOver(const Receiver& receiver, Epoch epoch) {
  return epoch < receiver.epoch || (epoch == receiver.epoch && receiver.listener.expired());
}

void ShuffleHub::TakeUnusedLinks(std::vector<std::shared_ptr<PeerLink>>* unused) {
  for (auto link = links_.begin(); link != links_.end();) {
    const std::shared_ptr<PeerLink>& held = link->second.link;
    // An epoch gets its links under the lock, which is held here. So if only the hub refers to a
    // link, no epoch can begin to use it.
    if (held.use_count() == 1 && held->broken()) {
      unused->push_back(std::move(link->second.link));
      link = links_.erase(link);
    } else {
      ++link;
    }
  }
}

ShuffleHub::Remembered ShuffleHub::remembered() {
  absl::MutexLock lock(&mutex_);
  Remembered remembered{.jobs = receivers_.size(), .claims = 0, .links = links_.size()};
  for (const auto& [serial, stream] : streams_) {
    remembered.claims += stream.claims.size();
  }
  return remembered;
}

void ShuffleHub::ExpireKept(const JobId& job, Epoch epoch, std::vector<Kept>* dropped) {
  const absl::Time oldest = SteadyNow() - options_.hold_timeout;
  for (auto it = kept_.begin(); it != kept_.end();) {
    std::deque<Kept> left;
    for (Kept& kept : it->second) {
      if ((it->first == job && kept.epoch <= epoch) || kept.since < oldest) {
        kept_bytes_ -= kept.bytes;
        dropped->push_back(std::move(kept));
      } else {
        left.push_back(std::move(kept));
      }
    }
    it->second = std::move(left);
    it = it->second.empty() ? kept_.erase(it) : std::next(it);
  }
}

uint64_t ShuffleHub::OnStreamOpened(Inbound stream) {
  absl::MutexLock lock(&mutex_);
  const uint64_t serial = ++next_stream_;
  streams_.emplace(serial, std::move(stream));
  return serial;
}

void ShuffleHub::OnStreamClosed(uint64_t serial) {
  // The last references must not be dropped under the lock.
  std::vector<std::shared_ptr<ShuffleListener>> targets;
  absl::MutexLock lock(&mutex_);
  const auto closed = streams_.extract(serial);
  if (closed.empty() || shut_down_) {
    return;
  }
  const Inbound& stream = closed.mapped();
  for (const auto& [job, claim] : stream.claims) {
    const auto receiver = receivers_.find(job);
    if (!claim.proven || receiver == receivers_.end() || receiver->second.epoch != claim.epoch) {
      continue;
    }
    if (std::shared_ptr<ShuffleListener> listener = receiver->second.listener.lock()) {
      listener->OnPeerLost(stream.sender, absl::UnavailableError(
                                              absl::StrCat("lost executor ", stream.sender,
                                                           ": it has closed its stream of rows")));
      targets.push_back(std::move(listener));
    }
  }
}

bool ShuffleHub::IsMember(const JobId& job, const Receiver& receiver, Inbound* stream) {
  const auto claim = stream->claims.find(job);
  if (claim == stream->claims.end() || claim->second.epoch != receiver.epoch) {
    return false;
  }
  const auto key = receiver.key_of.find(stream->sender);
  if (!claim->second.proven && key != receiver.key_of.end() && !key->second.empty()) {
    claim->second.proven = SameProof(claim->second.proof,
                                     StreamProof(key->second, stream->nonce, job, receiver.epoch));
  }
  return claim->second.proven;
}

absl::Status ShuffleHub::NoMember(const JobId& job, Epoch epoch) {
  return absl::PermissionDeniedError(absl::StrCat("it is no member of epoch ", epoch.value(),
                                                  " of job ", job.value(), ", or not the one it ",
                                                  "says it is"));
}

absl::Status ShuffleHub::Introduce(uint64_t serial, const JobId& job, Epoch epoch,
                                   const std::string& proof) {
  constexpr size_t kMaxClaims = 1 << 16;  // jobs between two executors
  absl::MutexLock lock(&mutex_);
  Inbound& stream = streams_.at(serial);
  const auto receiver = receivers_.find(job);
  if (receiver != receivers_.end() && !stream.claims.contains(job) &&
      IsOver(receiver->second, epoch)) {
    return absl::OkStatus();  // the sender has not heard yet that the epoch is over; its frames are
                              // dropped
  }
  if (stream.claims.size() >= kMaxClaims && !stream.claims.contains(job)) {
    return absl::ResourceExhaustedError("it speaks of too many jobs");
  }
  Inbound::Claim& claim = stream.claims[job];
  if (epoch <= claim.epoch) {
    return absl::PermissionDeniedError(absl::StrCat("it goes back to epoch ", epoch.value()));
  }
  claim = {.epoch = epoch, .proof = proof};
  const bool runs = receiver != receivers_.end() && receiver->second.epoch == epoch &&
                    !receiver->second.listener.expired();
  return !runs || IsMember(job, receiver->second, &stream) ? absl::OkStatus()
                                                           : NoMember(job, epoch);
}

absl::Status ShuffleHub::Deliver(uint64_t serial, const JobId& job, Epoch epoch,
                                 ShuffleDelivery delivery) {
  std::shared_ptr<ShuffleListener> target;  // the last reference must not be dropped under the lock
  std::vector<Kept> dropped;                // outlives the lock: its destruction gives credit back
  absl::MutexLock lock(&mutex_);
  Inbound& stream = streams_.at(serial);
  const auto claim = stream.claims.find(job);
  const auto receiver = receivers_.find(job);
  if (receiver != receivers_.end() && claim == stream.claims.end() &&
      IsOver(receiver->second, epoch)) {
    dropped.push_back({.delivery = std::move(delivery)});
    return absl::OkStatus();
  }
  if (claim == stream.claims.end() || epoch > claim->second.epoch) {
    return absl::PermissionDeniedError(absl::StrCat("it sends rows of epoch ", epoch.value(),
                                                    " of job ", job.value(),
                                                    " before it has proven to be a member"));
  }
  const Epoch current = receiver == receivers_.end() ? Epoch() : receiver->second.epoch;
  if (epoch > current) {
    ExpireKept(job, current, &dropped);
    dropped.push_back({.epoch = epoch, .stream = serial, .delivery = std::move(delivery)});
    return Keep(job, &dropped);
  }
  if (epoch == current && receiver != receivers_.end()) {
    target = receiver->second.listener.lock();
  }
  // A frame of an epoch that has ended is dropped. For a running epoch, a sender that claims to be
  // a member and is none breaks the rules.
  const bool member = target != nullptr && IsMember(job, receiver->second, &stream);
  const bool forged = target != nullptr && !member && epoch == claim->second.epoch;
  if (member) {
    target->OnDelivery(std::move(delivery));
  } else {
    dropped.push_back({.delivery = std::move(delivery)});
  }
  return forged ? NoMember(job, epoch) : absl::OkStatus();
}

absl::Status ShuffleHub::Keep(const JobId& job, std::vector<Kept>* dropped) {
  constexpr int64_t kFrameBytes = 256;  // about the memory of a frame without rows
  Kept& frame = dropped->back();
  frame.bytes = kFrameBytes;
  for (const ShuffleBlock& block : frame.delivery.blocks) {
    frame.bytes += static_cast<int64_t>(block.encoded.size());
  }
  if (kept_bytes_ + frame.bytes > options_.max_kept_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("rows of epochs that have not begun here take more than ",
                     options_.max_kept_bytes, " bytes"));
  }
  kept_bytes_ += frame.bytes;
  frame.since = SteadyNow();
  std::deque<Kept>& kept = kept_[job];
  // Sorted by epoch, so that StartEpoch finds its own frames first; within an epoch, in order of
  // arrival.
  const auto place =
      std::upper_bound(kept.begin(), kept.end(), frame.epoch,
                       [](Epoch wanted, const Kept& other) { return wanted < other.epoch; });
  kept.insert(place, std::move(frame));
  dropped->pop_back();
  return absl::OkStatus();
}

std::vector<std::shared_ptr<ShuffleListener>> ShuffleHub::TellPeerLost(
    const std::string& executor_id, const absl::Status& status) {
  std::vector<std::shared_ptr<ShuffleListener>> told;
  for (auto& [job, receiver] : receivers_) {
    if (!receiver.key_of.contains(executor_id)) {
      continue;
    }
    if (std::shared_ptr<ShuffleListener> listener = receiver.listener.lock()) {
      listener->OnPeerLost(executor_id, status);
      told.push_back(std::move(listener));
    }
  }
  return told;
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

}  // namespace millrace::executor
