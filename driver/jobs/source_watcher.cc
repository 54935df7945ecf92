#include "driver/jobs/source_watcher.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status.h"

namespace millrace {
namespace {

// A topic is believed to be deleted when it is missing so often in a row: a broker that has just
// started may not know all topics yet.
constexpr int kGoneReports = 3;
constexpr absl::Duration kGoneRetry = absl::Milliseconds(300);

std::chrono::microseconds Chrono(absl::Duration duration) {
  return absl::ToChronoMicroseconds(std::clamp(duration, absl::ZeroDuration(), absl::Hours(1)));
}

}  // namespace

SourceWatcher::SourceWatcher(std::unique_ptr<SourceEnumerator> enumerator,
                             std::vector<PartitionName> partitions, SourceWatcherOptions options)
    : enumerator_(std::move(enumerator)),
      options_(std::move(options)),
      partitions_(std::move(partitions)),
      ends_interval_(options_.ends_interval),
      thread_([this] { Run(); }) {}

SourceWatcher::~SourceWatcher() { Stop(); }

void SourceWatcher::set_ends_interval(absl::Duration interval) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (ends_interval_ == interval) {
      return;
    }
    ends_interval_ = interval;
  }
  wake_.notify_one();
}

void SourceWatcher::Publish(const std::vector<PartitionOffset>& committed) {
  // Waits for its turn with the thread; there is no hurry.
  std::lock_guard<std::mutex> lock(mutex_);
  const bool first = to_publish_.empty();
  for (const PartitionOffset& offset : committed) {
    to_publish_.insert_or_assign(offset.partition, offset.offset);
  }
  if (first) {
    wake_.notify_one();
  }
}

void SourceWatcher::Stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void SourceWatcher::Run() {
  absl::Time next_ends = absl::Now();
  absl::Time next_discovery = absl::Now() + options_.discovery_interval;
  absl::Time next_publish = absl::Now();
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopping_) {
    const absl::Time now = absl::Now();
    const bool publish = !to_publish_.empty() && now >= next_publish;
    // The interval may have been shortened since.
    next_ends = std::min(next_ends, now + ends_interval_);
    const absl::Duration ends_interval = gone_reports_ > 0 ? kGoneRetry : ends_interval_;
    if (publish || now >= next_ends || now >= next_discovery) {
      lock.unlock();
      if (publish) {
        PublishWaiting();
        next_publish = absl::Now() + options_.publish_interval;
      }
      if (now >= next_ends) {
        AskEnds();
        next_ends = absl::Now() + ends_interval;
      }
      if (now >= next_discovery) {
        Discover();
        next_discovery = absl::Now() + options_.discovery_interval;
      }
      lock.lock();
      continue;
    }
    absl::Time wakeup = std::min(next_ends, next_discovery);
    if (!to_publish_.empty()) {
      wakeup = std::min(wakeup, next_publish);
    }
    wake_.wait_for(lock, Chrono(wakeup - now));
  }
  lock.unlock();
  PublishWaiting();
}

void SourceWatcher::AskEnds() {
  if (partitions_.empty()) {
    return;
  }
  const absl::StatusOr<std::vector<PartitionEnd>> ends =
      enumerator_->Ends(partitions_, options_.call_timeout);
  if (ends.ok()) {
    gone_reports_ = 0;
    options_.on_ends(*ends);
    NoteTrouble(absl::OkStatus());
  } else if (absl::IsNotFound(ends.status()) || absl::IsOutOfRange(ends.status())) {
    NoteGone(ends.status());
  } else {
    NoteTrouble(ends.status());
  }
}

void SourceWatcher::Discover() {
  const absl::StatusOr<std::vector<PartitionName>> all =
      enumerator_->Discover(options_.call_timeout);
  if (!all.ok()) {
    // A topic that is gone also shows in Ends, which decides.
    if (!absl::IsNotFound(all.status())) {
      NoteTrouble(all.status());
    }
    return;
  }
  std::vector<PartitionName> found;
  for (const PartitionName& name : *all) {
    if (std::find(partitions_.begin(), partitions_.end(), name) == partitions_.end()) {
      found.push_back(name);
    }
  }
  if (found.empty()) {
    return;
  }
  const absl::StatusOr<std::vector<PartitionOffset>> earliest =
      enumerator_->ResolveEarliest(found, options_.call_timeout);
  if (!earliest.ok()) {
    NoteTrouble(earliest.status());
    return;
  }
  spdlog::info("source table \"{}\": {} new partitions, the first is {}", options_.table,
               found.size(), found.front());
  partitions_.insert(partitions_.end(), found.begin(), found.end());
  options_.on_found(*earliest);
  AskEnds();
}

void SourceWatcher::PublishWaiting() {
  std::vector<PartitionOffset> offsets;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [partition, offset] : to_publish_) {
      offsets.push_back({partition, offset});
    }
    to_publish_.clear();
  }
  if (offsets.empty()) {
    return;
  }
  if (const absl::Status published = enumerator_->PublishOffsets(offsets, options_.call_timeout);
      !published.ok()) {
    // A job may have no further batch for long, so they wait for another try; newer ones win.
    {
      std::lock_guard<std::mutex> lock(mutex_);
      for (const PartitionOffset& offset : offsets) {
        to_publish_.insert({offset.partition, offset.offset});
      }
    }
    spdlog::warn("source table \"{}\": committed offsets were not published: {}", options_.table,
                 ToStd(published.message()));
  }
}

void SourceWatcher::NoteTrouble(const absl::Status& status) {
  if (status.code() == trouble_.code()) {
    return;
  }
  trouble_ = status;
  if (!status.ok()) {
    spdlog::warn("source table \"{}\": {}", options_.table, ToStd(status.message()));
  }
  options_.on_trouble(status);
}

void SourceWatcher::NoteGone(const absl::Status& status) {
  if (++gone_reports_ == kGoneReports) {
    options_.on_lost(absl::Status(
        status.code(),
        absl::StrCat("source table \"", options_.table, "\": ", ToAbsl(ToStd(status.message())))));
  }
}

}  // namespace millrace
