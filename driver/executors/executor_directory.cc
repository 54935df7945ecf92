#include "driver/executors/executor_directory.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace millrace::driver {
namespace {

// Executors of versions before sessions would write each shard in a transaction of its own, over
// which the claims of this version have no power.
constexpr uint32_t kLeastProtocol = 1;

// Empty if the executor may join.
std::string WhyRejected(const proto::Register& registration) {
  if (registration.executor_id().empty()) {
    return "the registration has no executor_id";
  }
  if (registration.protocol() < kLeastProtocol) {
    return absl::StrCat("executor ", registration.name(), " is of Millrace ",
                        registration.engine_version(), ", which is too old for this driver: start ",
                        "the same version as the driver's");
  }
  return "";
}

}  // namespace

ExecutorDirectory::ExecutorDirectory(std::string driver_id, absl::Duration heartbeat_interval,
                                     absl::Duration heartbeat_timeout, Listener listener)
    : driver_id_(std::move(driver_id)),
      heartbeat_interval_(heartbeat_interval),
      heartbeat_timeout_(heartbeat_timeout),
      broken_grace_(heartbeat_timeout / 4),
      listener_(std::move(listener)) {}

void ExecutorDirectory::Connected(const proto::Register& registration,
                                  std::shared_ptr<ExecutorLink> link) {
  if (retired_) {
    link->Close();
    return;
  }
  if (const std::string reason = WhyRejected(registration); !reason.empty()) {
    proto::DriverMessage message;
    message.mutable_rejected()->set_reason(reason);
    link->Send(std::move(message));
    link->Close();
    return;
  }
  proto::DriverMessage message;
  message.mutable_registered()->set_driver_id(driver_id_);
  message.mutable_registered()->set_heartbeat_interval_ms(
      absl::ToInt64Milliseconds(heartbeat_interval_));
  message.mutable_registered()->set_heartbeat_timeout_ms(
      absl::ToInt64Milliseconds(heartbeat_timeout_));
  message.mutable_registered()->set_driver_term(term_);
  link->Send(std::move(message));

  const ExecutorId id(registration.executor_id());
  const auto [found, is_new] = members_.try_emplace(id);
  Member& member = found->second;
  if (member.link != nullptr) {
    member.link->Close();
  }
  member.registration = registration;
  member.link = std::move(link);
  member.broken_since_us = 0;
  if (is_new) {
    member.joined_us = now_us_;
    member.quarantined_until_us = flaps_.QuarantinedUntil(registration.name(), now_us_);
    member.losses = flaps_.LossesOf(registration.name());
    spdlog::info("executor {} joined with {} slots", registration.name(), registration.slots());
    if (member.quarantined_until_us > 0) {
      spdlog::warn(
          "executor {} was lost soon after it joined again and again: it gets no work for {}",
          registration.name(),
          absl::FormatDuration(absl::Microseconds(member.quarantined_until_us - now_us_)));
    }
    listener_.members_changed();
  } else {
    spdlog::info("executor {} is back", registration.name());
    listener_.members_changed();
    listener_.member_reconnected(id);
  }
}

void ExecutorDirectory::Disconnected(const ExecutorId& id, const ExecutorLink* link,
                                     int64_t now_us) {
  now_us_ = std::max(now_us_, now_us);
  const auto found = members_.find(id);
  if (found == members_.end() || found->second.link.get() != link) {
    return;
  }
  found->second.link = nullptr;
  found->second.broken_since_us = now_us;
  if (found->second.leaving) {
    Remove(id, std::nullopt, "left");
  } else {
    spdlog::info("the connection of executor {} broke; it has {} to come back",
                 found->second.registration.name(), absl::FormatDuration(broken_grace_));
    listener_.members_changed();
  }
}

void ExecutorDirectory::OnHeartbeat(const ExecutorId& id, const proto::Heartbeat& heartbeat) {
  if (const auto found = members_.find(id); found != members_.end()) {
    found->second.heartbeat = heartbeat;
  }
}

