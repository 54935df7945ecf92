// The stream to the driver: registers, sends heartbeats, and reconnects with the same identity when
// the stream breaks. Messages queued for a broken stream are dropped: their senders send them again
// (DriverReports::Resend). Given several drivers, of which one works and the others are standbys,
// it finds the working one, and leaves it for another when it falls silent.
//
// Thread-safe. Three threads: one connects and reads, one writes, and one cancels a stream in which
// both may hang. The first two call the handlers, each one at a time.
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
#include "common/base/monotonic_cond_var.h"
#include "executor/epoch/driver_sink.h"
#include "proto/cluster.grpc.pb.h"

namespace millrace::executor {

struct DriverLinkOptions {
  struct Driver {
    std::string name;  // for messages: "127.0.0.1:7070"
    std::shared_ptr<grpc::Channel> channel;
  };
  std::vector<Driver> drivers;  // at least one; tried in this order, round and round
  proto::Register registration;
  // The link ends after this long without a driver.
  absl::Duration driver_timeout = absl::InfiniteDuration();
  // If there is another driver to try, an attempt, and the pause between two rounds, are limited by
  // the second value of each pair.
  absl::Duration register_timeout = absl::Seconds(10);
  absl::Duration short_register_timeout = absl::Seconds(1);
  absl::Duration first_backoff = absl::Milliseconds(100);
  absl::Duration last_backoff = absl::Seconds(2);
  absl::Duration short_last_backoff = absl::Milliseconds(250);
  // A driver with a lower term than one heard of within this time has been asleep, and has not
  // noticed yet that it was replaced. After this time, it must belong to another directory.
  absl::Duration replaced_grace = absl::Seconds(10);
  absl::Duration progress_interval = absl::Milliseconds(2);
  size_t room_bytes = 16 << 20;  // WaitForRoom waits while more is queued

  // Called on the reader thread: a new session with this driver has begun; then each message in
  // order.
  std::function<void(uint64_t session, const proto::Registered& registered)> on_registered;
  std::function<void(uint64_t session, proto::DriverMessage message)> on_message;
  // Called on the writer thread.
  std::function<proto::Heartbeat()> heartbeat;
  std::function<std::vector<proto::SourceProgress>()> take_progress;
  // Called once on the reader thread, unless closed before: FAILED_PRECONDITION (rejected) or
  // UNAVAILABLE (no driver within driver_timeout).
  std::function<void(const absl::Status& status)> on_end;
};

class DriverLink : public DriverSink {
 public:
  explicit DriverLink(DriverLinkOptions options);
  ~DriverLink() override;  // does what Close does

  // Begins to look for the driver.
  void Start();
  // Ends the stream and the threads; first sends the queued messages, for as long as `flush`
  // allows.
  void Close(absl::Duration flush);

  void SendHeartbeatNow();
  // Waits until registered; OK at once if it is.
  absl::Status WaitUntilRegistered(absl::Duration timeout);

  // DriverSink.
  void Send(uint64_t session, std::shared_ptr<const proto::ExecutorMessage> message) override;
  void WaitForRoom() override;
  void ProgressChanged() override;

 private:
  using Stream = grpc::ClientReaderWriter<proto::ExecutorMessage, proto::DriverMessage>;

  void ReadLoop();
  // Connects, registers and reads until the stream ends; the status says why it ended. `registered`
  // becomes true if the driver accepted the registration.
  absl::Status Serve(const DriverLinkOptions::Driver& driver, bool* registered);
  absl::StatusOr<proto::Registered> Register(const DriverLinkOptions::Driver& driver,
                                             Stream* stream);
  absl::Status CheckTerm(const proto::Registered& registered);
  absl::Status ReadMessages(const DriverLinkOptions::Driver& driver, Stream* stream,
                            uint64_t session);
  absl::Status Rejected(const DriverLinkOptions::Driver& driver, const proto::Rejected& rejected);
  bool ReadOne(Stream* stream, proto::DriverMessage* message);
  uint64_t BeginSession(Stream* stream, const proto::Registered& registered);
  // Returns whether the session ended because the driver was silent.
  bool EndSession();
  void WatchLoop();
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
  const std::string driver_names_;
  const absl::Duration register_timeout_;
  const absl::Duration last_backoff_;

  // The members below belong to the reader thread.
  absl::BitGen random_;
  int64_t highest_term_ = 0;
  absl::Time highest_term_heard_ = absl::InfinitePast();

  mutable absl::Mutex mutex_;
  MonotonicCondVar changed_;
  MonotonicCondVar watch_changed_;  // give_up_at_ may have become earlier
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  bool reader_ended_ ABSL_GUARDED_BY(mutex_) = false;
  // Context of the present attempt.
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;
  // The attempt is cancelled if the driver has sent nothing by then.
  absl::Time give_up_at_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  // A silence this long ends the session.
  absl::Duration driver_silence_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteDuration();
  // Handling a message: the silence is this executor's own.
  bool handling_ ABSL_GUARDED_BY(mutex_) = false;
  bool silent_ ABSL_GUARDED_BY(mutex_) = false;  // the session was cancelled because of silence
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
  std::thread watcher_;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_CONTROL_DRIVER_LINK_H_
