// The stream to the driver: registers, keeps it alive with heartbeats, and comes back with the same
// identity when it breaks. What was queued for a broken stream is dropped: its senders say it again
// (JobEpoch::Resend).
//
// Thread-safe. Two threads: one connects and reads, one writes. Handlers are called by them, one at
// a time each.
#ifndef MILLRACE_EXECUTOR_CONTROL_DRIVER_LINK_H_
#define MILLRACE_EXECUTOR_CONTROL_DRIVER_LINK_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "executor/job/job_epoch.h"
#include "proto/cluster.grpc.pb.h"

namespace millrace {

struct DriverLinkOptions {
  std::shared_ptr<grpc::Channel> channel;
  std::string driver_name;  // for messages: "127.0.0.1:7070"
  proto::Register registration;
  absl::Duration driver_timeout =
      absl::InfiniteDuration();  // without a driver for so long, the link ends
  absl::Duration register_timeout = absl::Seconds(10);
  absl::Duration first_backoff = absl::Milliseconds(100);
  absl::Duration last_backoff = absl::Seconds(2);
  absl::Duration progress_interval = absl::Milliseconds(2);
  size_t room_bytes = 16 << 20;  // WaitForRoom waits while more is queued

  // Reader thread: a new session with this driver has begun; then each message in order.
  std::function<void(uint64_t session, const proto::Registered& registered)> on_registered;
  std::function<void(uint64_t session, proto::DriverMessage message)> on_message;
  // Writer thread.
  std::function<proto::Heartbeat()> heartbeat;
  std::function<std::vector<proto::SourceProgress>()> take_progress;
  // Once, unless closed: FAILED_PRECONDITION (rejected) or UNAVAILABLE (no driver within
  // driver_timeout).
  std::function<void(const absl::Status& status)> on_end;
};

class DriverLink : public DriverSink {
 public:
  explicit DriverLink(DriverLinkOptions options);
  ~DriverLink() override;  // as Close

  // Begins to look for the driver.
  void Start();
  // Ends the stream and both threads; what is queued is sent first, for as long as `flush` allows.
  void Close(absl::Duration flush);

  void SendHeartbeatNow();
  // OK while registered; else waits for it.
  absl::Status WaitUntilRegistered(absl::Duration timeout);

  // DriverSink.
  void Send(uint64_t session, std::shared_ptr<const proto::ExecutorMessage> message) override;
  void WaitForRoom() override;
  void ProgressChanged() override;

 private:
  using Stream = grpc::ClientReaderWriter<proto::ExecutorMessage, proto::DriverMessage>;

  void ReadLoop();
  // Connects, registers and reads until the stream ends; the status says why. `registered` tells
  // how far it came.
  absl::Status Serve(bool* registered);
  absl::StatusOr<proto::Registered> Register(Stream* stream);
  absl::Status ReadMessages(Stream* stream, uint64_t session);
  uint64_t BeginSession(Stream* stream, const proto::Registered& registered);
  void EndSession();
  // False when closing.
  bool WaitBeforeNextTry(absl::Duration delay);
  bool closing() const;

  // What the writer does next.
  struct Work {
    Stream* stream = nullptr;
    std::vector<std::shared_ptr<const proto::ExecutorMessage>> messages;
    bool heartbeat = false;
    bool progress = false;
    bool close = false;
  };
  void WriteLoop();
  Work NextWork();
  absl::Time NextWorkTime() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Do(const Work& work);

  const DriverLinkOptions options_;
  std::unique_ptr<proto::Cluster::Stub> stub_;
  absl::BitGen random_;  // reader thread

  mutable absl::Mutex mutex_;
  absl::CondVar changed_;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  bool reader_ended_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;  // of the current attempt
  absl::Time register_deadline_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  uint64_t session_ ABSL_GUARDED_BY(mutex_) = 0;
  Stream* stream_ ABSL_GUARDED_BY(mutex_) = nullptr;  // null: not registered
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;      // the writer uses stream_
  std::deque<std::shared_ptr<const proto::ExecutorMessage>> queue_ ABSL_GUARDED_BY(mutex_);
  size_t queued_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Duration heartbeat_interval_ ABSL_GUARDED_BY(mutex_) = absl::Seconds(1);
  absl::Time next_heartbeat_ ABSL_GUARDED_BY(mutex_);
  absl::Time next_progress_ ABSL_GUARDED_BY(mutex_);
  bool progress_changed_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread reader_;
  std::thread writer_;
};

}  // namespace millrace

#endif  // MILLRACE_EXECUTOR_CONTROL_DRIVER_LINK_H_
