#include "driver/services/cluster_service.h"

#include <spdlog/spdlog.h>

#include <atomic>
#include <deque>
#include <memory>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/base/monotonic_cond_var.h"
#include "common/base/steady_time.h"

namespace millrace::driver {
namespace {

using Stream = grpc::ServerReaderWriter<proto::DriverMessage, proto::ExecutorMessage>;

// A driver has a handful of messages per job under way; an executor that leaves so many unread does
// not read at all.
constexpr size_t kMaxQueued = 16'384;
// How long a stream that was closed may take to end by itself.
constexpr absl::Duration kCloseGrace = absl::Seconds(1);

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
      absl::MutexLock lock(&mutex_);
      ended_ = true;
    }
    wake_.SignalAll();
    writer_.join();
  }

  void Heard() { heard_us_.store(clock_->MonotonicNs() / 1000, std::memory_order_relaxed); }

  void Send(proto::DriverMessage message) override {
    {
      absl::MutexLock lock(&mutex_);
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
    wake_.SignalAll();
  }

  void Close() override {
    {
      absl::MutexLock lock(&mutex_);
      closing_ = true;
    }
    wake_.SignalAll();
  }

  int64_t last_heard_us() const override { return heard_us_.load(std::memory_order_relaxed); }

 private:
  void Write() {
    absl::MutexLock lock(&mutex_);
    while (true) {
      while (!ended_ && !closing_ && queue_.empty()) {
        wake_.Wait(&mutex_);
      }
      while (!queue_.empty() && !ended_) {
        const proto::DriverMessage message = std::move(queue_.front());
        queue_.pop_front();
        mutex_.Unlock();
        const bool written = stream_->Write(message);
        mutex_.Lock();
        if (!written) {
          queue_.clear();  // the reader notices, too
        }
      }
      if (closing_ && !ended_) {
        // The executor ends the stream when it has read the last message. Cancelling the stream at
        // once could overtake that message.
        const absl::Time cancel_at = SteadyNow() + kCloseGrace;
        while (!ended_ && !wake_.WaitUntil(&mutex_, cancel_at)) {
          // woken by a message, or for no reason
        }
        if (!ended_) {
          context_->TryCancel();
        }
        while (!ended_) {
          wake_.Wait(&mutex_);
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
  absl::Mutex mutex_;
  MonotonicCondVar wake_;
  std::deque<proto::DriverMessage> queue_ ABSL_GUARDED_BY(mutex_);
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
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

}  // namespace millrace::driver
