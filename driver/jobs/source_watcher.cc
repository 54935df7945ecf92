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
constexpr int kPauseFactor = 30;

std::chrono::microseconds Chrono(absl::Duration duration) {
  return absl::ToChronoMicroseconds(std::clamp(duration, absl::ZeroDuration(), absl::Hours(1)));
}

}  // namespace

SourceWatcher::SourceWatcher(std::unique_ptr<SourceEnumerator> enumerator,
                             const std::vector<WatchedPartition>& partitions,
                             SourceWatcherOptions options)
    : enumerator_(std::move(enumerator)),
      options_(std::move(options)),
      ends_interval_(options_.ends_interval) {
  for (const WatchedPartition& partition : partitions) {
    partitions_.push_back(partition.name);
    topic_ids_[partition.name] = partition.topic_id;
    read_.insert({partition.name, partition.next});
  }
  thread_ = std::thread([this] { Run(); });
}

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
    read_.insert_or_assign(offset.partition, offset.offset);
  }
  if (first) {
    wake_.notify_one();
  }
}

void SourceWatcher::RequestStop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
}

void SourceWatcher::Stop() {
  RequestStop();
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
    const auto ends_interval = [this, usual = ends_interval_] {
      return gone_reports_ > 0 ? kGoneRetry : usual;
    };
    // The interval may have been shortened since.
    next_ends = std::min(next_ends, now + ends_interval());
    if (publish || now >= next_ends || now >= next_discovery) {
      lock.unlock();
      if (publish) {
        PublishWaiting();
        next_publish = absl::Now() + options_.publish_interval;
      }
      if (now >= next_ends) {
        AskEnds();
        next_ends = absl::Now() + ends_interval();
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
  if (trouble_.ok()) {
    PublishWaiting();
  }
}

void SourceWatcher::AskEnds() {
  if (partitions_.empty()) {
    return;
  }
  std::map<PartitionName, Offset> read;
  {
    // Before asking: the answer may be older than what is read meanwhile.
    std::lock_guard<std::mutex> lock(mutex_);
    read = read_;
  }
  const absl::StatusOr<std::vector<PartitionEnd>> ends =
      enumerator_->Ends(partitions_, options_.call_timeout);
  absl::Status gone = ends.ok() ? FindCut(*ends, read) : ends.status();
  if (!ends.ok() && !absl::IsNotFound(gone) && !absl::IsOutOfRange(gone)) {
    NoteTrouble(gone);
    return;
  }
  if (ends.ok() && (!gone.ok() || gone_reports_ > 0 || absl::Now() >= next_topic_ids_)) {
    const absl::Status recreated = FindRecreated();
    gone = recreated.ok() ? gone : recreated;
  }
  if (!gone.ok()) {
    NoteGone(gone);
    return;
  }
  gone_reports_ = 0;
  options_.on_ends(*ends);
  NoteTrouble(absl::OkStatus());
}

absl::Status SourceWatcher::FindCut(const std::vector<PartitionEnd>& ends,
                                    const std::map<PartitionName, Offset>& read) const {
  if (!enumerator_->keeps_records()) {
    return absl::OkStatus();
  }
  for (const PartitionEnd& end : ends) {
    const auto found = read.find(end.partition);
    if (found != read.end() && end.high_watermark < found->second) {
      return absl::OutOfRangeError(absl::StrCat(
          "partition ", end.partition, " has been read up to offset ", found->second.value(),
          ", but now ends at ", end.high_watermark.value(), ": offsets [",
          end.high_watermark.value(), ", ", found->second.value(),
          ") were cut off, and new records will take their place; cancel the job, or submit it "
          "under another name"));
    }
  }
  return absl::OkStatus();
}

absl::Status SourceWatcher::FindRecreated() {
  const absl::StatusOr<std::vector<std::string>> ids =
      enumerator_->TopicIds(partitions_, options_.call_timeout);
  // Ends decides whether the source is there. Where only the ids are not to be had, asking for them
  // must not hold up the ends every time.
  next_topic_ids_ = absl::Now() + (ids.ok() ? 1 : kPauseFactor) * options_.topic_ids_interval;
  if (!ids.ok()) {
    return absl::OkStatus();
  }
  for (size_t i = 0; i < partitions_.size(); ++i) {
    std::string& known = topic_ids_[partitions_[i]];
    if (known.empty()) {
      known = (*ids)[i];
    }
    RETURN_IF_ERROR(CheckTopicId(partitions_[i], known, (*ids)[i]));
  }
  return absl::OkStatus();
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
  // Before the offsets: should the topic be made anew in between, this id tells.
  const absl::StatusOr<std::vector<std::string>> ids =
      enumerator_->TopicIds(found, options_.call_timeout);
  if (!ids.ok()) {
    NoteTrouble(ids.status());
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
  std::vector<FoundPartition> told;
  for (size_t i = 0; i < found.size(); ++i) {
    partitions_.push_back(found[i]);
    topic_ids_[found[i]] = (*ids)[i];
    told.push_back({found[i], (*earliest)[i].offset, (*ids)[i]});
  }
  options_.on_found(told);
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
