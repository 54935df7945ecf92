#include "executor/testing/fake_driver.h"

#include <utility>

#include "common/base/check.h"
#include "common/base/steady_time.h"

namespace millrace::executor {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(20);

}  // namespace

FakeDriver::FakeDriver(bool listen) {
  absl::StatusOr<std::unique_ptr<RpcServer>> server =
      RpcServer::Start(listen ? "127.0.0.1:0" : "", {this}, "the test's driver", "--none");
  MILLRACE_CHECK(server.ok()) << server.status();
  server_ = *std::move(server);
}

FakeDriver::~FakeDriver() { server_->Shutdown(absl::ZeroDuration()); }

void FakeDriver::set_driver_id(std::string id) {
  absl::MutexLock lock(&mutex_);
  driver_id_ = std::move(id);
}

void FakeDriver::set_reject(std::string reason) {
  absl::MutexLock lock(&mutex_);
  reject_ = std::move(reason);
}

void FakeDriver::set_term(int64_t term) {
  absl::MutexLock lock(&mutex_);
  term_ = term;
}

void FakeDriver::set_heartbeat_timeout(absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  heartbeat_timeout_ = timeout;
}

grpc::Status FakeDriver::Connect(
    grpc::ServerContext* context,
    grpc::ServerReaderWriter<proto::DriverMessage, proto::ExecutorMessage>* stream) {
  proto::ExecutorMessage message;
  if (!stream->Read(&message) || !message.has_register_()) {
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "Register comes first");
  }
  const std::string id = message.register_().executor_id();
  {
    absl::MutexLock lock(&mutex_);
    proto::DriverMessage answer;
    if (!reject_.empty()) {
      answer.mutable_rejected()->set_reason(reject_);
      stream->Write(answer);
      return grpc::Status::OK;
    }
    answer.mutable_registered()->set_driver_id(driver_id_);
    answer.mutable_registered()->set_heartbeat_interval_ms(50);
    answer.mutable_registered()->set_heartbeat_timeout_ms(
        absl::ToInt64Milliseconds(heartbeat_timeout_));
    answer.mutable_registered()->set_driver_term(term_);
    stream->Write(answer);
    Session& session = sessions_[id];
    session.context = context;
    session.stream = stream;
    session.registration = message.register_();
    ++session.registrations;
    changed_.SignalAll();
  }
  while (stream->Read(&message)) {
    absl::MutexLock lock(&mutex_);
    sessions_[id].messages.push_back(message);
    changed_.SignalAll();
  }
  absl::MutexLock lock(&mutex_);
  if (sessions_[id].context == context) {
    sessions_[id].context = nullptr;
    sessions_[id].stream = nullptr;
  }
  changed_.SignalAll();
  return grpc::Status::OK;
}

proto::Register FakeDriver::WaitForExecutor(const std::string& executor_id) {
  absl::MutexLock lock(&mutex_);
  const absl::Time deadline = SteadyNow() + kPatience;
  while (sessions_[executor_id].stream == nullptr) {
    MILLRACE_CHECK(!changed_.WaitUntil(&mutex_, deadline))
        << "executor " << executor_id << " did not register";
  }
  return sessions_[executor_id].registration;
}

int64_t FakeDriver::Registrations(const std::string& executor_id) const {
  absl::MutexLock lock(&mutex_);
  auto found = sessions_.find(executor_id);
  return found == sessions_.end() ? 0 : found->second.registrations;
}

void FakeDriver::Send(const std::string& executor_id, const proto::DriverMessage& message) {
  absl::MutexLock lock(&mutex_);
  Session& session = sessions_[executor_id];
  MILLRACE_CHECK(session.stream != nullptr) << "executor " << executor_id << " is not connected";
  session.stream->Write(message);
}

void FakeDriver::Drop(const std::string& executor_id) {
  absl::MutexLock lock(&mutex_);
  Session& session = sessions_[executor_id];
  MILLRACE_CHECK(session.context != nullptr) << "executor " << executor_id << " is not connected";
  session.context->TryCancel();
  session.context = nullptr;
  session.stream = nullptr;
}

std::optional<proto::ExecutorMessage> FakeDriver::Wait(const std::string& executor_id,
                                                       const Matcher& matches) {
  absl::MutexLock lock(&mutex_);
  const absl::Time deadline = SteadyNow() + kPatience;
  while (true) {
    std::vector<proto::ExecutorMessage>& messages = sessions_[executor_id].messages;
    for (auto it = messages.begin(); it != messages.end(); ++it) {
      if (matches(*it)) {
        proto::ExecutorMessage found = std::move(*it);
        messages.erase(it);
        return found;
      }
    }
    if (changed_.WaitUntil(&mutex_, deadline)) {
      return std::nullopt;
    }
  }
}

void FakeDriver::WaitForMessages(absl::Time deadline) {
  absl::MutexLock lock(&mutex_);
  changed_.WaitUntil(&mutex_, deadline);  // wakes up at the next heartbeat, which comes soon
}

std::vector<proto::ExecutorMessage> FakeDriver::Take(const std::string& executor_id,
                                                     const Matcher& matches) {
  std::vector<proto::ExecutorMessage> taken;
  absl::MutexLock lock(&mutex_);
  std::erase_if(sessions_[executor_id].messages, [&](const proto::ExecutorMessage& message) {
    if (!matches(message)) {
      return false;
    }
    taken.push_back(message);
    return true;
  });
  return taken;
}

}  // namespace millrace::executor
