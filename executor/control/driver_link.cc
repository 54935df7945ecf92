#include "executor/control/driver_link.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/rpc/rpc.h"

namespace millrace::executor {

namespace {

std::string Names(const std::vector<DriverLinkOptions::Driver>& drivers) {
  return absl::StrJoin(drivers, ",", [](std::string* out, const DriverLinkOptions::Driver& driver) {
    out->append(driver.name);
  });
}

}  // namespace

DriverLink::DriverLink(DriverLinkOptions options)
    : options_(std::move(options)),
      driver_names_(Names(options_.drivers)),
      register_timeout_(options_.drivers.size() == 1 ? options_.register_timeout
                                                     : options_.short_register_timeout),
      last_backoff_(options_.drivers.size() == 1 ? options_.last_backoff
                                                 : options_.short_last_backoff) {}

DriverLink::~DriverLink() { Close(absl::ZeroDuration()); }

void DriverLink::Start() {
  reader_ = std::thread([this] { ReadLoop(); });
  writer_ = std::thread([this] { WriteLoop(); });
  watcher_ = std::thread([this] { WatchLoop(); });
}

void DriverLink::Close(absl::Duration flush) {
  {
    absl::MutexLock lock(&mutex_);
    closing_ = true;
    changed_.SignalAll();
    // The writer sends the queued messages and half-closes the stream; the driver then ends it.
    const absl::Time deadline = SteadyNow() + flush;
    while (!reader_ended_ && stream_ != nullptr && SteadyNow() < deadline) {
      changed_.WaitUntil(&mutex_, deadline);
    }
    if (context_ != nullptr) {
      context_->TryCancel();
    }
  }
  if (reader_.joinable()) {
    reader_.join();
    writer_.join();
    watcher_.join();
  }
}

bool DriverLink::closing() const {
  absl::MutexLock lock(&mutex_);
  return closing_;
}

absl::Status DriverLink::WaitUntilRegistered(absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  const absl::Time deadline = SteadyNow() + timeout;
  while (stream_ == nullptr && !closing_ && !reader_ended_) {
    if (changed_.WaitUntil(&mutex_, deadline) && stream_ == nullptr) {
      return absl::DeadlineExceededError(absl::StrCat("the driver at ", driver_names_,
                                                      " has not answered within ",
                                                      absl::FormatDuration(timeout)));
    }
  }
  return stream_ != nullptr ? absl::OkStatus() : absl::CancelledError("the executor has ended");
}

void DriverLink::Send(uint64_t session, std::shared_ptr<const proto::ExecutorMessage> message) {
  absl::MutexLock lock(&mutex_);
  if (session != session_ || stream_ == nullptr) {
    return;
  }
  queued_bytes_ += message->ByteSizeLong();
  queue_.push_back(std::move(message));
  changed_.SignalAll();
}

void DriverLink::WaitForRoom() {
  absl::MutexLock lock(&mutex_);
  const absl::Time deadline = SteadyNow() + absl::Seconds(60);
  while (queued_bytes_ > options_.room_bytes && stream_ != nullptr && !closing_) {
    if (changed_.WaitUntil(&mutex_, deadline)) {
      return;
    }
  }
}

void DriverLink::ProgressChanged() {
  absl::MutexLock lock(&mutex_);
  if (!progress_changed_) {
    progress_changed_ = true;
    changed_.SignalAll();
  }
}

void DriverLink::SendHeartbeatNow() {
  absl::MutexLock lock(&mutex_);
  next_heartbeat_ = absl::InfinitePast();
  changed_.SignalAll();
}

void DriverLink::ReadLoop() {
  pthread_setname_np(pthread_self(), "control-read");
  absl::Duration backoff = options_.first_backoff;
  absl::Time last_seen = SteadyNow();
  size_t current = 0;
  size_t tries = 0;  // since the last registration
  bool told = false;
  while (!closing()) {
    bool registered = false;
    const absl::Status status = Serve(options_.drivers[current], &registered);
    if (closing()) {
      break;
    }
    if (registered) {
      backoff = options_.first_backoff;
      last_seen = SteadyNow();
      tries = 0;
      told = false;
    }
    if (absl::IsFailedPrecondition(status)) {
      options_.on_end(status);
      break;
    }
    if (SteadyNow() - last_seen >= options_.driver_timeout) {
      options_.on_end(absl::UnavailableError(
          absl::StrCat("no driver at ", driver_names_, " within ",
                       absl::FormatDuration(options_.driver_timeout), ": ", status.message())));
      break;
    }
    if (!std::exchange(told, true)) {
      spdlog::warn("no driver at {} ({}); trying {} until one answers",
                   options_.drivers[current].name, std::string(status.message()), driver_names_);
    }
    // If the connection broke, it may just have been cut, so the same driver is asked first. If the
    // driver was silent, the next one is.
    if (!registered || absl::IsDeadlineExceeded(status)) {
      current = (current + 1) % options_.drivers.size();
    }
    if (++tries % options_.drivers.size() == 0) {
      if (!WaitBeforeNextTry(backoff * absl::Uniform(random_, 0.5, 1.0))) {
        break;
      }
      backoff = std::min(backoff * 2, last_backoff_);
    }
  }
  absl::MutexLock lock(&mutex_);
  reader_ended_ = true;
  changed_.SignalAll();
  watch_changed_.Signal();
}

bool DriverLink::WaitBeforeNextTry(absl::Duration delay) {
  absl::MutexLock lock(&mutex_);
  const absl::Time until = SteadyNow() + delay;
  while (!closing_ && SteadyNow() < until) {
    changed_.WaitUntil(&mutex_, until);
  }
  return !closing_;
}

absl::Status DriverLink::Serve(const DriverLinkOptions::Driver& driver, bool* registered) {
  grpc::ClientContext context;
  {
    absl::MutexLock lock(&mutex_);
    if (closing_) {
      return absl::CancelledError("closing");
    }
    context_ = &context;
    give_up_at_ = SteadyNow() + register_timeout_;
    watch_changed_.Signal();
  }
  // This class makes the pauses between tries, so the channel must not add its own.
  grpc::experimental::ChannelResetConnectionBackoff(driver.channel.get());
  const std::unique_ptr<proto::Cluster::Stub> stub = proto::Cluster::NewStub(driver.channel);
  const std::unique_ptr<Stream> stream = stub->Connect(&context);
  absl::StatusOr<proto::Registered> answer = Register(driver, stream.get());
  absl::Status status = answer.status();
  if (answer.ok()) {
    *registered = true;
    const uint64_t session = BeginSession(stream.get(), *answer);
    options_.on_registered(session, *answer);
    status = ReadMessages(driver, stream.get(), session);
  }
  context.TryCancel();
  const bool silent = EndSession();
  const grpc::Status end = stream->Finish();
  if (silent) {
    return absl::DeadlineExceededError("it is silent");
  }
  if (status.ok()) {
    status = end.ok() ? absl::UnavailableError("the driver ended the connection") : FromGrpc(end);
  }
  // Any error but the driver's own refusal counts as a broken stream, whatever code the transport
  // gives it.
  return *registered || !absl::IsFailedPrecondition(FromGrpc(end))
             ? status
             : absl::UnavailableError(end.error_message());
}

absl::StatusOr<proto::Registered> DriverLink::Register(const DriverLinkOptions::Driver& driver,
                                                       Stream* stream) {
  proto::ExecutorMessage message;
  *message.mutable_register_() = options_.registration;
  proto::DriverMessage answer;
  if (!stream->Write(message) || !stream->Read(&answer)) {
    return absl::UnavailableError("it cannot be reached");
  }
  if (answer.has_rejected()) {
    return Rejected(driver, answer.rejected());
  }
  if (!answer.has_registered()) {
    return absl::InternalError("its first message is not Registered");
  }
  if (absl::Status current = CheckTerm(answer.registered()); !current.ok()) {
    return current;
  }
  return answer.registered();
}

absl::Status DriverLink::CheckTerm(const proto::Registered& registered) {
  if (registered.driver_term() < highest_term_ &&
      SteadyNow() - highest_term_heard_ < options_.replaced_grace) {
    return absl::UnavailableError(absl::StrCat("it has been replaced: its term is ",
                                               registered.driver_term(), ", a later driver's is ",
                                               highest_term_));
  }
  highest_term_ = registered.driver_term();
  return absl::OkStatus();
}

absl::Status DriverLink::Rejected(const DriverLinkOptions::Driver& driver,
                                  const proto::Rejected& rejected) {
  return absl::FailedPreconditionError(absl::StrCat(
      "the driver at ", driver.name, " has rejected this executor: ", rejected.reason()));
}

absl::Status DriverLink::ReadMessages(const DriverLinkOptions::Driver& driver, Stream* stream,
                                      uint64_t session) {
  proto::DriverMessage message;
  while (ReadOne(stream, &message)) {
    highest_term_heard_ = SteadyNow();
    if (message.has_rejected()) {
      return Rejected(driver, message.rejected());
    }
    if (!message.has_alive()) {
      options_.on_message(session, std::move(message));
    }
    message.Clear();
  }
  return absl::OkStatus();
}

bool DriverLink::ReadOne(Stream* stream, proto::DriverMessage* message) {
  {
    absl::MutexLock lock(&mutex_);
    handling_ = false;
    give_up_at_ = SteadyNow() + driver_silence_;
  }
  const bool read = stream->Read(message);
  absl::MutexLock lock(&mutex_);
  handling_ = true;
  return read;
}

uint64_t DriverLink::BeginSession(Stream* stream, const proto::Registered& registered) {
  absl::MutexLock lock(&mutex_);
  driver_silence_ = registered.heartbeat_timeout_ms() > 0
                        ? absl::Milliseconds(registered.heartbeat_timeout_ms())
                        : absl::InfiniteDuration();
  give_up_at_ = SteadyNow() + driver_silence_;
  handling_ = true;
  watch_changed_.Signal();
  highest_term_heard_ = SteadyNow();
  stream_ = stream;
  queue_.clear();
  queued_bytes_ = 0;
  if (registered.heartbeat_interval_ms() > 0) {
    heartbeat_interval_ = absl::Milliseconds(registered.heartbeat_interval_ms());
  }
  next_heartbeat_ = SteadyNow();
  changed_.SignalAll();
  return ++session_;
}

bool DriverLink::EndSession() {
  absl::MutexLock lock(&mutex_);
  stream_ = nullptr;
  context_ = nullptr;
  give_up_at_ = absl::InfiniteFuture();
  driver_silence_ = absl::InfiniteDuration();
  handling_ = false;
  queue_.clear();
  queued_bytes_ = 0;
  changed_.SignalAll();
  while (writing_) {
    changed_.Wait(&mutex_);
  }
  return std::exchange(silent_, false);
}

// Cancels the stream of a silent driver. A driver process that is stopped (as by SIGSTOP) keeps its
// connections: reads wait for ever, and so do writes once its buffers are full.
void DriverLink::WatchLoop() {
  pthread_setname_np(pthread_self(), "control-watch");
  absl::MutexLock lock(&mutex_);
  while (!reader_ended_) {
    const absl::Time now = SteadyNow();
    if (now < give_up_at_) {
      watch_changed_.WaitUntil(&mutex_, give_up_at_);
    } else if (handling_) {
      give_up_at_ = now + driver_silence_;  // the next read sets it again
    } else {
      silent_ = true;
      give_up_at_ = absl::InfiniteFuture();
      context_->TryCancel();
    }
  }
}

void DriverLink::WriteLoop() {
  pthread_setname_np(pthread_self(), "control-write");
  while (true) {
    const Work work = NextWork();
    if (work.stream != nullptr) {
      Do(work);
      absl::MutexLock lock(&mutex_);
      writing_ = false;
      changed_.SignalAll();
    }
    if (work.close) {
      return;
    }
  }
}

DriverLink::Work DriverLink::NextWork() {
  absl::MutexLock lock(&mutex_);
  while (!closing_ && !reader_ended_ && SteadyNow() < NextWorkTime()) {
    changed_.WaitUntil(&mutex_, NextWorkTime());
  }
  const absl::Time now = SteadyNow();
  Work work{.stream = stream_, .close = closing_ || reader_ended_};
  if (stream_ == nullptr) {
    return work;
  }
  work.messages.assign(queue_.begin(), queue_.end());
  queue_.clear();
  queued_bytes_ = 0;
  work.heartbeat = now >= next_heartbeat_;
  if (work.heartbeat) {
    next_heartbeat_ = now + heartbeat_interval_;
  }
  work.progress = progress_changed_ && now >= next_progress_;
  if (work.progress) {
    progress_changed_ = false;
    next_progress_ = now + options_.progress_interval;
  }
  writing_ = true;
  return work;
}

absl::Time DriverLink::NextWorkTime() const {
  if (stream_ == nullptr) {
    return absl::InfiniteFuture();
  }
  if (!queue_.empty()) {
    return absl::InfinitePast();
  }
  return progress_changed_ ? std::min(next_heartbeat_, next_progress_) : next_heartbeat_;
}

void DriverLink::Do(const Work& work) {
  proto::ExecutorMessage message;
  if (work.heartbeat) {
    *message.mutable_heartbeat() = options_.heartbeat();
    work.stream->Write(message);
  }
  // If a write fails, the reader sees the end of the stream.
  for (const std::shared_ptr<const proto::ExecutorMessage>& queued : work.messages) {
    work.stream->Write(*queued);
  }
  if (work.progress) {
    for (proto::SourceProgress& progress : options_.take_progress()) {
      *message.mutable_source_progress() = std::move(progress);
      work.stream->Write(message);
    }
  }
  if (work.close) {
    work.stream->WritesDone();
  }
}

}  // namespace millrace::executor
