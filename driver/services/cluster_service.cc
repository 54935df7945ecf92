#include "driver/services/cluster_service.h"

#include <spdlog/spdlog.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

namespace millrace {
namespace {

using Stream = grpc::ServerReaderWriter<proto::DriverMessage, proto::ExecutorMessage>;

// A driver has a handful of messages per job under way; an executor that leaves so many unread does
// not read at all.
constexpr size_t kMaxQueued = 16'384;
// How long a stream that was closed may take to end by itself.
constexpr auto kCloseGrace = std::chrono::seconds(1);

// Writes what is queued on a thread of its own; gRPC allows one writer beside one reader.
class StreamLink : public ExecutorLink {
 public:
  StreamLink(grpc::ServerContext* context, Stream* stream, Clock* clock)
      : context_(context), stream_(stream), clock_(clock), heard_us_(clock->MonotonicNs() / 1000) {
    writer_ = std::thread([this] { Write(); });
  }

  // REQUIRES: the handler's thread, before it returns.
  void End() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      ended_ = true;
    }
    wake_.notify_all();
    writer_.join();
  }

  void Heard() { heard_us_.store(clock_->MonotonicNs() / 1000, std::memory_order_relaxed); }

  void Send(proto::DriverMessage message) override {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (ended_ || closing_) {
        return;
      }
      if (queue_.size() >= kMaxQueued) {
        spdlog::error("an executor does not read what the driver tells it; its stream is ended");
        closing_ = true;
        queue_.clear();
      } else {
        queue_.push_back(std::move(message));
      }
    }
    wake_.notify_all();
  }

  void Close() override {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      closing_ = true;
    }
    wake_.notify_all();
  }

  int64_t last_heard_us() const override { return heard_us_.load(std::memory_order_relaxed); }

 private:
  void Write() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return ended_ || closing_ || !queue_.empty(); });
      while (!queue_.empty() && !ended_) {
        const proto::DriverMessage message = std::move(queue_.front());
        queue_.pop_front();
        lock.unlock();
        const bool written = stream_->Write(message);
        lock.lock();
        if (!written) {
          queue_.clear();  // the reader notices, too
        }
      }
      if (closing_ && !ended_) {
        // The executor ends the stream when it has read the last message. Cancelling the stream at
        // once could overtake that message.
        wake_.wait_for(lock, kCloseGrace, [this] { return ended_; });
        if (!ended_) {
          context_->TryCancel();
          wake_.wait(lock, [this] { return ended_; });
        }
      }
      if (ended_) {
        return;
      }
    }
  }

  grpc::ServerContext* const context_;
  Stream* const stream_;
  Clock* const clock_;
  std::atomic<int64_t> heard_us_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<proto::DriverMessage> queue_;
  bool closing_ = false;
  bool ended_ = false;
  std::thread writer_;
};

}  // namespace

grpc::Status ClusterService::Connect(grpc::ServerContext* context, Stream* stream) {
  proto::ExecutorMessage message;
  if (!stream->Read(&message) || !message.has_register_()) {
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT,
                        "the first message of a stream must be Register");
  }
  const proto::Register registration = message.register_();
  const ExecutorId id(registration.executor_id());
  const auto link = std::make_shared<StreamLink>(context, stream, clock_);
  loop_->Post([this, registration, link] { executors_->Connected(registration, link); });
  while (stream->Read(&message)) {
    link->Heard();
    Deliver(id, std::move(message));
    message.Clear();
  }
  link->End();
  loop_->Post([this, id, link] { executors_->Disconnected(id, link.get(), loop_->NowUs()); });
  return grpc::Status::OK;
}

void ClusterService::Deliver(const ExecutorId& from, proto::ExecutorMessage message) {
  // Slows down executors that send faster than the driver decides, through gRPC's flow control.
  loop_->WaitForRoom();
  auto shared = std::make_shared<proto::ExecutorMessage>(std::move(message));
  loop_->Post([this, from, shared] {
    if (shared->has_heartbeat()) {
      executors_->OnHeartbeat(from, shared->heartbeat());
    } else if (shared->has_leaving()) {
      executors_->OnLeaving(from);
    } else {
      jobs_->OnExecutorMessage(from, std::move(*shared));
    }
  });
}

}  // namespace millrace
