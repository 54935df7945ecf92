// The stream to the driver: registers, keeps it alive with heartbeats, and comes back with the same
// identity when it breaks. What was queued for a broken stream is dropped: its senders say it again
// (JobEpoch::Resend). Of several drivers, of which one drives and the others wait to, it finds the
// one, and leaves it for another when it is silent.
//
// Thread-safe. Three threads: one connects and reads, one writes, and one ends a stream that both
// may hang in. Handlers are called by the first two, one at a time each.
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
  struct Driver {
    std::string name;  // for messages: "127.0.0.1:7070"
    std::shared_ptr<grpc::Channel> channel;
  };
  std::vector<Driver> drivers;  // at least one; tried in this order, round and round
  proto::Register registration;
  absl::Duration driver_timeout =
      absl::InfiniteDuration();  // without a driver for so long, the link ends
  // Where there is another driver to try, an attempt and a pause between two rounds take no longer
  // than the second of each pair.
  absl::Duration register_timeout = absl::Seconds(10);
  absl::Duration short_register_timeout = absl::Seconds(1);
  absl::Duration first_backoff = absl::Milliseconds(100);
  absl::Duration last_backoff = absl::Seconds(2);
  absl::Duration short_last_backoff = absl::Milliseconds(250);
  // A driver with a lower term than one that was heard of so recently has been asleep, and has not
  // noticed yet that it was replaced. Later, the directory must be another one.
  absl::Duration replaced_grace = absl::Seconds(10);
  absl::Duration progress_interval = absl::Milliseconds(2);
  size_t room_bytes = 16 << 20;  // WaitForRoom waits while more is queued

  // Reader thread: a new session with this driver has begun; then each message in order.
  std::function<void(uint64_t session, const proto::Registered& registered)> on_registered;
  std::function<void(uint64_t session, proto::DriverMessage message)> on_message;
  // Writer thread.
  std::function<proto::Heartbeat()> heartbeat;
  std::function<std::vector<proto::SourceProgress>()> take_progress;
  // Once, unless closed, from the reader thread: FAILED_PRECONDITION (rejected) or UNAVAILABLE (no
  // driver within driver_timeout).
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
  absl::Status Serve(const DriverLinkOptions::Driver& driver, bool* registered);
  absl::StatusOr<proto::Registered> Register(const DriverLinkOptions::Driver& driver,
                                             Stream* stream);
  absl::Status CheckTerm(const proto::Registered& registered);
  absl::Status ReadMessages(const DriverLinkOptions::Driver& driver, Stream* stream,
                            uint64_t session);
  absl::Status Rejected(const DriverLinkOptions::Driver& driver, const proto::Rejected& rejected);
  bool ReadOne(Stream* stream, proto::DriverMessage* message);
  uint64_t BeginSession(Stream* stream, const proto::Registered& registered);
  // Whether it ended because the driver was silent.
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

  // Of the reader thread.
  absl::BitGen random_;
  int64_t highest_term_ = 0;
  absl::Time highest_term_heard_ = absl::InfinitePast();

  mutable absl::Mutex mutex_;
  absl::CondVar changed_;
  absl::CondVar watch_changed_;  // give_up_at_ may have become earlier
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  bool reader_ended_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;  // of the current attempt
  // The attempt is cancelled if the driver has not answered, or said anything, by then.
  absl::Time give_up_at_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  absl::Duration driver_silence_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteDuration();  // too long
  bool handling_ ABSL_GUARDED_BY(mutex_) = false;  // a message: it is we who are busy
  bool silent_ ABSL_GUARDED_BY(mutex_) = false;    // was cancelled for it
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

}  // namespace millrace

#endif  // MILLRACE_EXECUTOR_CONTROL_DRIVER_LINK_H_
