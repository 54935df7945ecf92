// The executors that are registered with this driver: who they are, whether they live, and how to
// reach them. An executor whose stream breaks has a quarter of the heartbeat timeout to come back:
// a live executor tries within a tenth of a second, and most broken streams are of a process that
// has ended. An executor that comes and goes all the time gets no work for a while. Lives on the
// event loop: no locks.
#ifndef MILLRACE_DRIVER_EXECUTORS_EXECUTOR_DIRECTORY_H_
#define MILLRACE_DRIVER_EXECUTORS_EXECUTOR_DIRECTORY_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/ids.h"
#include "driver/coordinator/job_event.h"
#include "driver/executors/flap_record.h"
#include "proto/cluster.pb.h"

namespace millrace::driver {

// The control stream of one executor, as the transport offers it. Thread-safe.
class ExecutorLink {
 public:
  virtual ~ExecutorLink() = default;

  // Queues the message; what is queued when the stream breaks is lost.
  virtual void Send(proto::DriverMessage message) = 0;
  // Ends the stream once what is queued has been sent.
  virtual void Close() = 0;
  // When the executor was last heard of (monotonic).
  virtual int64_t last_heard_us() const = 0;
};

class ExecutorDirectory {
 public:
  struct Member {
    proto::Register registration;
    std::shared_ptr<ExecutorLink> link;  // null while the stream is broken
    int64_t broken_since_us = 0;
    int64_t joined_us = 0;
    int64_t quarantined_until_us = 0;  // 0 = it is not in quarantine
    int losses = 0;                    // how often it was lost soon after it had joined
    bool leaving = false;
    proto::Heartbeat heartbeat;  // the last one
  };
  struct Listener {
    std::function<void()> members_changed;  // joined, lost, away, back or leaving
    std::function<void(const ExecutorId& id)> member_reconnected;
  };

  ExecutorDirectory(std::string driver_id, absl::Duration heartbeat_interval,
                    absl::Duration heartbeat_timeout, Listener listener);

  // The number by which executors tell this driver from earlier drivers of its directory.
  void SetTerm(int64_t term) { term_ = term; }

  // A stream has begun with this registration, of a new executor or of one that has come back.
  // Answers with Registered, or with Rejected if the executor cannot take part.
  void Connected(const proto::Register& registration, std::shared_ptr<ExecutorLink> link);

  // A stream has ended. Does nothing if the executor has another stream by now.
  void Disconnected(const ExecutorId& id, const ExecutorLink* link, int64_t now_us);

  void OnHeartbeat(const ExecutorId& id, const proto::Heartbeat& heartbeat);
  void OnLeaving(const ExecutorId& id);

  // Gives up executors that have been silent for the timeout, or away for longer than their grace,
  // and gives work again to those whose quarantine is over. Called about every heartbeat interval.
  void CheckTimeouts(int64_t now_us);

  // Tells all executors that the driver lives.
  void SayAlive();

  // Drops the message if the executor is away: when it comes back, MemberReconnected makes the jobs
  // send again.
  void Send(const ExecutorId& id, proto::DriverMessage message);

  // Ends all streams.
  void CloseAll();
  // Ends all streams, and rejects executors that register from now on: they should look for another
  // driver.
  void Retire();

  // The live executors. Those in quarantine (FlapRecord) count as away, unless there are no others.
  MembersChanged Members() const;
  const std::map<ExecutorId, Member>& all() const { return members_; }
  uint32_t TotalSlots() const;
  std::string NameOf(const ExecutorId& id) const;

 private:
  // Forgets the executor. `loss` is none if it left on purpose.
  void Remove(const ExecutorId& id, std::optional<FlapRecord::Loss> loss, const std::string& why);

  const std::string driver_id_;
  const absl::Duration heartbeat_interval_;
  const absl::Duration heartbeat_timeout_;
  const absl::Duration broken_grace_;  // how long an executor whose stream broke may be away
  const Listener listener_;
  int64_t term_ = 0;
  bool retired_ = false;
  std::map<ExecutorId, Member> members_;
  FlapRecord flaps_;
  int64_t now_us_ = 0;  // as of the last call that told the time
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_EXECUTORS_EXECUTOR_DIRECTORY_H_