void ExecutorDirectory::OnLeaving(const ExecutorId& id) {
  const auto found = members_.find(id);
  if (found != members_.end() && !found->second.leaving) {
    spdlog::info("executor {} wants to leave", found->second.registration.name());
    found->second.leaving = true;
    listener_.members_changed();
  }
}

void ExecutorDirectory::CheckTimeouts(int64_t now_us) {
  now_us_ = std::max(now_us_, now_us);
  const int64_t timeout_us = absl::ToInt64Microseconds(heartbeat_timeout_);
  const int64_t grace_us = absl::ToInt64Microseconds(broken_grace_);
  using Loss = FlapRecord::Loss;
  std::vector<std::pair<ExecutorId, Loss>> lost;
  bool released = false;
  for (auto& [id, member] : members_) {
    if (member.quarantined_until_us > 0 && now_us >= member.quarantined_until_us) {
      member.quarantined_until_us = 0;
      released = true;
    }
    if (member.link == nullptr && now_us - member.broken_since_us >= grace_us) {
      lost.emplace_back(id, Loss::kBroken);
    } else if (member.link != nullptr && now_us - member.link->last_heard_us() >= timeout_us) {
      lost.emplace_back(id, Loss::kSilent);
    }
  }
  for (const auto& [id, loss] : lost) {
    Remove(id, loss,
           loss == Loss::kBroken
               ? "its connection broke and it did not come back"
               : absl::StrCat("silent for ", absl::FormatDuration(heartbeat_timeout_)));
  }
  if (released) {
    listener_.members_changed();
  }
}

void ExecutorDirectory::Remove(const ExecutorId& id, std::optional<FlapRecord::Loss> loss,
                               const std::string& why) {
  const auto found = members_.find(id);
  spdlog::warn("executor {} is gone: {}", found->second.registration.name(), why);
  if (loss.has_value() && !found->second.leaving) {
    flaps_.Lost(found->second.registration.name(), *loss, found->second.joined_us, now_us_);
  }
  if (found->second.link != nullptr) {
    found->second.link->Close();
  }
  members_.erase(found);
  listener_.members_changed();
}

void ExecutorDirectory::Send(const ExecutorId& id, proto::DriverMessage message) {
  const auto found = members_.find(id);
  if (found != members_.end() && found->second.link != nullptr) {
    found->second.link->Send(std::move(message));
  }
}

void ExecutorDirectory::SayAlive() {
  for (auto& [id, member] : members_) {
    if (member.link != nullptr) {
      proto::DriverMessage message;
      message.mutable_alive();
      member.link->Send(std::move(message));
    }
  }
}

void ExecutorDirectory::Retire() {
  retired_ = true;
  CloseAll();
}

void ExecutorDirectory::CloseAll() {
  for (auto& [id, member] : members_) {
    if (member.link != nullptr) {
      member.link->Close();
    }
  }
}

MembersChanged ExecutorDirectory::Members() const {
  const auto is_fit = [](const auto& entry) {
    const Member& member = entry.second;
    return member.link != nullptr && !member.leaving && member.quarantined_until_us == 0;
  };
  const bool choice = std::any_of(members_.begin(), members_.end(), is_fit);
  MembersChanged event;
  for (const auto& [id, member] : members_) {
    const bool quarantined = choice && member.quarantined_until_us > 0;
    event.members.push_back({.id = id,
                             .name = member.registration.name(),
                             .shuffle_address = member.registration.shuffle_address(),
                             .slots = member.registration.slots(),
                             .away = member.link == nullptr || quarantined,
                             .leaving = member.leaving,
                             .memory_bytes = member.registration.memory_bytes()});
  }
  return event;
}

uint32_t ExecutorDirectory::TotalSlots() const {
  uint32_t slots = 0;
  for (const auto& [id, member] : members_) {
    slots += member.registration.slots();
  }
  return slots;
}

std::string ExecutorDirectory::NameOf(const ExecutorId& id) const {
  const auto found = members_.find(id);
  return found == members_.end() ? "" : found->second.registration.name();
}

}  // namespace millrace::driver
